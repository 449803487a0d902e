"""What is known of the open numbers of a parked job, how old it is, and what it proves."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from didflow.contract.jobs import JobView

#: What the evidence shows: that the purchase or release took effect, that it didn't, or neither.
Verdict = Literal["yes", "no", "unknown"]
#: Open numbers of one page at most.
MOST_NUMBERS = 100


@dataclass(frozen=True)
class Reading:
    """One witness about a number.

    source  which one: the checkout's answer, the release call, the owned list, the cart, or the account's transactions
    says    a sentence
    at      when it was read; None: never
    sign    whether it suggests that the account has the number; `doubtful`: something may still happen
    """

    source: Literal["checkout", "release", "owned_list", "cart", "transactions"]
    says: str
    at: datetime | None
    sign: Literal["owned", "not_owned", "doubtful", "none"] = "none"


@dataclass(frozen=True)
class Proposal:
    """What the readings prove. `because`: the proof, or what is missing for one."""

    verdict: Verdict
    because: str


@dataclass(frozen=True)
class NumberEvidence:
    """The evidence about one open number (E.164). `record_id`: under which the owned list shows it; None: it doesn't."""

    number: str
    record_id: int | None
    readings: tuple[Reading, ...]
    proposal: Proposal


@dataclass(frozen=True)
class FirstFinding:
    """A person's finding that waits for a second person: the open numbers that took effect (E.164, sorted), and why."""

    actor: str
    at: datetime
    took_effect: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class JobEvidence:
    """The evidence about a page of a parked job's open numbers.

    job            as it is now: give it to `resolve` as `seen`
    open_count     how many numbers are open, on all pages
    at_stake_usd   what they cost, activation and first month
    first_finding  what a first person found, where two decide; None: nobody did since the job was parked
    numbers        those of this page, in the order of the job's result
    next_after     the number to give as `after` for the next page; None: this is the last one
    """

    job: JobView
    open_count: int
    at_stake_usd: Decimal
    first_finding: FirstFinding | None
    numbers: tuple[NumberEvidence, ...]
    next_after: str | None = None
