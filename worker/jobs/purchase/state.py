"""A purchase's record in the ledger: its phase, the state of its checkout, and every number that it ever used."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

from didflow.contract.errors import JobError
from didflow.contract.money import Usd
from didflow.contract.number_holders import Loan
from didflow.contract.provider import Offer, OwnedNumber
from didflow.contract.requests import SearchAndBuy
from didflow.contract.results import NumberResult, SearchReport
from didflow.contract.spending import Spend
from didflow.contract.states import Outcome
from worker.jobs.checkpoint import read_checkpoint, read_stored


class Phase(StrEnum):
    """Where the protocol is. Only `carted` is an open money phase."""

    NEW = "new"  #: nothing is bound
    BOUND = "bound"  #: numbers are chosen and may be in the cart; none of them was checked out
    CARTED = "carted"  #: a checkout of the carted numbers may have been sent
    BOUGHT = "bought"  #: all that will be bought is bought; what follows is routing


class Checkout(StrEnum):
    """What is known of the one checkout of this phase."""

    UNKNOWN = "unknown"  #: not sent, or sent and no answer stored
    YES = "yes"
    NOT_SENT = "not_sent"  #: no connection was made: nothing is in flight
    REFUSED = "refused"  #: an answer said no: what the job waits for next, but no proof that nothing was bought
    UNCLEAR = "unclear"


class Refusal(BaseModel):
    """The words of a checkout that was refused, kept until it is settled what the checkout did.

    funds        the account lacks money
    unavailable  the refusal names numbers that were sold to others
    not_now      too many requests, or an overloaded server; `after_s`: when it wants to be asked again
    other        anything else
    """

    model_config = ConfigDict(frozen=True)

    about: Literal["funds", "unavailable", "not_now", "other"]
    code: str
    message: str
    after_s: float | None = None


class PurchaseCheckpoint(BaseModel):
    """The purchase between two writes. Times are the ledger's, ms.

    epoch       the ledger's when this was written; an older one is doubted
    fenced_ms   when the carted numbers had all been confirmed in the cart
    revoked_ms  since when none of them is in the cart
    refused     the spend that a limit last refused: it needn't be tried before it fits
    refusal     what the provider last said against a checkout, until the job has acted on it
    refusals    refused checkouts in a row that bought nothing
    short_usd   what the balance didn't cover: it needn't be tried before it does
    looks       how often a standing order has found too few
    worse       in an ended search on the terms of a quote: what is worse, number by number
    """

    model_config = ConfigDict(frozen=True)

    v: Literal[1] = 1
    epoch: int = 0
    phase: Phase = Phase.NEW
    checkout: Checkout = Checkout.UNKNOWN
    fenced_ms: int = 0
    revoked_ms: int | None = None
    first_look_ms: int | None = None
    checkouts: int = 0
    refused: Spend | None = None
    refusal: Refusal | None = None
    refusals: int = 0
    short_usd: Usd | None = None
    search: SearchReport = SearchReport()
    looks: int = 0
    worse: tuple[str, ...] = ()


class Setting(BaseModel):
    """Something that a bought number is to have, and that a call has requested.

    answered_ms  when that was answered, on the ledger's clock
    refusal      what the answer refused; None if it said yes. Neither is believed
    seen         a read begun after the answer shows it
    """

    model_config = ConfigDict(frozen=True)

    answered_ms: int
    refusal: JobError | None = None
    seen: bool = False


class ItemStatus(StrEnum):
    """Where one number of a purchase stands. The values are what is stored."""

    BOUND = "bound"  #: reserved in the ledger; it may be in the cart
    CARTED = "carted"  #: in the cart; a checkout of it may have been sent
    KEPT = "kept"  #: ours
    BURNED = "spent"  #: never used again by this job: a call with it may still act. Stored as ``spent``
    FREE = "free"  #: let go of; another job may have it


class PurchaseItem(BaseModel):
    """One number of this job. A `reused` one was ours before, and cost nothing.

    loan    it is a release's that has parked it
    rung    of the ladder, from 1; 0: there is none
    sms     turning its SMS on; `route`: its destinations, and the SMS callback. None: not requested yet, or no answer came
    """

    model_config = ConfigDict(frozen=True)

    status: ItemStatus
    setup_usd: Usd
    monthly_usd: Usd
    owned: OwnedNumber | None = None
    reused: bool = False
    loan: Loan | None = None
    rung: int = 0
    documents: tuple[str, ...] = ()
    sms: Setting | None = None
    route: Setting | None = None

    @classmethod
    def of(cls, offer: Offer, rung: int = 0) -> "PurchaseItem":
        fees = {"setup_usd": offer.setup_usd, "monthly_usd": offer.monthly_usd}
        return cls(status=ItemStatus.BOUND, rung=rung, documents=offer.documents, **fees)

    def as_in_cart(self, offer: Offer) -> "PurchaseItem":
        """With the cart's fees, which are what is charged. A document that stock or cart names is needed."""
        documents = tuple(sorted({*self.documents, *offer.documents}))
        return self.model_copy(update={"setup_usd": offer.setup_usd, "monthly_usd": offer.monthly_usd, "documents": documents})

    def as_status(self, status: ItemStatus) -> "PurchaseItem":
        return self.model_copy(update={"status": status})

    def kept(self, owned: OwnedNumber) -> "PurchaseItem":
        return self.model_copy(update={"status": ItemStatus.KEPT, "owned": owned})

    @property
    def total_usd(self) -> Decimal:
        return self.setup_usd + self.monthly_usd

    def result(self, number: str) -> NumberResult:
        """A kept number as the job's result shows it. Fees are those of the cart: that is what was charged."""
        owned = self.owned
        rung = self.rung or None
        if owned is None:
            fees = {"setup_usd": self.setup_usd, "monthly_usd": self.monthly_usd}
            return NumberResult(number=number, outcome=Outcome.UNCLEAR, documents_needed=self.documents, rung=rung, **fees)
        if self.reused:
            return NumberResult(
                number=number,
                outcome=Outcome.REUSED,
                record_id=owned.record_id,
                paid_until=owned.paid_until,
                route_after=owned.route or None,
                rung=rung,
            )
        return NumberResult(
            number=number,
            outcome=Outcome.BOUGHT if owned.is_active else Outcome.BOUGHT_INACTIVE,
            record_id=owned.record_id,
            setup_usd=self.setup_usd,
            monthly_usd=self.monthly_usd,
            paid_until=owned.paid_until,
            documents_needed=() if owned.is_active else owned.required_documents,
            document_titles={} if owned.is_active else owned.titles_of(owned.required_documents),
            route_after=owned.route or None,
            rung=rung,
        )


class PurchaseRecord:
    """What is written of one job's purchase. Raises NeedsReview if it can't be read."""

    def __init__(self, request: SearchAndBuy, checkpoint: str | None, numbers: Mapping[str, str]) -> None:
        self.request = request
        self.items: dict[str, PurchaseItem] = {number: read_stored(PurchaseItem, text) for number, text in numbers.items()}
        # A number that a person gave it (see give.lua) is kept, without a checkpoint.
        self.checkpoint = read_checkpoint(PurchaseCheckpoint, checkpoint, self.with_status(ItemStatus.BOUND, ItemStatus.CARTED))

    def with_status(self, *statuses: ItemStatus) -> dict[str, PurchaseItem]:
        """The job's numbers in one of these states."""
        return {number: item for number, item in self.items.items() if item.status in statuses}

    @property
    def kept(self) -> dict[str, PurchaseItem]:
        """The numbers that are ours for certain."""
        return self.with_status(ItemStatus.KEPT)

    @property
    def used(self) -> dict[str, PurchaseItem]:
        """The numbers that it doesn't choose again."""
        return {number: item for number, item in self.items.items() if item.status != ItemStatus.FREE}

    @property
    def bought(self) -> dict[str, PurchaseItem]:
        """Those of them that this job paid for."""
        return {number: item for number, item in self.kept.items() if not item.reused}

    @property
    def missing(self) -> int:
        return self.request.quantity - len(self.kept)
