"""The JSON of the answers, in the types that the published descriptions give, drift included."""

from collections.abc import Sequence
from typing import Any, TypeVar

from worker.wavix.sandbox.accounts import Record
from worker.wavix.sandbox.documents import Paper
from worker.wavix.sandbox.options import SandboxOptions
from worker.wavix.sandbox.stock import DOCUMENT_TYPES, StockCity, StockCountry, StockNumber
from worker.wavix.sandbox.world import trunks_of

T = TypeVar("T")


def country(stocked: StockCountry, *, short_names: bool) -> dict[str, Any]:
    return {
        "id": stocked.id,
        "name": stocked.name,
        **({"short_name": stocked.short_name} if short_names else {}),
        "has_provinces_or_states": stocked.has_regions,
    }


def city(stocked: StockCity) -> dict[str, Any]:
    return {"id": stocked.id, "name": stocked.name, "area_code": stocked.area_code}


def offer(stocked: StockNumber, *, by_name: bool = False) -> dict[str, Any]:
    return {
        "id": int(stocked.number),
        "number": stocked.number,
        "activation_fee": str(stocked.setup_usd),
        "monthly_fee": str(stocked.monthly_usd),
        "per_min": "0.01",
        "channels": "4",
        "city": stocked.city.name,
        "country": stocked.country.name,
        "country_short_name": stocked.country.short_name,
        "cnam": False,
        "domestic_cli": False,
        "free_min": 0,
        "require_docs": [_document_name(kind) for kind in stocked.country.documents] if by_name else list(stocked.country.documents),
        "sms_enabled": stocked.sms_enabled,
        "sms_price": 0,
    } | stocked.shown


def document_types() -> list[dict[str, Any]]:
    return [{"id": type_id, "name": name, "title": title} for type_id, (name, title) in DOCUMENT_TYPES.items()]


def owned(record: Record, moment_s: float, options: SandboxOptions, *, by_name: bool = False) -> dict[str, Any]:
    stocked = record.stock
    return {
        "id": record.id,
        "number": record.number,
        "activation_fee": str(record.setup_usd),
        "monthly_fee": str(record.monthly_usd),
        "per_min": "0.01",
        "city": stocked.city.name,
        "country": stocked.country.name,
        "country_short_name": stocked.country.short_name,
        "destination": [_destination(i, d, options) for i, d in enumerate(record.destinations.at(moment_s), 1)],
        "channels": 4,
        "require_docs": [_document_name(kind) if by_name else str(kind) for kind in stocked.country.documents],
        "documents": [document(record, paper, moment_s, by_name=by_name) for paper in record.papers if paper.status.at(moment_s)],
        "domestic_cli": False,
        "label": record.label,
        "status": "active" if record.approved else "inactive",
        "seconds": str(record.seconds),
        "added": record.added.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "paid_until": record.paid_until.isoformat(),
        "sms_enabled": record.sms_enabled,
        "sms_relay_url": record.sms_relay_url,
        "cnam": False,
        "call_recording_enabled": False,
        "transcription_enabled": False,
        "transcription_threshold": 6,
    } | record.settings


def document(record: Record, paper: Paper, moment_s: float, *, by_name: bool = False) -> dict[str, Any]:
    kind: dict[str, Any] = {"doc_type": _document_name(paper.kind)} if by_name else {"doc_type_id": paper.kind}
    return kind | {
        "id": paper.id,
        "allow_replace": paper.status.at(moment_s) == "rejected",
        "did_number": record.number,
        "doc_content_type": paper.content_type,
        "doc_file_name": paper.file_name,
        "status": paper.status.at(moment_s),
        "url": f"https://api.wavix.com/v1/mydids/{record.id}/papers/{paper.id}",
    }


def _document_name(kind: int) -> str:
    return DOCUMENT_TYPES[kind][0]


def _destination(place: int, given: dict[str, Any], options: SandboxOptions) -> dict[str, Any]:
    trunk_id = given.get("trunk_id")
    label, login = next(((label, login) for known, label, login in trunks_of(options) if known == trunk_id), (None, None))
    shown = str(given["destination"])
    if login is not None and options.trunk_shown != "given":
        shown = login if options.trunk_shown in ("login", "login_alone") else str(trunk_id)
        trunk_id = None if options.trunk_shown.endswith("_alone") else trunk_id
    flags = {"callhunt": bool(given.get("callhunt", False)), "active": bool(given.get("active", True))}
    return {
        "id": place,
        "destination": shown,
        "priority": int(given.get("priority", 1)),
        "transport": int(given["transport"]),
        "trunk_id": trunk_id,
        "trunk_label": label,
    } | (flags if options.destination_flags == "shown" else {})


def trunk(trunk_id: int, label: str, name: str, *, with_token: bool) -> dict[str, Any]:
    """The newer dialect lists an access token, which the older one doesn't know."""
    token: dict[str, Any] = {"access_token": None} if with_token else {}
    return token | {
        "id": trunk_id,
        "name": name,
        "label": label,
        "callerid": "14302287001",
        "auth_method": "Digest",
        "host_request": None,
        "passthrough": False,
        "multiple_numbers": True,
        "status": "active",
        "talk_time": 0,
        "charge": "0.0",
    }


def page_of(items: Sequence[T], query: dict[str, list[str]], most_per_page: int = 100) -> tuple[list[T], dict[str, int]]:
    """One page and its pagination object; `per_page` is 25 by default, `most_per_page` at most."""
    page = max(1, _number(query, "page", 1))
    per_page = min(most_per_page, max(1, _number(query, "per_page", 25)))
    total_pages = max(1, -(-len(items) // per_page))
    pagination = {"current_page": page, "per_page": per_page, "total": len(items), "total_pages": total_pages}
    return list(items[(page - 1) * per_page : page * per_page]), pagination


def places(name: str, items: Sequence[Any], query: dict[str, list[str]], lists: str) -> dict[str, Any]:
    """A list of places: whole, or in pages of two unless another size is asked for."""
    if lists == "whole":
        return {name: list(items)}
    size = {"per_page": query.get("per_page", ["2"])}
    wanted = {"page": query.get("page", ["1"]) if lists != "cut" else ["1"]}
    shown, pagination = page_of(items, wanted | size)
    if lists == "said_to_be_one":
        pagination |= {"total": len(page_of(items, size)[0]), "total_pages": 1}
    return {name: shown, "pagination": pagination | {"current_page": max(1, _number(query, "page", 1))}}


def stock_page(items: Sequence[T], query: dict[str, list[str]], pages: str, most_per_page: int) -> tuple[list[T], dict[str, int]]:
    """A page of a city's numbers, from a server that may not count its pages well."""
    asked = max(1, _number(query, "page", 1))
    shown, pagination = page_of(items, query | ({"page": ["1"]} if pages == "repeated" else {}), most_per_page)
    if pages == "one_more":
        pagination |= {"total_pages": pagination["total_pages"] + 1}
    if pages == "said_to_be_one":
        pagination |= {"total_pages": 1, "total": len(shown)}
    return shown, pagination | {"current_page": asked}


def _number(query: dict[str, list[str]], name: str, default: int) -> int:
    text = query.get(name, [""])[0]
    return int(text) if text.isdigit() else default
