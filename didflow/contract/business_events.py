"""What other systems put on the stream `{namespace}:requests`: something happened in their business, and we are to act on it.

An entry has CloudEvents attributes as flat fields, as ours have: ``id``, ``type`` and ``data`` (JSON), and if you like ``specversion``,
``source``, ``subject``, ``time``; fields that aren't known are passed over. A repeated event is recognised by its ``id``: see each type.
"""

import json
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from didflow.contract.destinations import Destination
from didflow.contract.errors import Fault, InvalidEvent, InvalidRequest, NotJson, UnknownEventType
from didflow.contract.flags import Flag
from didflow.contract.numbers import ListLength, NumberList
from didflow.contract.release_timing import AfterMoment, Grace, Margin
from didflow.contract.requests import Request, SearchAndBuy, Text
from didflow.contract.results import Quote
from didflow.contract.time_values import Moment
from didflow.contract.validation import Input, faults_in

#: What Redis gives for a byte that isn't UTF-8.
UNREADABLE = "\ufffd"


def _printable(text: str) -> str:
    if not text.isprintable() or UNREADABLE in text:
        raise ValueError("needs printable characters")
    return text


#: A word of the sender's: it becomes a key or a reference, or a part of one.
Label = Annotated[str, Field(min_length=1, max_length=180), AfterValidator(_printable)]


class _Told(Input):
    """What every type says: for which account."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: Label = "default"


class RequestMade(_Told):
    """Submit this request, of any kind. Its idempotency key is the event's id."""

    request: Annotated[Request, Field(discriminator="kind")]
    reference: Label | None = None
    priority: int = Field(default=5, ge=0, le=9, strict=True)
    not_before: Moment | None = None


class OrderPlaced(_Told):
    """A customer needs numbers: what the `request` says, or as the `quote` of a dry run says. One purchase per `order` (the event's id if
    none is given), however often it is placed, by whatever way."""

    request: SearchAndBuy | None = None
    quote: Quote | None = None
    order: Label | None = None
    customer: Label | None = None

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if self.request is None and self.quote is None:
            raise ValueError("give a request, or a quote to order by")
        return self


class ReleaseApproved(_Told):
    """A person approved a check of this churn case: release what it showed. Once per `case`."""

    case: Label
    check: Label
    protected_labels: tuple[Text, ...] = Field(default=(), max_length=100)


class ReleaseCalledOff(_Told):
    """Stop the release of this churn case: what has not gone yet stays."""

    case: Label


class CustomerChurned(_Told):
    """A customer left: the numbers that were bought for this reference go, all or these, after `grace` (7 days if none is given), as a
    `Release` with the same words. Its idempotency key is the event's id."""

    reference: Label
    numbers: Annotated[NumberList, ListLength(1000)] = ()
    at: AfterMoment | None = None
    grace: Grace | None = None
    before_renewal: Margin | None = None
    parking: tuple[Destination, ...] = Field(default=(), max_length=20)
    stop_on_traffic: Flag = True
    reusable: Flag = False
    protected_labels: tuple[Text, ...] = Field(default=(), max_length=100)


class CustomerReturned(_Told):
    """A customer came back: their releases are cancelled, and the numbers get their routes back."""

    reference: Label


Told = RequestMade | OrderPlaced | ReleaseApproved | ReleaseCalledOff | CustomerChurned | CustomerReturned

REQUEST, ORDER = "didflow.request.v1", "didflow.onboarding.order.v1"
APPROVED, CALLED_OFF = "didflow.churn.approved.v1", "didflow.churn.called_off.v1"
CHURNED, RETURNED = "didflow.churn.churned.v1", "didflow.churn.returned.v1"
#: What the data of each type is. A new type is a line here, a line in `Entry`'s union, and what is done with it.
TYPES: dict[str, type[Told]] = {
    REQUEST: RequestMade,
    ORDER: OrderPlaced,
    APPROVED: ReleaseApproved,
    CALLED_OFF: ReleaseCalledOff,
    CHURNED: CustomerChurned,
    RETURNED: CustomerReturned,
}


class _Envelope(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"] = "1.0"
    id: Label
    source: str = ""


class _RequestEntry(_Envelope):
    type: Literal["didflow.request.v1"]
    data: RequestMade


class _OrderEntry(_Envelope):
    type: Literal["didflow.onboarding.order.v1"]
    data: OrderPlaced


class _ApprovedEntry(_Envelope):
    type: Literal["didflow.churn.approved.v1"]
    data: ReleaseApproved


class _CalledOffEntry(_Envelope):
    type: Literal["didflow.churn.called_off.v1"]
    data: ReleaseCalledOff


class _ChurnedEntry(_Envelope):
    type: Literal["didflow.churn.churned.v1"]
    data: CustomerChurned


class _ReturnedEntry(_Envelope):
    type: Literal["didflow.churn.returned.v1"]
    data: CustomerReturned


Entry = Annotated[
    _RequestEntry | _OrderEntry | _ApprovedEntry | _CalledOffEntry | _ChurnedEntry | _ReturnedEntry, Field(discriminator="type")
]


class BusinessEvent(_Envelope):
    """A parsed entry: its source, id and contents."""

    type: str
    data: Told


def business_event_schema() -> dict[str, Any]:
    """The JSON Schema of an entry, with `data` as what its JSON says."""
    return TypeAdapter[Any](Entry).json_schema()


def parse_business_event(fields: Mapping[str, str]) -> BusinessEvent:
    """Read an entry's fields. Every fault is named at once, those of the request inside with their place in it.

    Raises NotJson, UnknownEventType or InvalidEvent for what is no event of ours, InvalidRequest for what an event asks wrongly.
    """
    outer = [Fault("event", f"field {name[:60]!r} is not UTF-8") for name, text in fields.items() if UNREADABLE in name + text]
    envelope: _Envelope | None = None
    try:
        envelope = _Envelope.model_validate(dict(fields))
    except ValidationError as error:
        outer += faults_in(error)
    kind = fields.get("type", "")
    wanted = TYPES.get(kind)
    unknown = [] if wanted else [("type", f"{kind[:100]!r} is unknown: known are {', '.join(TYPES)}")]
    broken = _json_faults(fields.get("data"))
    inner: list[Fault] = []
    told: Told | None = None
    if wanted and not broken:
        try:
            told = _reader(wanted).validate_json(fields["data"])
        except ValidationError as error:
            inner = [_within("data", fault) for fault in faults_in(error)]
    if faults := (*unknown, *broken, *outer, *inner):
        error_type = UnknownEventType if unknown else NotJson if broken else InvalidEvent if outer else InvalidRequest
        raise error_type("the event is invalid: " + "; ".join(f"{where}: {what}" for where, what in faults), faults)
    assert envelope is not None
    assert told is not None
    return BusinessEvent(id=envelope.id, source=envelope.source, type=kind, data=told)


@cache
def _reader(wanted: type[Told]) -> TypeAdapter[Told]:
    return TypeAdapter(wanted)


def _within(outer: str, fault: Fault) -> Fault:
    return Fault(f"{outer}.{fault.path}".rstrip("."), fault.message, fault.code, fault.next_step)


def _json_faults(text: str | None) -> list[tuple[str, str]]:
    if text is None:
        return [("data", "is missing: it holds the event's contents as JSON")]
    try:
        read = json.loads(text)
    except ValueError as error:
        return [("data", f"is not JSON: {error}")]
    except RecursionError:
        return [("data", "is not JSON that can be read: it is too deep")]
    return [] if isinstance(read, dict) else [("data", f"is a JSON object, not {type(read).__name__}")]
