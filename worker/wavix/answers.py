"""Classifies the answer to a mutating call: pure functions from status, headers and body to one of five kinds.

Yes and No only where the published contract says so; everything uncertain is Unclear, so that the account is read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from functools import cached_property

import httpx

from didflow.contract.numbers import from_provider
from didflow.contract.printable import printable
from didflow.contract.provider import Barred, No, NotNow, NotNowReason, Unclear, Yes
from worker.wavix.bounded_json import read_json
from worker.wavix.request_gate import Heard
from worker.wavix.scalars import phone_digits

#: A provider that asks for more patience than this is asked again after this.
RETRY_AFTER_MAX_S = 300.0
#: A refused checkout with one of these words is about money, not about the account's rights or the stock.
FUNDS_WORDS = ("fund", "balance", "credit", "card", "payment", "top up")


class Mutation(Enum):
    """A call that changes something."""

    CART_PUT = "cart_put"
    CART_DELETE = "cart_delete"
    CHECKOUT = "checkout"
    ROUTE = "route"
    UPDATE = "update"
    RELEASE = "release"
    SMS = "sms"
    PAPERS = "papers"


@dataclass(frozen=True)
class Said:
    """A complete HTTP answer. Header names in lower case. `clean` takes out of every text of the JSON what must not be kept."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    clean: Callable[[str], str] = field(default=str, repr=False, compare=False)

    def json(self) -> object:
        """The body; None if it isn't JSON within bounds, see `read_json`."""
        return self._json

    @cached_property
    def _json(self) -> object:
        return read_json(self.body, self.clean)

    @property
    def is_api_json(self) -> bool:
        """Whether it is JSON as the API answers, an object or a list. A page of HTML is never the API's yes or no, whatever its status."""
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return not media_type.endswith("html") and isinstance(self.json(), dict | list)

    @property
    def looks_like_json(self) -> bool:
        """Whether it begins and ends like an object or a list: enough to distinguish it from a gateway's page."""
        text = self.body.strip()
        return text[:1] + text[-1:] in (b"{}", b"[]")

    @property
    def is_page(self) -> bool:
        """Whether it is a page of HTML: a gateway's or a proxy's, never the API's own word."""
        return "html" in self.headers.get("content-type", "") or self.body.lstrip()[:1] == b"<"

    @property
    def message(self) -> str:
        """The provider's own words, or what can be said without them."""
        body = self.json()
        if isinstance(body, dict):
            words = body.get("message") or body.get("error")
            if isinstance(words, str) and words:
                return printable(words[:300])
        return f"HTTP {self.status}"

    @property
    def is_record_answer(self) -> bool:
        """Whether the API itself says this, and not a proxy before it or a router that doesn't know the path."""
        body = self.json()
        return self.is_api_json and isinstance(body, dict) and ("message" in body or "success" in body or "error" in body)

    @property
    def is_about_a_record(self) -> bool:
        """Whether a 404 means the record: the API then says ``success: false``. Gateways and routers that don't know a path don't."""
        body = self.json()
        return self.is_api_json and isinstance(body, dict) and body.get("success") is False

    @property
    def is_about_funds(self) -> bool:
        """Whether a refusal is about money: 402, or a word that says so. It decides what the job waits for, never what was bought."""
        return self.status == 402 or any(word in self.message.casefold() for word in FUNDS_WORDS)

    def retry_after_s(self, now: datetime) -> float | None:
        """The `Retry-After` header, seconds or date, within bounds."""
        text = self.headers.get("retry-after", "").strip()
        if not text:
            return None
        try:
            seconds = float(text) if text.replace(".", "", 1).isdigit() else (parsedate_to_datetime(text) - now).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
        return min(RETRY_AFTER_MAX_S, max(0.0, seconds))


def not_now(said: Said) -> NotNow | None:
    """Whether the answer says that nothing happened and when to come back."""
    retry_after_s = said.retry_after_s(datetime.now(UTC))
    if said.status == 429 or (said.status == 503 and retry_after_s is not None):
        return NotNow(NotNowReason.RATE_LIMITED, retry_after_s, answered=True)
    return None


def classify(call: Mutation, said: Said) -> Yes[object] | No | Unclear | NotNow | Barred:
    """What this answer to this call means. A Yes carries the body."""
    if wait := not_now(said):
        return wait
    match said.status:
        case 400 | 402 | 403 | 422 if call is Mutation.CHECKOUT and said.is_record_answer and said.is_about_funds:
            return No("insufficient_funds", said.message)
        case 401 | 403 if said.is_page:
            return Unclear(f"HTTP {said.status}, a page of HTML")
        case 401:
            return Barred(401, said.message)
        case 403:
            return Barred(403, said.message)
        case 200 | 201 if _expected(call, said.json()):
            return Yes(said.json())
        case 400 if said.is_record_answer:
            return No("bad_request", said.message)
        case 404 if said.is_about_a_record:
            return No("not_in_cart" if call in (Mutation.CART_DELETE, Mutation.CHECKOUT) else "not_found", said.message)
        case 422 if said.is_record_answer and call is Mutation.CHECKOUT:
            return No("some_unavailable", said.message, _error_dids(said.json()))
        case 422 if said.is_record_answer and call is Mutation.RELEASE and "not found" in said.message.casefold():
            return No("not_found", said.message)
        case 422 if said.is_record_answer and call in (Mutation.ROUTE, Mutation.UPDATE, Mutation.RELEASE, Mutation.SMS):
            return No("refused", said.message)
    return Unclear(f"HTTP {said.status}" + ("" if said.is_record_answer else ", unreadable"))


def classify_failure(error: httpx.TransportError) -> NotNow | Unclear:
    """The meaning of a missing answer: nothing was sent, or the effect isn't known."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return NotNow(NotNowReason.UNREACHABLE)
    return Unclear(type(error).__name__)


def heard_of(answer: Said | NotNow | Unclear) -> Heard:
    """What an answer means for the next calls: continue, slow down, or the provider is unreachable."""
    match answer:
        case NotNow(reason=reason):
            return Heard("down", words=reason.value)
        case Unclear(reason=words):
            return Heard("down", words=words)
        case Said() if wait := not_now(answer):
            return Heard("limited", wait.retry_after_s, answer.message)
        case Said(status=status) if status >= 500 or (status in (200, 201) and not answer.looks_like_json):
            return Heard("down", words=answer.message if status >= 500 else f"HTTP {status}, unreadable")
    return Heard("fine")


def _expected(call: Mutation, body: object) -> bool:
    """Whether a 2xx says what the contract says it should."""
    match call, body:
        case _, {"success": False}:
            return False
        case ((Mutation.CART_PUT | Mutation.PAPERS), list()):
            return True
        case Mutation.PAPERS, _:
            return False
        case (Mutation.ROUTE, {"items": list()}) | ((Mutation.UPDATE | Mutation.SMS), {"id": _}):
            return True
        case _, {"success": True}:
            return True
    return False


def _error_dids(body: object) -> tuple[str, ...]:
    listed = body.get("error_dids") if isinstance(body, dict) else None
    found = [phone_digits(number) for number in listed] if isinstance(listed, list) else []
    return tuple(from_provider(digits) for digits in found if digits)
