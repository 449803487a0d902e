"""What a job came to: one outcome per number, totals, and the error where there is one."""

from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from worker.contract.destinations import Route
from worker.contract.errors import JobError
from worker.contract.money import Usd
from worker.contract.states import Outcome


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class NumberResult(_Frozen):
    """What became of one number; in a quote `outcome` is None for what would be done.

    Purchases carry fees, `paid_until` and the documents needed; reroutes the old and the new route.
    """

    number: str
    outcome: Outcome | None = None
    record_id: int | None = None
    setup_usd: Usd | None = None
    monthly_usd: Usd | None = None
    paid_until: datetime | None = None
    documents_needed: tuple[str, ...] = ()
    route_before: Route | None = None
    route_after: Route | None = None
    error: JobError | None = None


class Totals(_Frozen):
    """Counts, and what was charged in USD: `charged_usd` = activation + first month of the numbers bought."""

    requested: int
    done: int
    setup_usd: Usd = Decimal(0)
    monthly_usd: Usd = Decimal(0)
    charged_usd: Usd = Decimal(0)


class SearchReport(_Frozen):
    """How many numbers were looked at, and for each reason how many were refused for it."""

    seen: int = 0
    refused: dict[str, int] = {}


class Quote(_Frozen):
    """A dry run's answer: what would be bought or done, and what it would cost. Nothing is reserved.

    `balance_after_usd` may be below zero: then the purchase would need a card or a top-up.
    """

    numbers: tuple[NumberResult, ...]
    setup_usd: Usd = Decimal(0)
    monthly_usd: Usd = Decimal(0)
    first_year_usd: Usd = Decimal(0)
    balance_usd: Decimal | None = None
    balance_after_usd: Decimal | None = None


class Summary(_Frozen):
    """Stands for the numbers of a job that has very many. Each with its outcome is on one of `pages` pages: `Didflow.numbers` reads
    them, and `didflow status JOB --numbers`.

    outcomes  how many numbers have which outcome; in a dry run ``would_be_done`` counts the others
    errors    the first few numbers that aren't as asked
    """

    pages: int
    outcomes: dict[str, int]
    errors: tuple[NumberResult, ...] = ()


class Result(_Frozen):
    """The end of a job, as stored and as sent in its event. `summary` is there instead of `numbers` where those are more than 1,000."""

    numbers: tuple[NumberResult, ...] = ()
    summary: Summary | None = None
    totals: Totals
    search: SearchReport | None = None
    quote: Quote | None = None
    error: JobError | None = None
