"""The provider's JSON read leniently: types drift between its versions, fields come and go, and money must stay exact.

Simple values are read by `worker.wavix.scalars`, which knows their bounds.
"""

from collections.abc import Callable, Iterator, Mapping, Sized
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Generic, Literal, TypeVar

import structlog

from didflow.contract.countries import iso_code_of
from didflow.contract.destinations import SeenDestination
from didflow.contract.numbers import from_provider
from didflow.contract.provider import UNREADABLE, City, Country, Document, Offer, OwnedNumber, Page, Region, Trunk
from didflow.contract.transactions import Transaction
from worker.pages import PER_PAGE
from worker.wavix.scalars import INT64_MAX, phone_digits, text, usd, whole, whole_up

#: The provider's document types by id; the OpenAPI descriptions list the same three.
DOCUMENT_TYPES = {"1": "id", "2": "address", "3": "localaddress"}

#: The most records in one answer, whatever a server makes of `per_page`. One takes some 3 kB in memory.
MAX_RECORDS = 5_000

#: A title of a type of documents is a few words.
MAX_TITLE_CHARS = 200
#: The contracts have three types. No more than this many are kept.
MAX_TITLES = 100

#: A list that says nothing of pages has one. Not so the owned list: what is on others would count as not ours.
ONE_PAGE = {"total_pages": 1}

DocumentForm = Literal["ids", "names"]
Fields = Mapping[str, object]
T = TypeVar("T")

log = structlog.stdlib.get_logger("didflow.wavix")


class Unreadable(ValueError):
    """Something that can't be done without is missing, or not what it should be."""


def country(raw: Fields) -> Country:
    """Without ``short_name``, which the published contracts don't have, the code is that of the name."""
    return Country(
        id=_int(raw, "id"),
        name=_text(raw, "name"),
        iso_code=_text(raw, "short_name") or iso_code_of(_text(raw, "name")),
        has_regions=_yes(raw, "has_provinces_or_states"),
    )


def region(raw: Fields) -> Region:
    return Region(id=_int(raw, "id"), name=_text(raw, "name"))


def city(raw: Fields) -> City:
    return City(id=_int(raw, "id"), name=_text(raw, "name"), area_code=_text(raw, "area_code"))


def offer(raw: Fields) -> Offer:
    """A number in stock or in the cart. One without readable fees is Unreadable: it must not be bought."""
    return Offer(
        number=_number(raw.get("number") or raw.get("id")),
        setup_usd=_usd(raw, "activation_fee"),
        monthly_usd=_usd(raw, "monthly_fee"),
        channels=_maybe_int(raw, "channels"),
        sms_enabled=_yes(raw, "sms_enabled"),
        documents=_documents_needed(raw),
        city=_text(raw, "city"),
        country_iso_code=_country_code(raw),
        per_minute_usd=_price_if_readable(raw, "per_min"),
        sms_usd=_price_if_readable(raw, "sms_price"),
        free_minutes=_maybe_int(raw, "free_min"),
        cnam=_yes_or_no(raw, "cnam"),
        domestic_cli=_yes_or_no(raw, "domestic_cli"),
        sms_unstated=_yes_or_no(raw, "sms_enabled") is None,
        documents_unstated=not isinstance(raw.get("require_docs"), list),
    )


def offers(raws: object) -> tuple[Offer, ...]:
    """The readable ones; the others are left in the shop."""
    if not isinstance(raws, list):
        raise Unreadable("a list was expected")
    _check_count(raws)
    return _read_each(raws, offer).found


def offers_page(raw: Fields, page: int, max_pages: int) -> Page[Offer]:
    """A page of a city's stock."""
    return _page({"pagination": ONE_PAGE} | dict(raw), "dids", offer, page, max_pages)


def places_page(raw: Fields, name: str, parse: Callable[[Fields], T], page: int, max_pages: int) -> Page[T]:
    """A list of places. By the contracts it has no pages; a server that has some says so in its `pagination`."""
    pagination = {**ONE_PAGE, "current_page": page}
    return _page({"pagination": pagination} | dict(raw), name, parse, page, max_pages, per_page=MAX_RECORDS)


def owned_number(raw: Fields) -> OwnedNumber:
    """A number of the account. Unreadable without record id or number, or where a part can't be read that a decision rests on."""
    return OwnedNumber(
        record_id=_int(raw, "id"),
        number=_number(raw.get("number")),
        status=_text(raw, "status"),
        added=moment(raw.get("added")),
        paid_until=moment(raw.get("paid_until")),
        setup_usd=_maybe_usd(raw, "activation_fee"),
        monthly_usd=_maybe_usd(raw, "monthly_fee"),
        route=tuple(destination(one) for one in _parts(raw, "destination")),
        label=_known_text(raw, "label") or None,  # One that is protected must not be released.
        sms_enabled=_yes(raw, "sms_enabled"),
        sms_relay_url=_known_text(raw, "sms_relay_url") or None,  # Sent back with each change of the route.
        required_documents=_documents_needed(raw),
        documents=tuple(map(_document, _parts(raw, "documents"))),
        seconds=whole_up(raw.get("seconds")) or 0,
        seconds_unread=whole_up(raw.get("seconds")) is None,
        channels=_maybe_int(raw, "channels"),
        city=_text(raw, "city"),
        country_iso_code=_country_code(raw),
    )


def destination(raw: Fields) -> SeenDestination:
    return SeenDestination(
        transport=_maybe_int(raw, "transport") or 0,
        destination=_text(raw, "destination"),
        priority=_maybe_int(raw, "priority") or 1,
        trunk_id=_maybe_int(raw, "trunk_id"),
        callhunt=_yes(raw, "callhunt") if raw.get("callhunt") is not None else None,
        active=_yes(raw, "active") if raw.get("active") is not None else None,
    )


def trunk(raw: Fields) -> Trunk:
    return Trunk(id=_int(raw, "id"), label=_text(raw, "label"), name=_text(raw, "name"), status=_text(raw, "status"))


def balance_usd(raw: Fields) -> Decimal:
    """May be below zero."""
    amount = usd(raw.get("balance"))
    if amount is None:
        raise Unreadable("balance")
    return amount


def transactions_page(raw: Fields, page: int, max_pages: int) -> Page[Transaction]:
    """A page of what the account was charged. An empty list may say so in `is_empty` alone."""
    if raw.get("is_empty") is True and not raw.get("transactions"):
        return Page((), page, page, 0)
    return _page(raw, "transactions", transaction, page, max_pages)


def transaction(raw: Fields) -> Transaction:
    """Unreadable without its id, moment, type or amount: money is compared to the cent."""
    at, amount = moment(raw.get("date")), usd(raw.get("amount"))
    if at is None or amount is None:
        raise Unreadable("date" if at is None else "amount")
    return Transaction(
        id=_int(raw, "id"),
        at=at,
        type=_int(raw, "type"),
        amount_usd=_in_cents(amount),
        balance_after_usd=usd(raw.get("balance_after")),
        details=_text(raw, "details"),
        status=_text(raw, "status"),
    )


def _in_cents(amount: Decimal) -> Decimal:
    """JSON writes 3.00 as 3.0; people read money with its cents."""
    return amount if int(amount.as_tuple().exponent) <= -2 else amount.quantize(Decimal("0.01"))


def listed(raw: Fields, name: str) -> tuple[Fields, ...]:
    """The list that an answer must hold. A missing one must not look like an empty one: "not owned" would mean "buy again"."""
    value = raw.get(name)
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise Unreadable(name)
    _check_count(value)
    return tuple(value)


def owned_page(raw: Fields, page: int, max_pages: int, per_page: int = PER_PAGE) -> Page[OwnedNumber]:
    """A page of the owned list. Whether it shows what was searched for is the caller's to see: servers ignore `search`, too."""
    return _page(raw, "items", owned_number, page, max_pages, per_page)


def with_titles(owned: OwnedNumber, titles: Mapping[str, str]) -> OwnedNumber:
    """The number with the titles of the types of documents that it needs or has."""
    kinds = {*owned.required_documents, *(one.kind for one in owned.documents)}
    known = {kind: titles[kind] for kind in sorted(kinds & titles.keys())}
    return owned.model_copy(update={"document_titles": known}) if known else owned


def owned_record(raw: Fields, record_id: int) -> OwnedNumber:
    """One record. Unreadable if it is another one than was requested."""
    found = owned_number(raw)
    if found.record_id != record_id:
        raise Unreadable(f"record {found.record_id} instead of record {record_id}")
    return found


def trunks_page(raw: Fields, page: int, max_pages: int) -> Page[Trunk]:
    """A page of the trunks, all of it: a trunk that isn't there is refused. By the contract an account without any has null for a list."""
    if "sip_trunks" in raw and raw["sip_trunks"] is None:
        return Page((), page, page, 0)
    found = tuple(trunk(one) for one in listed(raw, "sip_trunks"))
    pagination = _pagination({"pagination": ONE_PAGE} | dict(raw), page, max_pages, len(found))
    return Page(found, *pagination, per_page=_per_page(raw, PER_PAGE))


def cart(raw: Fields) -> tuple[Offer, ...]:
    """All that is in the cart. One that can't be read is an error: a purchase rests on what is *not* in it."""
    return tuple(offer(one) for one in listed(raw, "dids"))


@dataclass(frozen=True)
class _Read(Generic[T]):
    """What a list holds, and the numbers of what can't be read."""

    found: tuple[T, ...]
    unread: tuple[str | None, ...]


def _read_each(raws: list[object], parse: Callable[[Fields], T]) -> _Read[T]:
    """A record that can't be read spoils only itself."""
    found: list[T] = []
    unread: list[str | None] = []
    for raw in raws:
        fields: Fields = raw if isinstance(raw, dict) else {}
        try:
            found.append(parse(fields))
        except Unreadable as error:
            digits = phone_digits(fields.get("number"))
            unread.append(from_provider(digits) if digits else None)
            log.warning("wavix.record_unreadable", number=digits, error=str(error))
    return _Read(tuple(found), tuple(unread))


def _page(raw: Fields, name: str, parse: Callable[[Fields], T], page: int, max_pages: int, per_page: int = PER_PAGE) -> Page[T]:
    """A page of a list with its records. A null instead of the list is an empty one only where the pagination says so, too."""
    raws = raw.get(name)
    if raws is None and name in raw and _total(raw) == 0:
        raws = []
    if not isinstance(raws, list):
        raise Unreadable(name)
    _check_count(raws)
    read = _read_each(raws, parse)
    return Page(read.found, *_pagination(raw, page, max_pages, len(raws)), read.unread, _per_page(raw, per_page))


def _check_count(raws: Sized) -> None:
    if len(raws) > MAX_RECORDS:
        raise Unreadable(f"more than {MAX_RECORDS} records in one answer")


def _pagination(raw: Fields, page: int, max_pages: int, count: int) -> tuple[int, int, int]:
    """Page, pages in total, items in total.

    Unreadable without the number of pages, with another page than the one requested, with more pages than are believed, or where the
    page is empty although it says that it isn't the end of the list.
    """
    pagination = raw.get("pagination")
    fields: Fields = pagination if isinstance(pagination, dict) else {}
    total_pages, total = _maybe_int(fields, "total_pages"), _total(raw)
    current = _maybe_int(fields, "current_page") if fields.get("current_page") is not None else 1
    if total_pages is None:
        raise Unreadable("pagination")
    if current != page:
        raise Unreadable(f"page {current} instead of page {page}")
    if max(page, total_pages) > max_pages:
        raise Unreadable(f"a list of more than {max_pages} pages")
    if not count and (page < total_pages or (page == total_pages > 1) or (page == 1 and total)):
        raise Unreadable("an empty page that is not the end of the list")
    return page, total_pages, total if total is not None else 0


def _per_page(raw: Fields, requested: int) -> int:
    """How many entries a full page has: a server may put fewer on a page than were requested."""
    pagination = raw.get("pagination")
    stated = _maybe_int(pagination, "per_page") if isinstance(pagination, dict) else None
    return min(stated, requested) if stated is not None and stated > 0 else requested


def _total(raw: Fields) -> int | None:
    pagination = raw.get("pagination")
    return _maybe_int(pagination, "total") if isinstance(pagination, dict) else None


def moment(value: object) -> datetime | None:
    """A date (midnight UTC) or a date-time (UTC if it doesn't say); None for anything else."""
    if not isinstance(value, str) or not value:
        return None
    try:
        if len(value) == 10:
            return datetime.combine(date.fromisoformat(value), time(), UTC)
        read = datetime.fromisoformat(value)
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _parts(raw: Fields, name: str) -> Iterator[Fields]:
    """The objects in a list; null is an empty one. What can't be read is there all the same, as a part without fields that says so."""
    value = raw.get(name)
    for one in value if isinstance(value, list) else [] if value is None else [value]:
        yield one if isinstance(one, dict) and one else {"destination": UNREADABLE, "status": UNREADABLE}


def _document(raw: Fields) -> Document:
    """``doc_type`` is the newest contract's, with a name; ``doc_type_id`` the older ones', with an id."""
    kind = raw.get("doc_type") if raw.get("doc_type") is not None else raw.get("doc_type_id")
    return Document(kind=_document_type(kind), status=_text(raw, "status"), id=_maybe_int(raw, "id"))


def document_titles(raw: Fields) -> dict[str, str]:
    """What the provider calls its types of documents, by name; lists bring that along as ``doc_types``."""
    listed = raw.get("doc_types")
    types = [one for one in listed[:MAX_TITLES] if isinstance(one, dict)] if isinstance(listed, list) else []
    found = {_document_type(one.get("name") or one.get("id")): _text(one, "title")[:MAX_TITLE_CHARS] for one in types}
    return {kind: title for kind, title in found.items() if title and UNREADABLE not in (kind, title)}


def document_form(raw: Fields) -> DocumentForm | None:
    """How a record names types of documents, by id or by name; None where it names none."""
    shown = [*_listed_or_none(raw.get("documents")), *_listed_or_none(raw.get("require_docs"))]
    for one in shown:
        kind = (one.get("doc_type") if one.get("doc_type") is not None else one.get("doc_type_id")) if isinstance(one, dict) else one
        if known := text(kind):
            return "ids" if known.strip().isdecimal() else "names"
    return None


def _listed_or_none(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _country_code(raw: Fields) -> str:
    return _text(raw, "country_short_name") or iso_code_of(_text(raw, "country")) or _text(raw, "country")


def _documents_needed(raw: Fields) -> tuple[str, ...]:
    listed = raw.get("require_docs")
    return tuple(_document_type(kind) for kind in listed) if isinstance(listed, list) else ()


def _document_type(kind: object) -> str:
    shown = UNREADABLE if (known := text(kind)) is None else known.strip()
    return DOCUMENT_TYPES.get(shown) or (shown.casefold() if shown.casefold() in DOCUMENT_TYPES.values() else shown)


def _number(value: object) -> str:
    digits = phone_digits(value)
    if not digits:
        raise Unreadable("number")
    return from_provider(digits)


def _text(raw: Fields, name: str) -> str:
    value = text(raw.get(name))
    return UNREADABLE if value is None else value


def _known_text(raw: Fields, name: str) -> str:
    value = text(raw.get(name))
    if value is None:
        raise Unreadable(name)
    return value


def _yes(raw: Fields, name: str) -> bool:
    value = raw.get(name)
    return value is True or (isinstance(value, int | str) and value in (1, "true", "1"))


def _yes_or_no(raw: Fields, name: str) -> bool | None:
    """None where it isn't said, or not readably."""
    value = raw.get(name)
    is_no = value is False or (isinstance(value, int | str) and value in (0, "false", "0"))
    return True if _yes(raw, name) else False if is_no else None


def _int(raw: Fields, name: str) -> int:
    value = whole(raw.get(name), 1, INT64_MAX)
    if value is None:
        raise Unreadable(name)
    return value


def _maybe_int(raw: Fields, name: str) -> int | None:
    return whole(raw.get(name))


def _usd(raw: Fields, name: str) -> Decimal:
    amount = usd(raw.get(name))
    if amount is None or amount < 0:
        raise Unreadable(name)
    return amount


def _price_if_readable(raw: Fields, name: str) -> Decimal | None:
    amount = usd(raw.get(name))
    return amount if amount is not None and amount >= 0 else None


def _maybe_usd(raw: Fields, name: str) -> Decimal:
    amount = _price_if_readable(raw, name)
    return Decimal(0) if amount is None else amount
