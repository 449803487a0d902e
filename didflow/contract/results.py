"""A job's result: one outcome per number, totals, and the error, if any."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from didflow.contract.destinations import Route
from didflow.contract.errors import JobError
from didflow.contract.flags import Flag
from didflow.contract.money import Usd
from didflow.contract.requests import SearchAndBuy
from didflow.contract.states import Outcome
from didflow.contract.time_values import Moment
from didflow.contract.validation import Input


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class NumberResult(_Frozen):
    """What became of one number; in a quote `outcome` is None for what would be done.

    `document_titles`: what the provider calls the types in `documents_needed`, where it says so.

    Purchases carry fees, `paid_until` and the documents needed, with a ladder also the rung (from 1); reroutes the old and the new route.
    Of a reroute or failback `takes_calls` is false for an inactive number when its routes were read: it can be routed, but takes no calls
    until its documents are approved. None where the provider doesn't say.

    A quote also carries the prices of an inbound minute and SMS segment, the free minutes, and whether CNAM can be activated and the
    number can be the caller ID of local calls (`domestic_cli`), as far as the provider says.
    """

    number: str
    outcome: Outcome | None = None
    record_id: int | None = None
    setup_usd: Usd | None = None
    monthly_usd: Usd | None = None
    paid_until: datetime | None = None
    documents_needed: tuple[str, ...] = ()
    document_titles: dict[str, str] = {}
    route_before: Route | None = None
    route_after: Route | None = None
    error: JobError | None = None
    rung: int | None = None
    takes_calls: bool | None = None
    per_minute_usd: Usd | None = None
    sms_usd: Usd | None = None
    free_minutes: int | None = None
    cnam: bool | None = None
    domestic_cli: bool | None = None


class Totals(_Frozen):
    """Counts, and what was charged in USD: `charged_usd` = activation + first month of the numbers bought."""

    requested: int
    done: int
    setup_usd: Usd = Decimal(0)
    monthly_usd: Usd = Decimal(0)
    charged_usd: Usd = Decimal(0)


#: The kinds of refusal, and the reasons in each. A reason that isn't here is a kind of its own.
KINDS = {
    "price": ("setup_fee", "monthly_fee", "setup_fee_in_cart", "monthly_fee_in_cart"),
    "documents": ("documents", "documents_in_cart"),
    "taken": ("taken", "reserved"),
    "pattern": ("area_code", "prefix", "pattern", "number_type"),
    "guard": ("budget", "spend_limit", "quote"),
}


def by_kind(refused: Mapping[str, int]) -> dict[str, int]:
    """Refusals summed up: ``price``, ``documents``, ``taken`` (by others, or for another job), ``pattern``, ``guard``, and the rest."""
    kind_of = {reason: kind for kind, reasons in KINDS.items() for reason in reasons}
    found: Counter[str] = Counter()
    for reason, count in refused.items():
        found[kind_of.get(reason, reason)] += count
    return dict(found)


class RungReport(_Frozen):
    """What one rung of a ladder gave: numbers checked there, for each reason how many were refused, how many were bought, and how many
    of our own were assigned instead.

    `rung` counts from 1. A rung that wasn't needed has seen nothing.
    """

    rung: int
    name: str
    seen: int = 0
    refused: dict[str, int] = {}
    bought: int = 0
    reused: int = 0


class SearchReport(_Frozen):
    """How many numbers were checked, and for each reason how many were refused for it; with a ladder for each rung, too.

    A number that two rungs checked counts in both. Of a standing order: what its last look saw.
    """

    seen: int = 0
    refused: dict[str, int] = {}
    rungs: tuple[RungReport, ...] = ()


class Quote(Input, _Frozen):
    """A dry run's answer: what would be bought or done, and what it would cost. Nothing is reserved.

    `balance_after_usd` may be below zero: then the purchase would need a card or a top-up. Both are None where the key may not read the
    balance. The quote of a purchase is signed: `submit(quote=…)` takes it, unaltered, until `expires_at`, for that `account` and `request`,
    and for one order unless it is `reusable`. `id` is its dry run's. `documents` are all that its numbers need, `document_titles` what
    the provider calls them.
    """

    numbers: tuple[NumberResult, ...]
    setup_usd: Usd = Decimal(0)
    monthly_usd: Usd = Decimal(0)
    first_year_usd: Usd = Decimal(0)
    balance_usd: Decimal | None = None
    balance_after_usd: Decimal | None = None
    documents: tuple[str, ...] = ()
    document_titles: dict[str, str] = {}
    id: str | None = None
    reusable: Flag = False
    account: str | None = None
    request: SearchAndBuy | None = None
    expires_at: Moment | None = None
    signature: str | None = None


#: A result with more numbers than this has a summary of them.
SHOWN_AT_MOST = 1000
#: The most errors that a summary shows.
ERRORS_SHOWN = 10


class Summary(_Frozen):
    """Stands for the numbers of a job that has very many. Each with its outcome is on one of `pages` pages: `Didflow.numbers` reads
    them, and `didflow status JOB --numbers`.

    outcomes  how many numbers have which outcome; in a dry run ``would_be_done`` counts the others
    inactive  how many numbers take no calls until their documents are approved, when their routes were read
    errors    the first few numbers that aren't as asked
    """

    pages: int
    outcomes: dict[str, int]
    inactive: int = 0
    errors: tuple[NumberResult, ...] = ()


class Result(_Frozen):
    """The end of a job, as stored and as sent in its event. `summary` is there instead of `numbers` where those are more than 1,000.

    `inventory_age_s`: the numbers and their previous routes are those that the inventory showed, whose last sweep had begun so long before.
    """

    numbers: tuple[NumberResult, ...] = ()
    summary: Summary | None = None
    totals: Totals
    search: SearchReport | None = None
    quote: Quote | None = None
    error: JobError | None = None
    inventory_age_s: float | None = None
