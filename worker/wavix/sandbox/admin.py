"""The sandbox's own door, for tests and demos: read its money ledger, script faults, play the provider's staff and other customers."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import parse_qs, urlencode

from pydantic import ValidationError

from worker.wavix.sandbox.accounts import AccountState, Record
from worker.wavix.sandbox.faults import Fault
from worker.wavix.sandbox.stock import StockCity, StockCountry, StockNumber
from worker.wavix.sandbox.world import World

if TYPE_CHECKING:
    from worker.wavix.sandbox.service import Service


#: Countries and cities of copied numbers have ids from here on.
COPIED_IDS = 1_000_000


def set_balance(world: World, usd: str, account: str = "default") -> None:
    world.accounts[account].balance_usd = Decimal(usd)


def set_key_valid(world: World, valid: bool, account: str = "default") -> None:
    world.accounts[account].key_valid = valid


def set_flex_pro(world: World, flex_pro: bool, account: str = "default") -> None:
    world.accounts[account].flex_pro = flex_pro


def seed_owned(
    world: World,
    count: int,
    destinations: Sequence[dict[str, Any]] = (),
    label: str | None = None,
    account: str = "default",
    days_ago: float = 30.0,
    city: str | None = None,
    approved: bool = True,
) -> list[str]:
    """Give the account numbers of the stock without money, the cheapest way to a large account: it has had them for so long.

    Those that aren't `approved` are inactive.
    """
    now = time.monotonic()
    free = [stocked for stocked in world.stock.values() if stocked.for_sale.at(now) and city in (None, stocked.city.name)][:count]
    for stocked in free:
        record = world.own(world.accounts[account], stocked, now, tuple(destinations))
        record.label, record.approved = label, approved
        record.added -= timedelta(days=days_ago)
    return [stocked.number for stocked in free]


def copy_owned(world: World, records: Sequence[dict[str, Any]], account: str = "default") -> int:
    """Give the account these numbers, as another account has them: number (digits), record_id, destinations, label, sms_relay_url,
    country (ISO code), city, active, monthly_usd. Returns how many it has then."""
    now = time.monotonic()
    countries: dict[str, StockCountry] = {}
    cities: dict[tuple[str, str], StockCity] = {}
    for place, one in enumerate(records):
        code, name = one["country"], one["city"]
        country = countries.setdefault(code, StockCountry(COPIED_IDS + len(countries), code, code, {}))
        city = cities.setdefault((code, name), StockCity(COPIED_IDS + len(cities), name, None, "", 0))
        stocked = StockNumber(one["number"], country, city, Decimal(0), Decimal(one["monthly_usd"]), sms_enabled=False)
        world.stock[stocked.number] = stocked
        record = world.own(world.accounts[account], stocked, now, tuple(one["destinations"]), record_id=one["record_id"])
        record.label, record.approved, record.sms_relay_url = one["label"], one["active"], one["sms_relay_url"]
        record.added -= timedelta(days=30, seconds=place)
    return len(world.accounts[account].records)


def set_fees(world: World, number: str, setup_usd: str, monthly_usd: str) -> None:
    world.stock[number].setup_usd, world.stock[number].monthly_usd = Decimal(setup_usd), Decimal(monthly_usd)


def show_offer(world: World, number: str, **fields: Any) -> None:
    """The stock shows these fields of the number, such as `per_min`, from now on."""
    world.stock[number].shown |= fields


def sell_to_other(world: World, number: str) -> None:
    world.sell_to_other(number)


def sell_out(world: World, city: str, keep: int = 0) -> list[str]:
    """Other customers buy the city's numbers but for the first `keep`. Returns those that they bought."""
    now = time.monotonic()
    for_sale = [stocked.number for stocked in world.stock.values() if stocked.city.name == city and stocked.for_sale.at(now)]
    for number in for_sale[keep:]:
        world.sell_to_other(number)
    return for_sale[keep:]


def restock(world: World, numbers: Sequence[str]) -> None:
    """Numbers that others had are for sale again."""
    for number in numbers:
        world.stock[number].for_sale.set(time.monotonic(), True)


def set_documents(world: World, number: str, kinds: Sequence[int]) -> None:
    """The number needs these documents from now on."""
    stocked = world.stock[number]
    stocked.country = replace(stocked.country, documents=tuple(kinds))


def approve_documents(world: World, number: str, account: str = "default") -> None:
    _record(world, account, number).approved = True


def review_documents(
    world: World, number: str, verdict: Literal["approved", "rejected"] = "approved", kind: int | None = None, account: str = "default"
) -> int:
    """The staff decides on the number's documents that are under review, or on those of one type; how many there were."""
    return world.review(_record(world, account, number), verdict, kind)


def set_number(
    world: World,
    number: str,
    label: str | None = None,
    seconds: int | None = None,
    paid_until: str | None = None,
    sms_relay_url: str | None = None,
    sms_enabled: bool | None = None,
    account: str = "default",
) -> None:
    """Change what the API itself can't; what isn't given stays."""
    record = _record(world, account, number)
    record.label = label if label is not None else record.label
    record.seconds = seconds if seconds is not None else record.seconds
    record.paid_until = date.fromisoformat(paid_until) if paid_until else record.paid_until
    record.sms_relay_url = sms_relay_url or record.sms_relay_url
    record.sms_enabled = sms_enabled if sms_enabled is not None else record.sms_enabled


def lose_number(world: World, number: str, account: str = "default") -> None:
    """The number leaves the account without a call of its own."""
    _record(world, account, number).ours.set(time.monotonic(), False)


def set_destinations(world: World, number: str, destinations: Sequence[dict[str, Any]], account: str = "default") -> None:
    """The route is changed elsewhere."""
    _record(world, account, number).destinations.set(time.monotonic(), tuple(destinations))


def charge(world: World, kind: int, usd: str, details: str, account: str = "default", days_ago: float = 0.0) -> None:
    """Take this from the balance, as a monthly fee (kind 3) does, or another charge; below zero: give it back."""
    charged = world.accounts[account]
    charged.balance_usd -= Decimal(usd)
    charged.list_charges([(kind, Decimal(usd), details)], world.transaction_ids)
    charged.transactions[-1] = replace(charged.transactions[-1], at=charged.transactions[-1].at - timedelta(days=days_ago))


def set_transaction(world: World, place: int, account: str = "default", **changes: Any) -> None:
    """Change a listed transaction: the newest is at place -1. `usd` is what it took."""
    charged = world.accounts[account]
    if "usd" in changes:
        changes["amount_usd"] = -Decimal(changes.pop("usd"))
    charged.transactions[place] = replace(charged.transactions[place], **changes)


def reconfigure(world: World, **changes: Any) -> None:
    world.reconfigure(**changes)


VERBS: dict[str, Callable[..., Any]] = {
    verb.__name__: verb
    for verb in (
        set_balance,
        set_key_valid,
        set_flex_pro,
        seed_owned,
        set_fees,
        show_offer,
        sell_to_other,
        sell_out,
        restock,
        set_documents,
        approve_documents,
        review_documents,
        set_number,
        set_destinations,
        lose_number,
        charge,
        copy_owned,
        set_transaction,
        reconfigure,
    )
}


def administer(service: "Service", method: str, path: str, body: bytes) -> tuple[int, Any]:
    """Answer one call under /sandbox/."""
    with service.world.lock:
        try:
            match method, path.partition("?")[0]:
                case "GET", "/sandbox/ledger":
                    return 200, [asdict(entry) for entry in service.world.ledger]
                case "GET", "/sandbox/state":
                    return 200, _state(service)
                case "GET", "/sandbox/traffic":
                    return 200, service.traffic.summary()
                case "GET", "/sandbox/calls":
                    numbers = parse_qs(path.partition("?")[2]).get("number", [])
                    return 200, service.journal.of(numbers)
                case "POST", "/sandbox/faults":
                    service.faults.add(Fault.model_validate_json(body))
                    return 200, {}
                case "DELETE", "/sandbox/faults":
                    service.faults.clear()
                    return 200, {}
                case "POST", "/sandbox/admin":
                    order = json.loads(body)
                    answer = VERBS[order.pop("verb")](service.world, **order)
                    service.changed()
                    return 200, answer
            return 404, {"error": f"there is no {method} {path}"}
        except (KeyError, TypeError, ValueError, ArithmeticError, ValidationError) as error:
            return 400, {"error": f"{type(error).__name__}: {error}"}


def _state(service: "Service") -> dict[str, Any]:
    now = time.monotonic()
    accounts = {name: _account_state(account, now) for name, account in service.world.accounts.items()}
    return {"accounts": accounts, "faults": dict(service.faults.injected), **service.traffic.summary()}


def _account_state(account: AccountState, now_s: float) -> dict[str, Any]:
    return {
        "balance_usd": str(account.balance_usd),
        "cart": account.cart_at(now_s),
        "owned": {
            record.number: {
                "record_id": record.id,
                "destinations": list(record.destinations.at(now_s)),
                "label": record.label,
                "sms_relay_url": record.sms_relay_url,
                "sms_enabled": record.sms_enabled,
                "documents": [
                    {"kind": paper.kind, "status": paper.status.at(now_s), "file_name": paper.file_name, "size": paper.size}
                    for paper in record.papers
                ],
            }
            for record in account.owned_at(now_s)
        },
        "given_back": [
            {
                "number": record.number,
                "record_id": record.id,
                "came_s": record.release_came_s,
                "destinations": list(record.destinations.at(now_s)),
            }
            for record in account.records.values()
            if not record.ours.at(now_s)
        ],
    }


def _record(world: World, account: str, number: str) -> Record:
    now = time.monotonic()
    return next(record for record in world.accounts[account].owned_at(now) if record.number == number)


class SandboxAdmin:
    """The same verbs from another process."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ledger(self) -> list[dict[str, str]]:
        """Every purchase that was charged, oldest first."""
        return cast("list[dict[str, str]]", self._ask("GET", "/sandbox/ledger"))

    def charged_usd(self) -> Decimal:
        return sum((Decimal(entry["amount_usd"]) for entry in self.ledger()), Decimal(0))

    def state(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self._ask("GET", "/sandbox/state"))

    def traffic(self) -> dict[str, Any]:
        """What `state` says of calls, at once, however many numbers there are."""
        return cast("dict[str, Any]", self._ask("GET", "/sandbox/traffic"))

    def calls(self, numbers: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
        """The calls that named each of these numbers (digits), as `journal.Entry` has them; under "" those that named none."""
        query = urlencode([("number", number.removeprefix("+")) for number in numbers])
        return cast("dict[str, list[dict[str, Any]]]", self._ask("GET", f"/sandbox/calls?{query}"))

    def owned(self, account: str = "default") -> dict[str, dict[str, Any]]:
        """Owned numbers (digits) with record id, destinations, label."""
        return cast("dict[str, dict[str, Any]]", self.state()["accounts"][account]["owned"])

    def add_fault(self, call: str, kind: str, **rule: Any) -> None:
        """Script a fault; the arguments are those of `Fault`."""
        self._ask("POST", "/sandbox/faults", {"call": call, "kind": kind, **rule})

    def clear_faults(self) -> None:
        self._ask("DELETE", "/sandbox/faults")

    def order(self, verb: str, **arguments: Any) -> Any:
        """One of `VERBS`. Raises ValueError with the sandbox's words if it doesn't understand."""
        return self._ask("POST", "/sandbox/admin", {"verb": verb, **arguments})

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        payload = None if body is None else json.dumps(body, default=str).encode()
        request = urllib.request.Request(self.url + path, payload, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as refused:
            with refused:
                raise ValueError(refused.read().decode()) from None
