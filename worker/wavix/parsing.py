"""The provider's JSON read leniently: types drift between its versions, fields come and go, and money must stay exact."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation

import structlog

from worker.contract.destinations import SeenDestination
from worker.contract.numbers import from_provider
from worker.contract.provider import City, Country, Document, Offer, OwnedNumber, Region, Trunk

#: The provider's document types by id; the OpenAPI descriptions list the same three.
DOCUMENT_TYPES = {"1": "id", "2": "address", "3": "localaddress"}

Fields = Mapping[str, object]

log = structlog.stdlib.get_logger("didflow.wavix")


class Unreadable(ValueError):
    """Something that can't be done without is missing, or not what it should be."""


def country(raw: Fields) -> Country:
    return Country(
        id=_int(raw, "id"),
        name=_text(raw, "name"),
        iso_code=_text(raw, "short_name") or None,
        has_regions=_yes(raw, "has_provinces_or_states"),
    )


def region(raw: Fields) -> Region:
    return Region(id=_int(raw, "id"), name=_text(raw, "name"))


def city(raw: Fields) -> City:
    return City(id=_int(raw, "id"), name=_text(raw, "name"), area_code=_text(raw, "area_code"))


def offer(raw: Fields) -> Offer:
    """A number in stock or in the cart. One without readable fees is Unreadable: it must not be bought."""
    return Offer(
        number=_number(raw),
        setup_usd=_usd(raw, "activation_fee"),
        monthly_usd=_usd(raw, "monthly_fee"),
        channels=_maybe_int(raw, "channels"),
        sms_enabled=_yes(raw, "sms_enabled"),
        documents=_documents_needed(raw),
        city=_text(raw, "city"),
        country_iso_code=_text(raw, "country_short_name"),
    )


def offers(raws: object) -> tuple[Offer, ...]:
    """The readable ones; the others are left in the shop."""
    if raws is None:
        raise Unreadable("a list was expected")
    found = []
    for raw in rows(raws):
        try:
            found.append(offer(raw))
        except Unreadable as error:
            log.warning("wavix.offer_unreadable", number=str(raw.get("number"))[:20], error=str(error))
    return tuple(found)


def owned_number(raw: Fields) -> OwnedNumber:
    """A number of the account. Unreadable without record id or number."""
    return OwnedNumber(
        record_id=_int(raw, "id"),
        number=_number(raw),
        status=_text(raw, "status"),
        added=moment(raw.get("added")),
        paid_until=moment(raw.get("paid_until")),
        setup_usd=_maybe_usd(raw, "activation_fee"),
        monthly_usd=_maybe_usd(raw, "monthly_fee"),
        route=tuple(destination(one) for one in rows(raw.get("destination"))),
        label=_text(raw, "label") or None,
        sms_enabled=_yes(raw, "sms_enabled"),
        sms_relay_url=_text(raw, "sms_relay_url") or None,
        required_documents=_documents_needed(raw),
        documents=tuple(
            Document(kind=_document_type(one.get("doc_type_id")), status=_text(one, "status"), id=_maybe_int(one, "id"))
            for one in rows(raw.get("documents"))
        ),
        seconds=_maybe_int(raw, "seconds") or 0,
        channels=_maybe_int(raw, "channels"),
        city=_text(raw, "city"),
        country_iso_code=_text(raw, "country_short_name"),
    )


def destination(raw: Fields) -> SeenDestination:
    return SeenDestination(
        transport=_maybe_int(raw, "transport") or 0,
        destination=_text(raw, "destination"),
        priority=_maybe_int(raw, "priority") or 1,
        trunk_id=_maybe_int(raw, "trunk_id"),
    )


def trunk(raw: Fields) -> Trunk:
    return Trunk(id=_int(raw, "id"), label=_text(raw, "label"), name=_text(raw, "name"), status=_text(raw, "status"))


def balance_usd(raw: Fields) -> Decimal:
    """May be below zero."""
    amount = _decimal(raw.get("balance"))
    if amount is None:
        raise Unreadable("balance")
    return amount


def rows(raw: object) -> tuple[Fields, ...]:
    """The objects in a list; null is an empty one."""
    if raw is None:
        return ()
    if not isinstance(raw, list):
        raise Unreadable("a list was expected")
    return tuple(one for one in raw if isinstance(one, dict))


def listed(raw: Fields, name: str) -> tuple[Fields, ...]:
    """The list that an answer must hold. A missing one must not look like an empty one: "not owned" would mean "buy again"."""
    value = raw.get(name)
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise Unreadable(name)
    return tuple(value)


def owned_numbers(raw: Fields) -> tuple[OwnedNumber, ...]:
    """A page of the owned list, all of it. Unreadable too without the number of pages: what is on the others would be missing."""
    pagination = raw.get("pagination")
    if not isinstance(pagination, dict) or _maybe_int(pagination, "total_pages") is None:
        raise Unreadable("pagination")
    return tuple(owned_number(one) for one in listed(raw, "items"))


def cart(raw: Fields) -> tuple[Offer, ...]:
    """All that is in the cart. One that can't be read is an error: a purchase rests on what is *not* in it."""
    return tuple(offer(one) for one in listed(raw, "dids"))


def pages(raw: Fields) -> tuple[int, int, int]:
    """Current page, pages in total, items in total."""
    pagination = raw.get("pagination")
    fields: Fields = pagination if isinstance(pagination, dict) else {}
    return _maybe_int(fields, "current_page") or 1, _maybe_int(fields, "total_pages") or 1, _maybe_int(fields, "total") or 0


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


def _documents_needed(raw: Fields) -> tuple[str, ...]:
    listed = raw.get("require_docs")
    return tuple(_document_type(kind) for kind in listed) if isinstance(listed, list) else ()


def _document_type(kind: object) -> str:
    return DOCUMENT_TYPES.get(str(kind), str(kind))


def _number(raw: Fields) -> str:
    digits = str(raw.get("number") or raw.get("id") or "").removeprefix("+")
    if not digits.isdigit():
        raise Unreadable("number")
    return from_provider(digits)


def _text(raw: Fields, name: str) -> str:
    value = raw.get(name)
    return "" if value is None else str(value)


def _yes(raw: Fields, name: str) -> bool:
    return raw.get(name) in (True, 1, "true", "1")


def _int(raw: Fields, name: str) -> int:
    value = _maybe_int(raw, name)
    if value is None:
        raise Unreadable(name)
    return value


def _maybe_int(raw: Fields, name: str) -> int | None:
    amount = _decimal(raw.get(name))
    return int(amount) if amount is not None else None


def _usd(raw: Fields, name: str) -> Decimal:
    amount = _decimal(raw.get(name))
    if amount is None or amount < 0:
        raise Unreadable(name)
    return amount


def _maybe_usd(raw: Fields, name: str) -> Decimal:
    amount = _decimal(raw.get(name))
    return amount if amount is not None and amount >= 0 else Decimal(0)


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        amount = Decimal(value.strip() if isinstance(value, str) else value)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None
