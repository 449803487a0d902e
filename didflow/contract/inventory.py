"""The account's numbers as the mirror in Redis shows them: records, filters, lists, totals. Written by workers, read by producers.

The mirror informs; it decides nothing about money. A job that acts on a number reads it at the provider first.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, field_validator

from didflow.contract.countries import same_country
from didflow.contract.destinations import ProviderId, Route, Transport
from didflow.contract.errors import InvalidRequest
from didflow.contract.flags import Flag
from didflow.contract.history import History
from didflow.contract.money import Usd
from didflow.contract.provider import Document, OwnedNumber
from didflow.contract.texts import PRINTABLE
from didflow.contract.time_values import Moment, Span
from didflow.contract.validation import Checked

#: Numbers on a page of a list at most.
MOST_LISTED = 1000
#: Days ahead of which renewals are counted at most.
MOST_RENEWAL_DAYS = 3650


@dataclass(frozen=True)
class RouteShown:
    """A job has read back where this record's calls go."""

    record_id: int
    route: Route
    sms_relay_url: str | None


@dataclass(frozen=True)
class NumberShown:
    """A job has read the whole record. `confirmed`: what it changed or follows of it; the rest is taken only of a number that is new."""

    owned: OwnedNumber
    confirmed: tuple[Literal["route", "sms", "documents"], ...] = ("route", "sms", "documents")


#: What a job confirms of a number, for the mirror.
Shown = RouteShown | NumberShown


class MirroredNumber(BaseModel):
    """A number as the provider showed it last, and what the mirror worked out from that. Moments are the ledger's clock.

    seen_at        when a complete record was last read, or a job confirmed something of it
    missing_since  a complete sweep that began then didn't show it; None: the last one did
    first_seen_at  when the mirror first had this record
    seconds        inbound seconds of `seconds_month` (``2026-11``), in which it was read; None: the provider doesn't say.
                   `seconds_by_month`: the last value seen of each month before, such as ``{"2026-10": 1200}``
    unused_since   no call came since then, as far as the monthly seconds show; None: not known
    confirmed_at   when jobs confirmed parts of it that no later sweep has shown yet: route, sms, documents
    """

    model_config = ConfigDict(frozen=True)

    number: str
    record_id: int
    status: str
    required_documents: tuple[str, ...] = ()
    documents: tuple[Document, ...] = ()
    document_titles: dict[str, str] = {}
    country_iso_code: str = ""
    city: str = ""
    label: str | None = None
    route: Route = ()
    sms_enabled: bool = False
    sms_relay_url: str | None = None
    setup_usd: Usd = Decimal(0)
    monthly_usd: Usd = Decimal(0)
    channels: int | None = None
    added: AwareDatetime | None = None
    paid_until: AwareDatetime | None = None
    seconds: int | None = None
    seconds_month: str = ""
    seconds_by_month: dict[str, int] = {}
    first_seen_at: AwareDatetime
    seen_at: AwareDatetime
    missing_since: AwareDatetime | None = None
    unused_since: AwareDatetime | None = None
    confirmed_at: dict[str, AwareDatetime] = {}

    @property
    def is_active(self) -> bool:
        return self.status == "active"


class InventoryNumber(MirroredNumber):
    """The same, with what the ledger knows of it besides.

    reference, account   whom it was bought for through us
    parked_by            the release that has it parked or counts down; `lent_to`: the job that an own number was assigned to
    reserved_by          the job that holds it
    quarantined_until    our own searches leave it alone until then
    """

    reference: str | None = None
    parked_by: str | None = None
    lent_to: str | None = None
    reserved_by: str | None = None
    quarantined_until: AwareDatetime | None = None


@dataclass(frozen=True)
class MirrorState:
    """How far the mirror of an account can be believed.

    swept_at    when the last complete sweep began; None: there was none, and numbers may be missing
    age_s       seconds since then
    sweeping    a sweep is running now, since `sweep_began_at`
    trouble     why the last sweep wasn't complete; empty: it was
    gate_closed Redis restarted and isn't reconciled with the provider yet: what was confirmed last may be missing
    """

    account: str
    numbers: int
    swept_at: datetime | None = None
    age_s: float | None = None
    sweeping: bool = False
    sweep_began_at: datetime | None = None
    trouble: str = ""
    trouble_at: datetime | None = None
    gate_closed: bool = False

    @property
    def complete(self) -> bool:
        """Whether the last sweep saw the whole account."""
        return self.swept_at is not None and not self.trouble


SortField = Literal["number", "monthly_usd", "setup_usd", "channels", "added", "paid_until", "seconds", "unused_since"]
SORTS: tuple[SortField, ...] = ("number", "monthly_usd", "setup_usd", "channels", "added", "paid_until", "seconds", "unused_since")
Amount = Annotated[Usd, Field(ge=0, le=100_000)]
Whole = Annotated[int, Field(ge=0, le=1_000_000_000, strict=True)]
Days = Annotated[Span, Field(gt=timedelta(0), le=timedelta(days=36_500))]
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=PRINTABLE)]
Words = Annotated[str, Field(min_length=1, max_length=255)]

#: What a number may lack. `trunk_id`: no SIP trunk is among its destinations; `document`: it needs and has none.
Part = Literal["label", "city", "country", "reference", "destination", "trunk_id", "sms_relay_url", "document"]


def _parts_given(parts: object) -> object:
    """A text is a list with commas: on a command line and in an address."""
    return [part.strip() for part in parts.split(",")] if isinstance(parts, str) else parts


def _each_once(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    return tuple(sorted(set(parts)))


Parts = Annotated[tuple[Part, ...], BeforeValidator(_parts_given), AfterValidator(_each_once), Field(min_length=1, max_length=20)]


class InventoryFilter(Checked):
    """Numbers by what the mirror shows; every field given must match, and none is needed. Texts match without regard to case.

    search          part of the number's digits
    without         what the number lacks, such as ``("label", "reference")``: it has none of them. In a text with commas
    document        a type of document that the number needs or has
    trunk_id, destination   one of the number's destinations
    unused_for      no call came for so long, as far as the provider's monthly seconds show; unknown doesn't match
    renewal_within  `paid_until` lies within this time from now, or is over
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    search: Annotated[str, Field(min_length=1, max_length=16, pattern=r"^\+?[0-9]+$")] | None = None
    record_id: ProviderId | None = None
    status: Text | None = None
    document: Text | None = None
    country: Text | None = None
    city: Text | None = None
    label: Text | None = None
    trunk_id: ProviderId | None = None
    destination: Text | None = None
    sms: Flag | None = None
    sms_relay_url: Words | None = None
    setup_usd_min: Amount | None = None
    setup_usd_max: Amount | None = None
    monthly_usd_min: Amount | None = None
    monthly_usd_max: Amount | None = None
    channels_min: Whole | None = None
    channels_max: Whole | None = None
    added_after: Moment | None = None
    added_before: Moment | None = None
    paid_until_after: Moment | None = None
    paid_until_before: Moment | None = None
    renewal_within: Days | None = None
    seconds_min: Whole | None = None
    seconds_max: Whole | None = None
    unused_for: Days | None = None
    reference: Text | None = None
    parked: Flag | None = None
    lent: Flag | None = None
    reserved: Flag | None = None
    quarantined: Flag | None = None
    missing: Flag | None = None
    without: Parts | None = None

    @classmethod
    def faults_between(cls, given: Mapping[str, Any], bad: Collection[str]) -> Iterator[str]:
        lacking = _parts_given(given.get("without")) if "without" not in bad else None
        for part in get_args(Part):
            if isinstance(lacking, Collection) and part in lacking and given.get(part) is not None:
                yield f"{part} is given, and without names it: no number would match"
        for low, high, kind in _RANGES:
            if {low, high} & set(bad) or given.get(low) is None or given.get(high) is None:
                continue
            # With another fault in the filter the values are as they came: one a text, perhaps, and one a number.
            if kind.validate_python(given[low]) > kind.validate_python(given[high]):
                yield f"{low} is above {high}: no number would match"

    @field_validator("country")
    @classmethod
    def _stripped(cls, country: str | None) -> str | None:
        return country.strip() if country is not None else None


_AMOUNT, _WHOLE, _MOMENT = TypeAdapter[Any](Amount), TypeAdapter[Any](Whole), TypeAdapter[Any](Moment)
_RANGES = (
    ("setup_usd_min", "setup_usd_max", _AMOUNT),
    ("monthly_usd_min", "monthly_usd_max", _AMOUNT),
    ("channels_min", "channels_max", _WHOLE),
    ("added_after", "added_before", _MOMENT),
    ("paid_until_after", "paid_until_before", _MOMENT),
    ("seconds_min", "seconds_max", _WHOLE),
)
ALL_NUMBERS = InventoryFilter()


class InventoryQuery(Checked):
    """One page of a list. `sort`: a field of `SORTS`, with ``-`` before it for the largest first. `cursor`: a page's `next_cursor`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    matching: InventoryFilter = ALL_NUMBERS
    sort: str = "number"
    limit: Annotated[int, Field(ge=1, le=MOST_LISTED, strict=True)] = 100
    cursor: Annotated[str, Field(max_length=500)] | None = None

    @field_validator("sort")
    @classmethod
    def _known(cls, sort: str) -> str:
        name = sort.removeprefix("-")
        if name not in SORTS:
            nearest = get_close_matches(name, SORTS, n=1)
            hint = f"write {nearest[0]}" if nearest else f"write one of {', '.join(SORTS)}"
            raise ValueError(f"{sort[:40]!r} can't be sorted by: {hint}")
        return sort


@dataclass(frozen=True)
class InventoryPage:
    """Numbers of a list, and where it goes on. `next_cursor` None: this is the end."""

    state: MirrorState
    numbers: tuple[InventoryNumber, ...]
    next_cursor: str | None


@dataclass(frozen=True)
class InventoryTotals:
    """Of the numbers that a filter matches. Monthly amounts in USD; `renewals` within `renewal_days` from now, overdue ones included."""

    state: MirrorState
    numbers: int
    active: int
    missing: int
    monthly_usd: Decimal
    renewal_days: int
    renewals: int
    renewals_usd: Decimal


@dataclass(frozen=True)
class Possible:
    """An action on a number now. `why_not` empty: it may be submitted."""

    action: str
    why_not: str = ""


@dataclass(frozen=True)
class NumberFile:
    """All that is known of one number: as it is, what happened to it, what may be done now. `number` None: the mirror doesn't have it."""

    state: MirrorState
    name: str
    number: InventoryNumber | None
    history: History
    possible: tuple[Possible, ...]


def goes_to(route: Route, wanted: str) -> bool:
    """Whether one of these destinations is called so: as it is shown, or without its kind."""
    return any(wanted.casefold() in (str(one).casefold(), one.destination.casefold()) for one in route)


def matches(number: InventoryNumber, wanted: InventoryFilter, now: datetime) -> bool:
    """Whether the number is what the filter describes: the rule, which the ledger's columns only make faster."""
    return all(_tests(number, wanted, now))


def _tests(number: InventoryNumber, wanted: InventoryFilter, now: datetime) -> Iterator[bool]:
    yield wanted.search is None or wanted.search.removeprefix("+") in number.number
    yield wanted.record_id is None or wanted.record_id == number.record_id
    yield wanted.status is None or _same(number.status, wanted.status)
    kinds = {*number.required_documents, *(one.kind for one in number.documents)}
    yield wanted.document is None or any(_same(kind, wanted.document) for kind in kinds)
    yield wanted.country is None or same_country(number.country_iso_code, wanted.country)
    yield wanted.city is None or _same(number.city, wanted.city)
    yield wanted.label is None or (number.label or "") == wanted.label
    yield wanted.trunk_id is None or any(one.goes_to_trunk(wanted.trunk_id) for one in number.route)
    yield wanted.destination is None or goes_to(number.route, wanted.destination)
    yield wanted.sms is None or number.sms_enabled == wanted.sms
    yield wanted.sms_relay_url is None or (number.sms_relay_url or "") == wanted.sms_relay_url
    yield _between(number.setup_usd, wanted.setup_usd_min, wanted.setup_usd_max)
    yield _between(number.monthly_usd, wanted.monthly_usd_min, wanted.monthly_usd_max)
    yield _between(number.channels, wanted.channels_min, wanted.channels_max)
    yield _between(number.added, wanted.added_after, wanted.added_before)
    yield _between(number.paid_until, wanted.paid_until_after, wanted.paid_until_before)
    yield wanted.renewal_within is None or _between(number.paid_until, None, now + wanted.renewal_within)
    yield _between(number.seconds, wanted.seconds_min, wanted.seconds_max)
    yield wanted.unused_for is None or _between(number.unused_since, None, now - wanted.unused_for)
    yield wanted.reference is None or number.reference == wanted.reference
    yield wanted.parked is None or (number.parked_by is not None) == wanted.parked
    yield wanted.lent is None or (number.lent_to is not None) == wanted.lent
    yield wanted.reserved is None or (number.reserved_by is not None) == wanted.reserved
    yield wanted.quarantined is None or (number.quarantined_until is not None) == wanted.quarantined
    yield wanted.missing is None or (number.missing_since is not None) == wanted.missing
    yield wanted.without is None or all(lacks(number, number.reference, part) for part in wanted.without)


def lacks(number: MirroredNumber | OwnedNumber, reference: str | None, part: Part) -> bool:
    """Whether it has none of that. `reference`: whom it was bought for."""
    match part:
        case "label":
            return not number.label
        case "city":
            return not number.city
        case "country":
            return not number.country_iso_code
        case "reference":
            return not reference
        case "destination":
            return not number.route
        case "trunk_id":
            return all(one.transport != Transport.SIP_TRUNK for one in number.route)
        case "sms_relay_url":
            return not number.sms_relay_url
        case "document":
            return not number.required_documents and not number.documents


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


def _between(value: Any, low: Any, high: Any) -> bool:
    """Whether it lies there, both ends included. A value that isn't known lies nowhere."""
    if low is None and high is None:
        return True
    return value is not None and (low is None or value >= low) and (high is None or value <= high)


def renewal_days_given(days: int) -> int:
    """Raises InvalidRequest for what is no number of days from 0 to 3650."""
    if isinstance(days, bool) or not isinstance(days, int) or not 0 <= days <= MOST_RENEWAL_DAYS:
        what = f"is a whole number of days from 0 to {MOST_RENEWAL_DAYS}"
        raise InvalidRequest(f"renewal_days: {what}", (("renewal_days", what),))
    return days
