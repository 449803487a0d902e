"""The API's calls: which path is which call, and what it answers. Both dialects; what differs is said in the table."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from worker.wavix.sandbox import shapes, stock
from worker.wavix.sandbox.accounts import AccountState, Record
from worker.wavix.sandbox.documents import upload_of
from worker.wavix.sandbox.options import ListPages, ReleaseIds, SandboxOptions
from worker.wavix.sandbox.stock import StockCountry
from worker.wavix.sandbox.transactions import matching, shown
from worker.wavix.sandbox.world import World, refusal, trunks_of

T = TypeVar("T")

#: The two families of paths under which an account's numbers are.
Family = Literal["mydids", "numbers"]


@dataclass
class Request:
    """A parsed request of an account. `bearer`: it speaks the newer dialect.

    `as_of_s`: the moment that lists show; `came_s`: when it came, by the wall clock; `at_most`: what the cart takes at most (a fault's
    wish). `account`, `fault` and `acted` are for the journal: whose it is, what struck it, and the status of what it did.
    """

    query: dict[str, list[str]]
    body: Any
    path: tuple[str, ...] = ()
    bearer: bool = False
    as_of_s: float = field(default_factory=time.monotonic)
    came_s: float = field(default_factory=time.time)
    at_most: int | None = None
    account: str = ""
    fault: str = ""
    acted: int | None = None

    def ids(self) -> list[str]:
        """The `ids` of a body, as texts. Refused if there are none."""
        ids = self.body.get("ids") if isinstance(self.body, dict) else None
        if not isinstance(ids, list) or not ids:
            raise refusal(400, "ids is missing")
        return [str(one) for one in ids]

    def record_ids(self) -> list[int]:
        ids = self.ids()
        if not all(one.isdigit() for one in ids):
            raise refusal(400, "ids is invalid")
        return [int(one) for one in ids]


Answer = tuple[int, Any]
Handler = Callable[[World, AccountState, Request], Answer]


def countries(world: World, account: AccountState, request: Request) -> Answer:
    shown = [shapes.country(country, short_names=world.options.short_names) for country in _countries(world)]
    return 200, shapes.places("countries", shown, request.query, world.options.place_lists)


def regions(world: World, account: AccountState, request: Request) -> Answer:
    country = _country(world, request)
    if not country.has_regions:
        raise refusal(422, "Country has no regions")
    shown = [{"id": region_id, "name": name} for region_id, (name, _) in country.regions.items()]
    return 200, shapes.places("regions", shown, request.query, world.options.place_lists)


def cities(world: World, account: AccountState, request: Request) -> Answer:
    country = _country(world, request)
    region = country.regions.get(int(request.path[1]) if len(request.path) > 1 else 0)
    if region is None:
        raise refusal(404, "Region not found")
    return 200, shapes.places("cities", [shapes.city(city) for city in region[1]], request.query, world.options.place_lists)


def dids(world: World, account: AccountState, request: Request) -> Answer:
    city = _country(world, request).city(int(request.path[1]))
    if city is None:
        raise refusal(404, "City not found")
    sms_only = request.query.get("text_enabled_only", [""])[0] == "true"
    wanted = request.query.get("type_filter", ["all"])[0]
    if "type_filter" in request.query and (world.options.type_filter == "refused" or wanted not in ("all", "geo", "toll-free")):
        raise refusal(400, "type_filter is invalid")
    toll_free = {"geo": (False,), "toll-free": (True,)}.get(wanted if world.options.type_filter == "works" else "all", (False, True))
    found = [
        stocked
        for stocked in world.stock_of(city.id)
        if stocked.for_sale.at(request.as_of_s) and (stocked.sms_enabled or not sms_only) and stocked.is_toll_free in toll_free
    ]
    page, pagination = shapes.stock_page(found, request.query, world.options.stock_pages, world.options.most_per_page)
    offers = [shapes.offer(stocked, by_name=_by_name(world)) for stocked in page]
    left_out = world.options.offers_leave_out
    return 200, {"dids": [{name: offer[name] for name in offer if name not in left_out} for offer in offers], "pagination": pagination}


def cart_put(world: World, account: AccountState, request: Request) -> Answer:
    added = world.put_in_cart(account, request.ids(), at_most=request.at_most)
    if world.options.cart_answers == "all":
        added = [world.stock[number] for number in account.cart_at(time.monotonic())]
    return 200, [shapes.offer(stocked, by_name=_by_name(world)) for stocked in added]


def cart(world: World, account: AccountState, request: Request) -> Answer:
    numbers = account.cart_at(request.as_of_s - world.options.cart_lag_s)
    offers = [shapes.offer(world.stock[number], by_name=_by_name(world)) for number in numbers]
    return 200, {"dids": offers, "doc_types": shapes.document_types()}


def cart_delete(world: World, account: AccountState, request: Request) -> Answer:
    world.take_from_cart(account, request.ids())
    return 200, {"success": True}


def checkout(world: World, account: AccountState, request: Request) -> Answer:
    world.check_out(account, request.ids())
    return 201, {"success": True}


def owned(world: World, account: AccountState, request: Request) -> Answer:
    found = account.owned_at(request.as_of_s)
    wanted = {name: values[0] for name, values in request.query.items()}
    for name, does in (("search", world.options.search), ("label", world.options.label_filter)):
        if does == "ignored":
            wanted.pop(name, None)
        elif does == "silent" and wanted.get(name):
            found = []
    for fits in _filters(wanted):
        found = [record for record in found if fits(record)]
    page, pagination = _list_page(found, request.query, world.options, world.options.owned_pages)
    items = [_shown(world, record, request.as_of_s) for record in page]
    return 200, {"items": items, "doc_types": shapes.document_types(), "pagination": pagination}


def _list_page(
    found: Sequence[T], query: dict[str, list[str]], options: SandboxOptions, pages: ListPages
) -> tuple[list[T], dict[str, int]]:
    def page_of(page: int | None = None) -> tuple[list[T], dict[str, int]]:
        return shapes.page_of(found, query if page is None else query | {"page": [str(page)]}, options.most_per_page)

    page, pagination = page_of()
    match pages:
        case "too_few":
            return page, pagination | {"total": len(page_of(1)[0]), "total_pages": 1}
        case "first_only":
            first, _ = page_of(1)
            return ([] if pagination["current_page"] > 1 else first), pagination | {"total": len(first), "total_pages": 1}
        case "repeated":
            return page_of(1)[0], pagination
        case "end_refused" if pagination["current_page"] > pagination["total_pages"]:
            raise refusal(422, "page is out of range")
        case "last_again" if not page:
            return page_of(pagination["total_pages"])
    return page, pagination


def owned_one(world: World, account: AccountState, request: Request) -> Answer:
    return 200, _shown(world, _record(world, account, request), request.as_of_s)


def update_one(world: World, account: AccountState, request: Request) -> Answer:
    record = _record(world, account, request)
    changes = _object(request.body)
    if changes.get("sms_relay_url") is not None and not (record.sms_enabled or changes.get("sms_enabled")):
        raise refusal(422, "SMS is not enabled on the number")
    world.patch([record], changes)
    return 200, _shown(world, record, time.monotonic())


def destinations(world: World, account: AccountState, request: Request) -> Answer:
    changes = _object(request.body)
    records = world.owned_records(account, request.record_ids())
    if not isinstance(changes.get("destinations"), list):
        raise refusal(400, "destinations is missing")
    world.patch(records, {name: value for name, value in changes.items() if name == "destinations" or value is not None})
    return 200, {"success": True}


def bulk_update(world: World, account: AccountState, request: Request) -> Answer:
    """Only the fields that are given change."""
    records = world.owned_records(account, request.record_ids())
    world.patch(records, _object(request.body))
    return 200, {"items": [_shown(world, record, time.monotonic()) for record in records]}


def sms_enabled(world: World, account: AccountState, request: Request) -> Answer:
    changes = _object(request.body)
    if not isinstance(changes.get("id"), int) or not isinstance(changes.get("sms_enabled"), bool):
        raise refusal(400, "Missing or invalid parameter id or sms_enabled")
    world.set_sms_enabled(world.owned_records(account, [changes["id"]]), changes["sms_enabled"])
    return 200, {"success": True}


def papers(world: World, account: AccountState, request: Request) -> Answer:
    upload = upload_of(request.body, by_name=world.options.document_types in ("names", "names_in_uploads"))
    if isinstance(upload, str):
        raise refusal(400, f"Missing or invalid parameter {upload}")
    now = time.monotonic()
    records = [account.records.get(record_id) for record_id in upload.record_ids]
    found = [record for record in records if record is not None and record.ours.at(now)]
    if len(found) != len(records):
        raise refusal(400, "Missing or invalid parameter did_ids")  # The descriptions list no 404 for this call.
    added = world.upload(found, upload)
    return 200, [shapes.document(record, paper, time.monotonic(), by_name=_by_name(world)) for record, paper in added]


def release(world: World, account: AccountState, request: Request) -> Answer:
    ids, numbers = _released_ids(world.options.release_ids, request.query), _listed(request.query, "dids")
    if bool(ids) == bool(numbers):
        raise refusal(400, "Either ids or dids must be given, not both")
    if numbers:
        by_number = {record.number: record.id for record in account.owned_at(time.monotonic())}
        ids = [str(by_number.get(number, 0)) for number in numbers]
    world.release(world.owned_records(account, [int(one) if one.isdigit() else 0 for one in ids]), request.came_s)
    return 200, {"success": True}


def trunks(world: World, account: AccountState, request: Request) -> Answer:
    page, pagination = _list_page(trunks_of(world.options), request.query, world.options, world.options.trunk_pages)
    return 200, {"sip_trunks": [shapes.trunk(*one, with_token=request.bearer) for one in page], "pagination": pagination}


def profile(world: World, account: AccountState, request: Request) -> Answer:
    limits = {"max_call_duration": 3600, "max_sip_channels": 8, "max_call_rate": "99.0"}
    return 200, {"balance": str(account.balance_usd), "global_limits": limits}


def transactions(world: World, account: AccountState, request: Request) -> Answer:
    try:
        found = matching(account.transactions, request.query, world.options.charge_filter)
    except ValueError:
        raise refusal(400, "from_date or to_date is missing or invalid") from None
    page, pagination = _list_page(found, request.query, world.options, world.options.charge_pages)
    return 200, {"is_empty": not found, "transactions": [shown(one) for one in page], "pagination": pagination}


@dataclass(frozen=True)
class Route:
    """`call` is the name by which faults and counts know it. `family` None: the path is the same in both dialects.

    `scope` is what a key needs for it: a resource, and ``read`` or ``write``.
    """

    method: str
    path: re.Pattern[str]
    call: str
    answer: Handler
    family: Family | None
    scope: str


def _route(method: str, path: str, answer: Handler, family: Family | None = None, call: str | None = None) -> Route:
    resource = "numbers" if family else _RESOURCES.get(part := path.split("/")[1], part)
    scope = f"{resource}:{'read' if method == 'GET' else 'write'}"
    return Route(method, re.compile("/v1" + path.replace("{id}", r"(\d+)")), call or answer.__name__, answer, family, scope)


#: What a key's scopes call the first part of a path.
_RESOURCES = {"buy": "buy", "trunks": "trunks", "profile": "account", "billing": "billing"}


def routes(city_route: str) -> tuple[Route, ...]:
    """All calls. `city_route` is the word in the path of a city's numbers."""
    return (
        _route("GET", "/buy/countries", countries),
        _route("GET", "/buy/countries/{id}/regions", regions),
        _route("GET", "/buy/countries/{id}/cities", cities),
        _route("GET", "/buy/countries/{id}/regions/{id}/cities", cities),
        _route("GET", f"/buy/countries/{{id}}/{city_route}/{{id}}/dids", dids),
        _route("PUT", "/buy/cart", cart_put),
        _route("GET", "/buy/cart", cart),
        _route("DELETE", "/buy/cart", cart_delete),
        _route("POST", "/buy/cart/checkout", checkout),
        _route("GET", "/trunks", trunks),
        _route("GET", "/profile/config", profile),
        _route("GET", "/billing/transactions", transactions),
        _route("GET", "/mydids", owned, "mydids"),
        _route("DELETE", "/mydids", release, "mydids"),
        _route("GET", "/mydids/{id}", owned_one, "mydids"),
        _route("PUT", "/mydids/{id}", update_one, "mydids"),
        _route("POST", "/mydids/update-destinations", destinations, "mydids"),
        _route("PUT", "/mydids/update-sms-enabled", sms_enabled, "mydids"),
        _route("POST", "/mydids/papers", papers, "mydids"),
        _route("GET", "/numbers", owned, "numbers"),
        _route("DELETE", "/numbers", release, "numbers"),
        _route("PATCH", "/numbers", bulk_update, "numbers", "destinations"),
        _route("POST", "/numbers/papers", papers, "numbers"),
        _route("GET", "/numbers/{id}", owned_one, "numbers"),
        _route("PATCH", "/numbers/{id}", update_one, "numbers"),
    )


def _countries(world: World) -> tuple[StockCountry, ...]:
    return stock.countries(toll_free=world.options.toll_free)


def _country(world: World, request: Request) -> StockCountry:
    found = next((country for country in _countries(world) if country.id == int(request.path[0])), None)
    if found is None:
        raise refusal(404, "Country not found")
    return found


def _by_name(world: World) -> bool:
    return world.options.document_types in ("names", "names_in_lists")


def _shown(world: World, record: Record, moment_s: float) -> dict[str, Any]:
    return shapes.owned(record, moment_s, world.options, by_name=_by_name(world))


def _record(world: World, account: AccountState, request: Request) -> Record:
    return world.owned_records(account, [int(request.path[0])])[0]


def _object(body: Any) -> dict[str, Any]:
    return body if isinstance(body, dict) else {}


def _filters(wanted: dict[str, str]) -> Iterator[Callable[[Record], bool]]:
    """What the owned list is narrowed by; nothing for what isn't asked, so that a long list is read fast."""
    if search := wanted.get("search"):
        yield lambda record: search in record.number
    if (city_id := wanted.get("city_id")) is not None:
        yield lambda record: str(record.stock.city.id) == city_id
    if (label := wanted.get("label")) is not None:
        yield lambda record: record.label == label
    if (present := wanted.get("label_present")) is not None:
        yield lambda record: bool(record.label) == (present == "true")


def _released_ids(taken: ReleaseIds, query: dict[str, list[str]]) -> list[str]:
    """The record ids that this server sees in the call."""
    plain, brackets = query.get("ids", []), query.get("ids[]", [])
    match taken:
        case "any":
            return _listed(query, "ids") + _listed(query, "ids[]")
        case "repeat":
            return plain
        case "brackets":
            return brackets
        case "comma":
            return plain[-1].split(",") if plain else []
        case "first":
            return plain[:1]
        case "last":
            return plain[-1:]


def _listed(query: dict[str, list[str]], name: str) -> list[str]:
    return [one for value in query.get(name, []) for one in value.split(",") if one]
