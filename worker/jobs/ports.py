"""What a job needs from the world: a provider to ask, a page in the ledger to write on, and the ways an attempt can end.

`Provider` is what `worker.wavix` offers; `JobContext` is what `didflow.ledger` offers. Jobs know these and nothing else, so they
run the same against the sandbox, against a fake written in a test, and against the real thing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Protocol

from didflow.contract.attempt_write import Write
from didflow.contract.destinations import Route
from didflow.contract.document_file import Paper
from didflow.contract.errors import JobError
from didflow.contract.ids_form import IdsForm, IdsFormSetting
from didflow.contract.number_holders import Holder, Loan
from didflow.contract.numbers import NumberType
from didflow.contract.parked_numbers import Parked
from didflow.contract.provider import Answer, City, Country, Offer, OwnedAsk, OwnedNumber, Page, Region, Trunk
from didflow.contract.requests import Request
from didflow.contract.results import Quote, Result
from didflow.contract.spending import LimitReached, Spend, SpendLimit
from didflow.contract.states import JobState, WaitReason
from didflow.contract.transactions import Transaction


class Provider(Protocol):
    """The Numbers API. Numbers are E.164. Reads raise `ReadFailed` or `NotThere`; mutating calls return an `Answer` and are sent once."""

    def countries(self) -> tuple[Country, ...]: ...
    def regions(self, country_id: int) -> tuple[Region, ...]: ...
    def cities(self, country_id: int, region_id: int | None) -> tuple[City, ...]: ...
    def offers(self, country_id: int, city_id: int, *, sms_only: bool, page: int, number_type: NumberType = "all") -> Page[Offer]: ...
    def put_in_cart(self, numbers: Sequence[str]) -> Answer[tuple[Offer, ...]]: ...
    def remove_from_cart(self, numbers: Sequence[str]) -> Answer[None]: ...
    def cart(self) -> tuple[Offer, ...]: ...
    def check_out(self, numbers: Sequence[str]) -> Answer[None]: ...
    def owned(self, *, page: int, search: str | None = None, label: str | None = None, per_page: int = 100) -> Page[OwnedNumber]: ...
    def owned_many(self, asks: Iterable[OwnedAsk]) -> Iterator[Page[OwnedNumber]]:
        """The answer to each question, in their order; several may be asked side by side."""
        ...

    def owned_one(self, record_id: int) -> OwnedNumber: ...
    def await_turn(self) -> None:
        """Wait until the next call may go. Raises ReadFailed: it may not, and nothing was sent."""
        ...

    def set_route(self, record_ids: Sequence[int], route: Route, sms_relay_url: str | None) -> Answer[None]: ...
    def set_sms_relay_url(self, record_id: int, url: str) -> Answer[None]: ...
    def set_sms_enabled(self, record_id: int, enabled: bool) -> Answer[None]: ...
    def upload_paper(
        self, record_ids: Sequence[int], paper: Paper, *, other_form: bool = False, numbers: Sequence[str] = ()
    ) -> Answer[None]:
        """`other_form`: the type of document is written the other way, because the provider refused the first one.

        `numbers`: those of the records, with which the answer is compared.
        """
        ...

    def document_titles(self) -> Mapping[str, str]:
        """What the provider calls its types of documents, by name; best effort."""
        ...

    def release(self, record_ids: Sequence[int], form: IdsForm = "repeat") -> Answer[None]: ...
    def balance_usd(self, *, insist: bool = True) -> Decimal:
        """`insist`: else it is asked for once, and a refusal for the rate isn't waited out."""
        ...

    def trunks(self) -> tuple[Trunk, ...]: ...
    def transactions(
        self, *, since: date, until: date, kind: int | None = None, details_contains: str | None = None, page: int, insist: bool = True
    ) -> Page[Transaction]:
        """Both days count; `kind` is the transaction type; `insist` as above. A key that lacks the scope for it raises `ReadFailed`."""
        ...


@dataclass(frozen=True)
class OtherJob:
    """What a failback reads of the reroute it undoes, a sweep of the one that it follows, a reroute of the dry run before it, and a
    follower of documents of its purchase.

    `ended_ms`: None until it is reported. `label`: all its numbers have it. `ours`: the numbers that a purchase's result lists as ours.
    """

    kind: str
    state: JobState
    account: str
    dry_run: bool
    error_code: str | None = None
    ended_ms: int | None = None
    label: str | None = None
    ours: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RouteClaim:
    """`newer`: numbers that a newer job routes, which this one leaves alone (superseded).

    `disturbed_ms`: numbers for which an older job's call was out without an answer, and until when, on the ledger's clock, it may have
    been sent: it may still act. Or was answered after the routes were read; where that is all, `moved_by` says which job's.

    `parked`: those of `newer` that a release counts down; it knows which route they are to have if they stay.
    """

    newer: frozenset[str]
    disturbed_ms: Mapping[str, int]
    moved_by: Mapping[str, str] = field(default_factory=dict)
    parked: frozenset[str] = frozenset()


class JobContext(Protocol):
    """The job's page in the ledger, as this attempt may write it.

    Every write names the attempt's lease token; if a newer attempt exists, the write changes nothing and `LostLease` is raised.
    A write has reached the disk when it returns.
    """

    @property
    def job_id(self) -> str: ...
    @property
    def account(self) -> str: ...
    @property
    def reference(self) -> str:
        """The submitter's own word; empty if he gave none."""
        ...

    @property
    def attempt(self) -> int: ...
    @property
    def epoch(self) -> int:
        """Changes when the ledger's server did: then the last of what was written before may be lost."""
        ...

    @property
    def checkpoint(self) -> str | None:
        """What the last `save` left as memo: the job's own state as JSON."""
        ...

    def numbers(self, only: Sequence[str] | None = None) -> dict[str, str]:
        """What was saved for each number (JSON), by number; of all, or of these only. A batch's are its parent's."""
        ...

    def page_of_numbers(self, index: int, job_id: str | None = None) -> tuple[str, ...] | None:
        """The numbers on that page of this job, or of another one of the account; None behind the last."""
        ...

    def outcomes(self) -> dict[str, int]:
        """How many numbers have which outcome, ``open`` for none yet; exact at any moment. Only where there are pages."""
        ...

    def save(self, write: Write) -> None:
        """Write all of it or nothing, in one script; the calls since the last write go into the job's story with it.

        Raises LostLease, NumbersTaken, SpendLimitReached, WantedElsewhere (with these nothing was written), with `unless_cancelled`
        CancelRequested, with `money` Wait, as `check_before_money` does.
        """
        ...

    def limit_against(self, spend: Spend, limits: Sequence[SpendLimit]) -> LimitReached | None:
        """The limit that a hold would run into now; None if there is none. Holds nothing."""
        ...

    def now_ms(self) -> int:
        """The ledger's clock, not the worker's."""
        ...

    def check_interrupts(self) -> None:
        """Call where stopping is harmless. Raises `HandBack` on shutdown, `CancelRequested` if the job was cancelled, LostLease."""
        ...

    def check_before_money(self) -> None:
        """Call before money is meant to move. Raises Wait while it may not: the ledger may have forgotten what was bought last."""
        ...

    def claim_routes(
        self, numbers: Sequence[str], *, calling: bool = True, seen_ms: int | None = None, wanted: Route | None = None
    ) -> "RouteClaim":
        """Note that this job is the newest to route these numbers, where it is.

        `calling`: a call that routes them follows; until a save names them as `answered` it may act at any time. `seen_ms`: the
        caller goes by routes that it began to read then, so that what was answered to others since disturbs it too. `wanted`: the
        route that those are to have which a release counts down, if they stay.
        """
        ...

    def take_to_park(self, numbers: Sequence[str], *, seen_ms: int) -> "RouteClaim":
        """The same for a release, before it reads the routes that these numbers have: from here on no older job routes them. What such a
        job would have sent is noted as what they are to have if they stay. `disturbed_ms`: until when what was sent may yet show."""
        ...

    def parked(self, numbers: Sequence[str]) -> Mapping[str, Parked]:
        """Those of these numbers that a release has, and what it knows of them."""
        ...

    def all_parked(self) -> Mapping[str, Parked]:
        """The same of the whole account."""
        ...

    def want_routes(self, routes: Mapping[str, Route]) -> frozenset[str]:
        """Ask for routes of numbers that releases have: each gets its own if it stays. Returns those that are noted; the others aren't
        parked any more, or a newer job has asked. Raises LostLease."""
        ...

    def reserved(self, numbers: Sequence[str]) -> frozenset[str]:
        """Those of these numbers that another job has, or that are left alone for a time: this job wouldn't get them now."""
        ...

    def strays(self) -> frozenset[str]:
        """The account's tainted numbers: one of them may come into the cart late, whichever job put it there."""
        ...

    def quarantine(self, numbers: Sequence[str]) -> frozenset[str]:
        """Keep our own search off numbers that we are about to give back. Returns those that mustn't go: they were handed out since."""
        ...

    def handed_out(self) -> Mapping[str, int]:
        """The numbers of the account that purchases were given, with the record id of each."""
        ...

    def offered(self) -> Mapping[str, tuple[int, str, str]]:
        """The numbers of the account that releases have parked and may lend: record id, the release's job, what that keeps (JSON)."""
        ...

    def hand_out(self, numbers: Sequence[tuple[str, int, str]], loans: Mapping[str, Loan]) -> frozenset[str]:
        """Numbers of ours for this purchase: number, record id, what to keep of it (JSON). Returns those that are its own now: another
        job may have them, or a release have begun with them. One of `loans` is taken out of its release in the same moment, or refused if
        that has it otherwise by now, runs, or is called off. Raises LostLease."""
        ...

    def take_back(self, numbers: Mapping[str, str], loans: Mapping[str, Loan]) -> None:
        """Give back what was handed out to this job; what to keep of each (JSON). Those of `loans` are their releases' again. Raises
        LostLease."""
        ...

    def borrowing(self, numbers: Mapping[str, str]) -> frozenset[str]:
        """Those of these numbers, lent to these jobs, that may yet come back."""
        ...

    def stock_note(self, place: str) -> str | None:
        """What a job of this account noted last of the stock there, if that isn't long ago."""
        ...

    def note_stock(self, place: str, text: str) -> None:
        """Leave a note for the account's other jobs. Nothing rests on it: it may be lost. Raises LostLease."""
        ...

    def ids_form(self) -> IdsForm | None:
        """The form of several ids in one call that the account's server was seen to take, if that isn't long ago."""
        ...

    def learn_ids_form(self, form: IdsForm) -> None:
        """Remember it, for all jobs of the account. Best effort: it may be lost. Raises LostLease."""
        ...

    def signed(self, quote: Quote) -> Quote:
        """The quote with the signature by which a submit knows it again."""
        ...

    def holders(self, numbers: Sequence[str]) -> Mapping[str, Holder]:
        """Whom these numbers were bought for; those that were bought through us and are still ours."""
        ...

    def count_releases(self, record_ids: Sequence[int], most: int) -> tuple[frozenset[int], float]:
        """Count them against the account's releases of this day (UTC): those that may go, and in how many seconds the next day begins.

        What was counted today isn't counted again. Raises LostLease.
        """
        ...

    def other_job(self, job_id: str) -> OtherJob | None: ...

    def numbers_of(self, job_id: str, only: Sequence[str] | None = None) -> dict[str, str]:
        """What another job of the same account saved for each number, or for these only."""
        ...

    def fan_out(self, batches: Mapping[str, str]) -> None:
        """Submit batches of this job, each with its request (JSON), by an index that is theirs for good: one that is there already,
        ended or not, is left as it is. Raises CancelRequested, and none is begun; LostLease.

        A job that then raises Wait(DEPENDS) goes on when the last one has ended.
        """
        ...

    def open_batches(self) -> int:
        """How many batches haven't ended."""
        ...

    def batch_error(self, index: str) -> JobError | None:
        """Why a batch ended without doing all of it."""
        ...

    def follow_up(self, name: str, request: Request, *, after_s: float) -> None:
        """Submit another job, which begins after this time, as job ``{id}-{name}``: once, however often it is called. Raises LostLease."""
        ...

    def emit(self, numbers: Sequence[tuple[str, str, str, str]]) -> None:
        """What is new of each number: the number, what to keep of it (JSON), and the type and data (JSON) of its event.

        All is written and emitted together; what is saved already is not emitted again. Raises LostLease.
        """
        ...


class RerouteContext(Protocol):
    """As much of a page as moving numbers needs."""

    @property
    def attempt(self) -> int: ...
    @property
    def checkpoint(self) -> str | None: ...
    def numbers(self, only: Sequence[str] | None = None) -> dict[str, str]: ...
    def numbers_of(self, job_id: str, only: Sequence[str] | None = None) -> dict[str, str]: ...
    def save(self, write: Write) -> None: ...
    def now_ms(self) -> int: ...
    def check_interrupts(self) -> None: ...
    def claim_routes(
        self, numbers: Sequence[str], *, calling: bool = True, seen_ms: int | None = None, wanted: Route | None = None
    ) -> "RouteClaim": ...


class LostLease(Exception):
    """A newer attempt has taken over. Stop at once and write nothing."""


class NumbersTaken(Exception):
    """Another job has reserved these numbers; nothing was written."""

    def __init__(self, numbers: tuple[str, ...]) -> None:
        super().__init__(", ".join(numbers))
        self.numbers = numbers


class WantedElsewhere(Exception):
    """Another job has asked for routes of these numbers, which this one was about to be done with; nothing was written."""

    def __init__(self, numbers: tuple[str, ...]) -> None:
        super().__init__(", ".join(numbers))
        self.numbers = numbers


class SpendLimitReached(Exception):
    """A limit leaves too little for what was to be held; nothing was written."""

    def __init__(self, reached: LimitReached) -> None:
        super().__init__(str(reached.limit))
        self.reached = reached


class HandBack(Exception):
    """This process is stopping; another one goes on from what is written."""


class CancelRequested(Exception):
    """Somebody called the job off."""


class Wait(Exception):
    """Nothing can be done now: go on after `after_s`. Doesn't count as an attempt."""

    def __init__(self, reason: WaitReason, after_s: float, message: str = "") -> None:
        super().__init__(message or reason.value)
        self.reason = reason
        self.after_s = after_s
        self.message = message


class AttemptFailed(Exception):
    """This attempt got nowhere, through nobody's outage: try again after a backoff, and count it.

    If it was the last one allowed, the job ends with `so_far`, or is parked where what was asked is `in_doubt`.
    """

    def __init__(self, error: JobError, so_far: Result | None = None, *, in_doubt: bool = False) -> None:
        super().__init__(error.message)
        self.error = error
        self.so_far = so_far
        self.in_doubt = in_doubt


class AccountBarred(Exception):
    """The provider refuses the key or the account: the account pauses, its jobs wait."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class NeedsReview(Exception):
    """What happened can't be found out within the settle limit. `result` is what is known so far."""

    def __init__(self, error: JobError, result: Result) -> None:
        super().__init__(error.message)
        self.error = error
        self.result = result


class Refused(Exception):
    """The job can't be done as asked; it ends as failed with this error."""

    def __init__(self, error: JobError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(frozen=True)
class Ended:
    """The end of a job: a terminal state and what it came to."""

    state: JobState
    result: Result


@dataclass(frozen=True)
class Rules:
    """What the settings say to the jobs.

    settle_s        how long the provider's lists may lag behind its own writes (assumption A3)
    settle_limit_s  after this long without an answer a person must look
    batch_size      numbers in one provider call at most
    spend_limits    what may be spent, for the job's account and for one reference
    releases_per_day  numbers that the account may give back in a day (UTC)
    look_every_s    how often a number whose release counts down is looked at for calls
    ids_form        how several record ids are written into one release
    card_linked     a card pays for what the balance doesn't cover
    reuse_label     numbers of ours with this label, without destinations and callback, may be handed out instead of buying
    documents_every_s, documents_deadline_s   how often a number that waits for documents is looked at, and for how long
    look_s          how often a standing order looks at the stock, about
    quote_s         how long a quote is good for
    """

    settle_s: float = 10.0
    settle_limit_s: float = 600.0
    batch_size: int = 100
    spend_limits: tuple[SpendLimit, ...] = ()
    look_s: float = 60.0
    quote_s: float = 3600.0
    protected_numbers: frozenset[str] = frozenset()
    protected_labels: frozenset[str] = frozenset()
    releases_per_day: int | None = None
    look_every_s: float = 86_400.0
    documents_every_s: float = 3600.0
    documents_deadline_s: float = 30 * 86_400.0
    card_linked: bool = False
    reuse_label: str | None = None
    ids_form: IdsFormSetting = "auto"
