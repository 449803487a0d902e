"""The requests a producer submits. Checked here, completely, before anything happens.

Every fault of a request is named at once; fields that don't exist are faults. A stored job carries `v`, the newest version that wrote it
or ran it, and no older worker takes it; one that an older version wrote is either still understood or parked by name.
"""

from collections.abc import Collection, Iterator, Mapping, Sized
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from didflow.contract.destinations import Destination, ProviderId
from didflow.contract.document_file import MAX_BYTES, DocumentKind
from didflow.contract.flags import Flag
from didflow.contract.inventory import InventoryFilter, Part, Parts
from didflow.contract.money import Usd
from didflow.contract.numbers import ListLength, NumberList, NumberType
from didflow.contract.quote_terms import Terms
from didflow.contract.release_timing import AfterMoment, Grace, Margin
from didflow.contract.texts import DIGITS, PRINTABLE, SHA256, URL, WILD
from didflow.contract.time_values import Moment
from didflow.contract.validation import Checked

#: The version of what this code stores of a job: its request, and what it writes while it runs. To be raised with any change that an
#: older worker can't read, or would drop when it writes; see tests/unit/test_stored_shape.py.
REQUEST_VERSION = 1

Text = Annotated[str, Field(min_length=1, max_length=200, pattern=PRINTABLE)]
Digits = Annotated[str, Field(min_length=1, max_length=15, pattern=DIGITS)]
HttpUrl = Annotated[str, Field(max_length=2000, pattern=URL)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)]


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class RequestBase(Checked):
    """What every request has. Each kind's model adds `kind`, a literal with a default, and stands in a record of `job_kinds`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    v: Literal[1] = 1
    #: Only look: what would be done and what it would cost; nothing is changed.
    dry_run: Flag = False


#: With a ladder these stand in its rungs.
PLACE = ("region", "city", "area_code", "prefix", "pattern")


class Rung(Checked):
    """One rung of a ladder: where to look and what to take there. The rungs are tried in their order.

    name           for the report; none: the rung's own words
    region, city, area_code, prefix, pattern   as in SearchAndBuy; left out they admit everything
    country, number_type, min_channels, max_setup_usd, max_monthly_usd, documents   left out they are the request's
    sms            ``needed`` · ``preferred``: numbers with SMS first · ``any``; left out it is the request's
    quantity       the most numbers from this rung; none: as many as are missing
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Text | None = None
    country: Text | None = None
    region: Text | None = None
    city: Annotated[tuple[Text, ...], BeforeValidator(_as_tuple), Field(max_length=50)] = ()
    area_code: Digits | None = None
    prefix: Digits | None = None
    pattern: Annotated[str, Field(min_length=1, max_length=30, pattern=WILD)] | None = None
    number_type: NumberType | None = None
    sms: Literal["needed", "preferred", "any"] | None = None
    min_channels: int | None = Field(default=None, ge=1, le=10_000, strict=True)
    max_setup_usd: Usd | None = None
    max_monthly_usd: Usd | None = None
    documents: Literal["refuse", "allow_inactive"] | None = None
    quantity: int | None = Field(default=None, ge=1, le=1000, strict=True)


class SearchAndBuy(RequestBase):
    """Buy `quantity` numbers that fit every criterion given; a criterion left out admits everything.

    country        ISO code (``US``) or the provider's name (``United States``)
    region         state or province, where the country has them
    city           one name or several, as the provider writes them (``LOS ANGELES, CA``); none = any
    area_code      digits after the country code that the number must begin with (``213``)
    prefix         digits that the whole number must begin with, country code first (``1213``)
    pattern        of the whole number's digits: digits, ``?`` for one digit, ``*`` for any (``*777``)
    number_type    ``geographic`` · ``toll_free`` · ``all`` (default); each number is checked by its own digits
    sms            the number must receive SMS
    min_channels   inbound channels at least
    max_setup_usd, max_monthly_usd   fees of one number at most
    max_total_usd  what the whole job may take from the balance now (activation and first month of all numbers)
    documents      ``refuse`` numbers that need documents (default), or ``allow_inactive``
    policy         ``all_or_nothing`` (default): check the whole cart, then one checkout · ``at_least``: with the field
                   of that name · ``best_effort``: whatever there is
    destinations, sms_relay_url   set after the purchase, as SMS is with `sms`; if that fails the numbers stay bought
    reuse          first assign what fits of our own numbers that wait in the pool (``DIDFLOW_REUSE_LABEL``), then buy the rest; with a
                   ladder rung by rung, with a quote after the numbers that it names
    ladder         rungs of criteria, tried in their order until there is enough; then region, city, area_code, prefix and pattern
                   stand in the rungs, and what else the request says holds for each rung that doesn't say otherwise
    wait_until     a standing order: where the stock has too few, continue looking until then. Nothing is bought from that moment on
    terms          what a quote promised; `submit(quote=…)` sets it
    reusable_quote of a dry run: its quote is good for any number of orders until it expires, instead of one
    """

    kind: Literal["search_and_buy"] = "search_and_buy"
    country: Text
    region: Text | None = None
    city: Annotated[tuple[Text, ...], BeforeValidator(_as_tuple), Field(max_length=50)] = ()
    area_code: Digits | None = None
    prefix: Digits | None = None
    pattern: Annotated[str, Field(min_length=1, max_length=30, pattern=WILD)] | None = None
    number_type: NumberType = "all"
    sms: Flag = False
    min_channels: int | None = Field(default=None, ge=1, le=10_000, strict=True)
    max_setup_usd: Usd | None = None
    max_monthly_usd: Usd | None = None
    max_total_usd: Usd | None = None
    documents: Literal["refuse", "allow_inactive"] = "refuse"
    quantity: int = Field(default=1, ge=1, le=1000, strict=True)
    policy: Literal["all_or_nothing", "at_least", "best_effort"] = "all_or_nothing"
    at_least: int | None = Field(default=None, ge=1, le=1000, strict=True)
    destinations: tuple[Destination, ...] = Field(default=(), max_length=20)
    sms_relay_url: HttpUrl | None = None
    reuse: Flag = False
    ladder: Annotated[tuple[Rung, ...], Field(max_length=20, json_schema_extra={"minItems": 1})] | None = None
    wait_until: Moment | None = None
    terms: Terms | None = None
    reusable_quote: Flag = False

    @field_validator("ladder", mode="before")
    @classmethod
    def _has_rungs(cls, given: object) -> object:
        if isinstance(given, Sized) and not len(given):
            raise ValueError("a ladder needs at least 1 rung; leave it out to search by the request's own criteria")
        return given

    @classmethod
    def faults_between(cls, given: Mapping[str, Any], bad: Collection[str]) -> Iterator[str]:
        at_least, quantity = given.get("at_least"), given.get("quantity", 1)
        if "policy" not in bad and (given.get("policy") == "at_least") != (at_least is not None):
            yield "policy at_least and the field at_least go together: give both or neither"
        if at_least is not None and not {"at_least", "quantity"} & set(bad) and at_least > quantity:
            yield f"at_least {at_least} is more than quantity {quantity}"
        if given.get("reusable_quote") and not given.get("dry_run") and not {"reusable_quote", "dry_run"} & set(bad):
            yield "reusable_quote goes with dry_run, which gives the quote"
        if given.get("ladder") and "ladder" not in bad:
            yield from cls._faults_of_ladder(given, bad)

    @classmethod
    def _faults_of_ladder(cls, given: Mapping[str, Any], bad: Collection[str]) -> Iterator[str]:
        if beside := [name for name in PLACE if given.get(name)]:
            yield f"with a ladder {', '.join(beside)} stand in its rungs"
        if {"quantity", "at_least", "policy"} & set(bad):
            return
        shares = [rung.quantity if isinstance(rung, Rung) else rung.get("quantity") for rung in given["ladder"]]
        least = {"all_or_nothing": given.get("quantity", 1), "at_least": given.get("at_least")}.get(given.get("policy", "all_or_nothing"))
        known = [share for share in shares if isinstance(share, int)]
        if len(known) == len(shares) and least is not None and sum(known) < least:
            yield f"the rungs allow {sum(known)} numbers together, fewer than the {least} without which nothing is bought"

    @property
    def may_need_documents(self) -> bool:
        """Whether numbers that take no calls without documents may be bought."""
        return "allow_inactive" in (self.documents, *(rung.documents for rung in self.ladder or ()))


#: Fields of a selector that are in a number's record as they are: the owned list alone says which numbers match.
IN_THE_RECORD = ("trunk_id", "destination", "label", "country", "city")

#: Fields that change by themselves: with calls, with time, with the review of documents. A number is selected by them only as the
#: provider shows it when the job runs.
CHANGE_BY_THEMSELVES = frozenset(
    {"status", "document", "paid_until_after", "paid_until_before", "renewal_within", "seconds_min", "seconds_max", "unused_for", "missing"}
)


class Selector(InventoryFilter):
    """Owned numbers by what they are now; every field given must match, and at least one is needed.

    It has every filter of the inventory. `trunk_id`, `destination`, `label`, `country` and `city` are looked for in the owned list. With
    any other field the inventory names the numbers when the job runs, if it is complete and young enough; otherwise the list is read. In
    both cases only a number that fits as the provider shows it then is selected. A large reroute doesn't wait for that: its first batches
    go to the numbers that the inventory shows so, unless one of these fields changes by itself (calls, dates, status, documents) or
    `read_routes` is given.

    An empty text is refused: a variable that isn't set must not select every number without a label. `without` says that.

    all    the explicit word for the whole account
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    all: Flag = False

    @classmethod
    def faults_between(cls, given: Mapping[str, Any], bad: Collection[str]) -> Iterator[str]:
        yield from super().faults_between(given, bad)
        named = any(given.get(name) is not None for name in InventoryFilter.model_fields)
        if "all" not in bad and bool(given.get("all")) == named:
            what = ", ".join(IN_THE_RECORD)
            yield f"a selector names what to match ({what}, or another filter of the inventory), or all: true, not both"

    @property
    def given(self) -> dict[str, Any]:
        """The filters that are given, by field."""
        return {name: value for name in InventoryFilter.model_fields if (value := getattr(self, name)) is not None}

    @property
    def changes_by_itself(self) -> bool:
        """Whether a filter is given of what changes with calls, with time, or with the review of documents."""
        return bool(self.given.keys() & CHANGE_BY_THEMSELVES) or "document" in (self.without or ())

    @property
    def conditions(self) -> InventoryFilter | None:
        """The whole of it as a filter of the inventory, where the owned list alone doesn't say which numbers match."""
        given = self.given
        return InventoryFilter.model_construct(**given) if given.keys() - set(IN_THE_RECORD) else None


class _OfNumbers(RequestBase):
    """A request about numbers that we own: exactly one of `numbers`, `record_ids`, `selector`."""

    numbers: Annotated[NumberList, ListLength(100_000)] = ()
    record_ids: tuple[ProviderId, ...] = Field(default=(), max_length=100_000)
    selector: Selector | None = None
    expected_count: Count | None = None

    @field_validator("record_ids")
    @classmethod
    def _each_once(cls, ids: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(ids)) != len(ids):
            raise ValueError("a record id is listed more than once: name each once")
        return ids

    @classmethod
    def faults_between(cls, given: Mapping[str, Any], bad: Collection[str]) -> Iterator[str]:  # noqa: ARG003 - only what is there counts
        if sum((bool(given.get("numbers")), bool(given.get("record_ids")), given.get("selector") is not None)) != 1:
            yield "name the numbers in exactly one way: numbers, record_ids or selector, and not an empty list"


class Reroute(_OfNumbers):
    """Send the numbers' calls to `destinations`, which replace the whole list of each.

    expected_count  refuse unless exactly this many numbers are selected
    max_fraction    refuse if more than this share of the account's numbers is selected (0 < share <= 1)
    canary          move this many first and continue only when they are confirmed
    deadline        after it nothing more is sent; what was not sent is reported as such
    after           the id of a reroute that must have ended first; if that one was held by a guard or failed, nothing is moved. Both guards
                    then hold for the numbers of the two together, and `expected_count` refuses only more
    snapshot_of     the id of a dry run that read these `record_ids`: if there are very many, and as far as didflow knows nothing moved
                    since, its routes are the snapshot, and nothing has to be listed before the first number moves
    read_routes     read all present routes first: otherwise those of a selector are taken from the inventory where that is young
    back_to         instead of destinations: each number's own route of that moment, from its history and the inventory. A number that
                    wasn't ours then isn't meant; one whose route of then isn't known is left as it is
    """

    kind: Literal["reroute"] = "reroute"
    destinations: tuple[Destination, ...] = Field(default=(), max_length=20)
    max_fraction: float | None = Field(default=None, gt=0, le=1, strict=True)
    canary: Count | None = None
    deadline: Moment | None = None
    after: Text | None = None
    snapshot_of: Text | None = None
    read_routes: Flag = False
    back_to: Moment | None = None

    @classmethod
    def faults_between(cls, given: Mapping[str, Any], bad: Collection[str]) -> Iterator[str]:
        yield from super().faults_between(given, bad)
        if given.get("snapshot_of") and not given.get("record_ids"):
            yield "snapshot_of goes with record_ids: those that the dry run has read"
        if not {"destinations", "back_to"} & set(bad) and bool(given.get("destinations")) == (given.get("back_to") is not None):
            yield "a reroute needs at least 1 destination, or the moment back_to: give one of them"
        if "back_to" not in bad and given.get("back_to") is not None and given.get("snapshot_of"):
            yield "snapshot_of goes with destinations, not with back_to"


class Failback(RequestBase):
    """Give every number of a reroute job its own old destinations back; numbers changed since are left alone."""

    kind: Literal["failback"] = "failback"
    job_id: Text


class Release(_OfNumbers):
    """Release numbers to the provider's stock, permanently. A selector is a dry run unless `expected_count` is given.

    Which records go is fixed when a worker first sees the job, whatever their time; each is read again at the moment it goes.

    protected_labels  numbers with one of these labels are left alone, besides those that the settings protect
    expected_reference, expected_destination   a number that wasn't bought for this reference, or doesn't go there, is left alone
    expected_without  a number that has one of these by the time it goes is left alone, as with the selector's `without`
    at              their time: with its zone, or a date, which then is over everywhere. None: now
    grace           so long after it they go. Until then `cancel` brings back what was
    before_renewal  they go no sooner than this margin before the renewal that comes after the grace period
    parking         where their calls go meanwhile
    stop_on_traffic a number that receives calls in that time stays, and an event is emitted
    reusable        in that time a purchase with `reuse` may be given a parked one; then a cancel doesn't bring it back
    """

    kind: Literal["release"] = "release"
    protected_labels: tuple[Text, ...] = Field(default=(), max_length=100)
    expected_reference: Text | None = None
    expected_destination: Text | None = None
    expected_without: Parts | None = None
    at: AfterMoment | None = None
    grace: Grace = timedelta(0)
    before_renewal: Margin | None = None
    parking: tuple[Destination, ...] = Field(default=(), max_length=20)
    stop_on_traffic: Flag = True
    reusable: Flag = False

    @model_validator(mode="before")
    @classmethod
    def _only_looks(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and given.get("selector") is not None and given.get("expected_count") is None:
            return {"dry_run": True, **given}
        return given

    @classmethod
    def faults_between(cls, given: Mapping[str, Any], bad: Collection[str]) -> Iterator[str]:
        yield from super().faults_between(given, bad)
        if given.get("selector") is not None and given.get("expected_count") is None and not given.get("dry_run"):
            yield "a release by selector needs expected_count (--expected-count): a dry run says it"
        waits = given.get("grace") or given.get("before_renewal") is not None
        if given.get("parking") and not waits and not {"grace", "before_renewal"} & set(bad):
            yield "parking needs a time in which the numbers are parked: grace or before_renewal"
        if given.get("reusable") and not given.get("parking") and "parking" not in bad:
            yield "reusable needs parking: only parked numbers can be assigned"

    @property
    def kept_reference(self) -> str | None:
        """For whom a number must have been bought, also at the moment it goes."""
        return self.expected_reference or (self.selector.reference if self.selector else None)

    @property
    def kept_destination(self) -> str | None:
        """Where a number must go, also at the moment it goes, unless this job has parked it."""
        return self.expected_destination or (self.selector.destination if self.selector else None)

    @property
    def kept_without(self) -> frozenset[Part]:
        """What a number must lack, also at the moment it goes."""
        return frozenset((*(self.expected_without or ()), *((self.selector.without or ()) if self.selector else ())))

    @property
    def counts_down(self) -> bool:
        """Whether there is a time between the request and the end of its numbers, in which it can be cancelled."""
        return self.at is not None or bool(self.grace) or self.before_renewal is not None

    @property
    def watches(self) -> bool:
        """Whether calls in that time keep a number. Until `at` they are what is expected."""
        return self.stop_on_traffic and (bool(self.grace) or self.before_renewal is not None)


class FollowDocuments(RequestBase):
    """Follow numbers that wait for documents until all take calls, with an event for every change.

    A purchase of such numbers leaves one behind by itself. Exactly one of `job_id` (a purchase), `numbers`, `record_ids`.

    deadline  then it ends as expired; none: `DIDFLOW_DOCUMENTS_DEADLINE_DAYS` after its first look
    """

    kind: Literal["follow_documents"] = "follow_documents"
    job_id: Text | None = None
    numbers: Annotated[NumberList, ListLength(1000)] = ()
    record_ids: tuple[ProviderId, ...] = Field(default=(), max_length=1000)
    deadline: Moment | None = None

    @classmethod
    def faults_between(cls, given: Mapping[str, Any], bad: Collection[str]) -> Iterator[str]:  # noqa: ARG003 - only what is there counts
        if sum((bool(given.get("numbers")), bool(given.get("record_ids")), given.get("job_id") is not None)) != 1:
            yield "name the numbers in exactly one way: job_id, numbers or record_ids, and not an empty list"


class UploadDocument(RequestBase):
    """Upload a document for numbers that need it. The file isn't part of it: the HTTP server that took it has it in memory.

    document    which type of document it is
    sha256      of the file, in hex; with `size_bytes` it is what a worker checks the file by
    """

    kind: Literal["upload_document"] = "upload_document"
    document: DocumentKind
    numbers: Annotated[NumberList, ListLength(1000, least=1)]
    sha256: Annotated[str, Field(pattern=SHA256)]
    size_bytes: Annotated[int, Field(ge=1, le=MAX_BYTES, strict=True)]


class CatalogueLook(RequestBase):
    """Look at one list of the provider's stock and keep it in the catalogue. Nothing is changed at the provider.

    what        ``countries`` · ``regions`` of a country · ``cities`` of a region, or without one of the country · ``offers`` of a city
    country_id, region_id, city_id   the provider's ids, as far as the list needs them
    """

    kind: Literal["catalogue_look"] = "catalogue_look"
    what: Literal["countries", "regions", "cities", "offers"]
    country_id: ProviderId | None = None
    region_id: ProviderId | None = None
    city_id: ProviderId | None = None

    @classmethod
    def faults_between(cls, given: Mapping[str, Any], bad: Collection[str]) -> Iterator[str]:
        if "what" in bad:
            return
        needs = {"countries": (), "regions": ("country_id",), "cities": ("country_id",), "offers": ("country_id", "city_id")}[given["what"]]
        takes = (*needs, "region_id") if given["what"] == "cities" else needs
        for name in ("country_id", "region_id", "city_id"):
            if name in needs and given.get(name) is None and name not in bad:
                yield f"{given['what']} needs {name}: the provider's id"
            if name not in takes and given.get(name) is not None:
                yield f"{given['what']} takes no {name}: leave it out"

    @property
    def question(self) -> str:
        """What its look is kept under."""
        ids = (self.country_id, self.region_id, self.city_id)
        return ".".join([self.what, *(str(one) for one in ids if one is not None)])


#: Any request. The kinds of job are in `job_kinds`; a test holds them together.
Request = SearchAndBuy | Reroute | Failback | Release | FollowDocuments | UploadDocument | CatalogueLook


AnyRequest = TypeVar("AnyRequest", bound=Checked)


def built(model: type[AnyRequest], fields: Mapping[str, Any]) -> AnyRequest:
    """A request, or a part of one, from arguments of a caller. Raises InvalidRequest with every fault."""
    return model.model_validate(dict(fields))


def is_past(deadline: datetime | None, now: datetime) -> bool:
    """Whether a deadline, if any, has passed."""
    return deadline is not None and deadline <= now
