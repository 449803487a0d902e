"""The provider's data: stock, owned numbers, and the four kinds of answer to a mutating call.

Fields follow the provider's OpenAPI descriptions (both dialects), read leniently: see `worker.wavix.parsing`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from didflow.contract.destinations import Route
from didflow.contract.money import Usd

#: Stands for a part of a record that can't be read, where an empty one would mean something: a number without a route is free for reuse.
UNREADABLE = "unreadable"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Country(_Frozen):
    """`id` is the provider's; `iso_code` is the two-letter code where the provider shows it, else that of the name if it is known."""

    id: int
    name: str
    iso_code: str | None = None
    has_regions: bool = False


class Region(_Frozen):
    id: int
    name: str


class City(_Frozen):
    """`area_code` is digits as the provider shows them; in the USA NPA-NXX, such as 213568."""

    id: int
    name: str
    area_code: str = ""


class Offer(_Frozen):
    """A number in stock. Fees in USD; `documents` are the types that activation needs. None: the provider doesn't say, or not readably.

    per_minute_usd  price of an inbound minute, after `free_minutes`
    sms_usd         price of an inbound SMS segment
    cnam            CNAM can be activated on it
    domestic_cli    it can be used as the caller ID of local calls
    sms_unstated, documents_unstated   the provider doesn't say, or not readably; then the field beside it is what a purchase goes by
    """

    number: str
    setup_usd: Usd
    monthly_usd: Usd
    channels: int | None = None
    sms_enabled: bool = False
    documents: tuple[str, ...] = ()
    city: str = ""
    country_iso_code: str = ""
    per_minute_usd: Usd | None = None
    sms_usd: Usd | None = None
    free_minutes: int | None = None
    cnam: bool | None = None
    domestic_cli: bool | None = None
    sms_unstated: bool = False
    documents_unstated: bool = False

    @property
    def total_usd(self) -> Decimal:
        """What the purchase takes from the balance: activation and the first month."""
        return self.setup_usd + self.monthly_usd


class Document(_Frozen):
    """A document sent for a number: `kind` is the provider's document type, `status` its review status."""

    kind: str
    status: str
    id: int | None = None


class OwnedNumber(_Frozen):
    """A number of the account. `record_id` is new at each purchase, `added` says when; `seconds` are this month's inbound seconds.

    `seconds_unread`: the provider doesn't give them, or not readably; then 0 doesn't mean no calls. `document_titles`: what the
    provider calls the types of documents that it needs or has, where that is known.
    """

    record_id: int
    number: str
    status: str
    added: datetime | None = None
    paid_until: datetime | None = None
    setup_usd: Usd = Decimal(0)
    monthly_usd: Usd = Decimal(0)
    route: Route = ()
    label: str | None = None
    sms_enabled: bool = False
    sms_relay_url: str | None = None
    required_documents: tuple[str, ...] = ()
    documents: tuple[Document, ...] = ()
    document_titles: dict[str, str] = {}
    seconds: int = 0
    seconds_unread: bool = False
    channels: int | None = None
    city: str = ""
    country_iso_code: str = ""

    @property
    def is_active(self) -> bool:
        """Whether the number can receive calls now; an inactive one waits for documents."""
        return self.status == "active"

    @property
    def takes_calls(self) -> bool | None:
        """The same, and None where the status is neither ``active`` nor ``inactive``."""
        return {"active": True, "inactive": False}.get(self.status)

    def titles_of(self, kinds: Iterable[str]) -> dict[str, str]:
        """What the provider calls these types of documents, as far as it is known."""
        return {kind: self.document_titles[kind] for kind in kinds if kind in self.document_titles}


class Trunk(_Frozen):
    """A SIP trunk of the account; `name` is its system-generated login."""

    id: int
    label: str = ""
    name: str = ""
    status: str = ""


class NotNowReason(StrEnum):
    """Why nothing happened and a later try may work."""

    RATE_LIMITED = "rate_limited"  #: 429, 503 that says when to come back, or our own limit
    UNREACHABLE = "unreachable"  #: refused before a byte was sent, or not even tried
    UNAVAILABLE = "unavailable"  #: a read failed with 5xx, a time-out or an unreadable body


T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list; `page` counts from 1.

    `unread`: records on it that can't be read, by their number, or None where not even that can be read. They are no absent ones.
    `per_page`: how many entries a full page has, as requested, or fewer if the server says so.
    """

    items: tuple[T, ...]
    page: int
    total_pages: int
    total: int
    unread: tuple[str | None, ...] = ()
    per_page: int = 100

    @property
    def is_full(self) -> bool:
        """Whether there may be another page, whatever `total_pages` says."""
        return len(self.items) + len(self.unread) >= self.per_page


@dataclass(frozen=True, kw_only=True)
class _Answered:
    """`request`: the fingerprint of what was asked, as it is in the log; two answers are equal whatever was asked."""

    request: str = field(default="", compare=False)


@dataclass(frozen=True)
class OwnedAsk:
    """A question for one page of the owned list; `search`: a part of the number."""

    page: int = 1
    search: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class Yes(_Answered, Generic[T]):
    """A clear yes: the provider did it and said so readably."""

    value: T


@dataclass(frozen=True)
class No(_Answered):
    """A clear no: a refusal that the contract gives for this state; nothing was changed.

    `numbers`: those that the refusal names, as E.164 (checkout's ``error_dids``). Where it names some, the others may have been bought.
    """

    code: Literal["not_found", "refused", "insufficient_funds", "not_in_cart", "some_unavailable", "bad_request", "read_refused"]
    message: str
    numbers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unclear(_Answered):
    """The call may have taken effect, may not have, or may take effect later. The caller must read the account."""

    reason: str


@dataclass(frozen=True)
class NotNow(_Answered):
    """Nothing happened, and it wasn't the job's fault: wait and try again. Doesn't count as an attempt.

    `answered`: a server said so after it had the request, so it is no proof: a proxy may have passed the call on before. Otherwise not a
    byte was sent. `words`: what is wrong, where more than the reason is known.
    """

    reason: NotNowReason
    retry_after_s: float | None = None
    answered: bool = field(default=False, compare=False)
    words: str = field(default="", compare=False)


@dataclass(frozen=True)
class Barred(_Answered):
    """401 or 403: nothing will happen until a person acts.

    `right`: what the key may not do, where the refusal is about what was asked; empty: it is about the account, and no job can do anything.
    """

    status: int
    message: str
    right: str = field(default="", compare=False)


#: What a mutating call comes to. Match on all five.
Answer = Yes[T] | No | Unclear | NotNow | Barred


def answer_class(answer: Answer[T]) -> str:
    """The answer in a word, for logs and the job's story: ``yes``, ``no:code``, ``unclear:reason``, ``not_now`` or ``barred``."""
    match answer:
        case Yes():
            return "yes"
        case No(code=code):
            return f"no:{code}"
        case Unclear(reason=reason):
            return f"unclear:{reason}"
        case NotNow():
            return "not_now"
        case Barred():
            return "barred"


class ReadFailed(Exception):
    """A read that failed after its retries. Reads change nothing, so the job waits; a clear No counts as a failed attempt."""

    def __init__(self, answer: NotNow | Barred | No) -> None:
        super().__init__((answer.words or answer.reason.value) if isinstance(answer, NotNow) else answer.message)
        self.answer = answer


class NotThere(Exception):
    """A read of something that the provider doesn't have: 404, or 422 for a country without regions."""
