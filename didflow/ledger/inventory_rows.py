"""How a number of the mirror is kept: one text per number, of parts that a script can replace one by one.

The parts are lines; each is JSON without line breaks, so that no script has to read one: slot, marks, record id, route, SMS callback,
SMS, documents, the rest of the record, what the mirror works out. A mark is a letter for a group of parts, and when a job confirmed
them, ms.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import ValidationError

from didflow.contract.destinations import Route, SeenDestination
from didflow.contract.money import parse_usd
from didflow.contract.provider import Document, OwnedNumber

#: Letter of a group by its name.
GROUPS = {"route": "r", "sms": "s", "documents": "d"}
#: Parts of the text in a script's counting, by group.
PARTS_OF = {"r": (4, 5), "s": (6,), "d": (7,)}
PARTS = 9
#: Different routes, documents and fees that are kept as they were read.
MOST_ALIKE = 4096

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """A number in the mirror. Times are the ledger's, ms; 0: not known. `confirmed`: group letter -> when a job confirmed it.

    months            inbound seconds, the last value seen, by month; `month`: of which month `owned.seconds` are
    renewal_reported  the `paid_until`, in s, of which the event was emitted
    """

    owned: OwnedNumber
    first_seen_ms: int
    unused_since_ms: int = 0
    month: str = ""
    months: Mapping[str, int] | None = None
    renewal_reported: int = 0
    confirmed: Mapping[str, int] | None = None
    slot: int | None = None

    def text(self) -> str:
        """All parts but the slot, which the script knows."""
        marks = "".join(f"{group}{at_ms}" for group, at_ms in sorted((self.confirmed or {}).items()))
        derived = [self.first_seen_ms, self.unused_since_ms, self.month, dict(self.months or {}), self.renewal_reported]
        own = [parts_of(self.owned, group) for group in ("r", "s", "d")]
        flat = [part for parts in own for part in parts.values()]
        return "\n".join((marks, str(self.owned.record_id), *flat, _rest(self.owned), _json(derived)))

    def is_as(self, other: "Row") -> bool:
        return self.text() == other.text()

    def with_owned(self, owned: OwnedNumber) -> "Row":
        return replace(self, owned=owned)


def parts_of(owned: OwnedNumber, group: str) -> dict[int, str]:
    """The parts of a group, by their place."""
    match group:
        case "r":
            return route_parts(owned.route, owned.sms_relay_url)
        case "s":
            return {6: "1" if owned.sms_enabled else "0"}
    documents = [[one.kind, one.status, one.id] for one in owned.documents]
    return {7: _json([owned.status, owned.required_documents, documents, owned.document_titles])}


def route_parts(route: Route, sms_relay_url: str | None) -> dict[int, str]:
    shown = [[int(d.transport), d.destination, d.priority, d.trunk_id, d.callhunt, d.active] for d in route]
    return {4: _json(shown), 5: _json(sms_relay_url)}


def _rest(owned: OwnedNumber) -> str:
    seconds = None if owned.seconds_unread else owned.seconds
    times = [int(one.timestamp()) if one else None for one in (owned.added, owned.paid_until)]
    fees = [str(owned.setup_usd), str(owned.monthly_usd)]
    return _json([owned.label, owned.country_iso_code, owned.city, *fees, owned.channels, *times, seconds])


def read_row(number: str, text: str | None) -> Row | None:
    """None for one that isn't there, or that another program wrote."""
    return _read(_row, number, text)


def read_owned(number: str, text: str | None) -> OwnedNumber | None:
    """Read the record alone: that takes half the time."""
    return _read(_owned, number, text)


def _read(reader: Callable[[str, Sequence[str]], T], number: str, text: str | None) -> T | None:
    parts = (text or "").split("\n")
    if len(parts) != PARTS:
        return None
    try:
        return reader(number, parts)
    except (ValueError, TypeError, LookupError, InvalidOperation, OverflowError, OSError, RecursionError, ValidationError):
        return None


def _row(number: str, parts: Sequence[str]) -> Row:
    first_seen_ms, unused_since_ms, month, months, renewal_reported = json.loads(parts[8])
    known = {str(name): int(value) for name, value in months.items()}
    times = (int(first_seen_ms), int(unused_since_ms))
    return Row(_owned(number, parts), *times, str(month), known, int(renewal_reported), _marks(parts[1]), int(parts[0]))


def _owned(number: str, parts: Sequence[str]) -> OwnedNumber:
    """Not checked again, which takes most of the time, but for types: what didflow wrote was checked before."""
    _, _, record_id, route, callback, sms, documents, rest, _ = parts
    label, country, city, setup, monthly, channels, added, paid_until, seconds = json.loads(rest)
    relay_url = None if callback == "null" else json.loads(callback)
    texts = (country, city, label or "", relay_url or "")
    counts = (channels or 0, seconds or 0)
    if not all(isinstance(one, str) for one in texts) or not all(isinstance(one, int) for one in counts):
        raise TypeError(number)
    changed = {
        "record_id": int(record_id),
        "number": number,
        "added": _moment_s(added),
        "paid_until": _moment_s(paid_until),
        "setup_usd": _usd(setup),
        "monthly_usd": _usd(monthly),
        "route": _route(route),
        "label": label,
        "sms_enabled": sms == "1",
        "sms_relay_url": relay_url,
        "seconds": seconds or 0,
        "seconds_unread": seconds is None,
        "channels": channels,
        "city": city,
        "country_iso_code": country,
    }
    return _with_documents(documents).model_copy(update=changed)


# What many numbers have in common is read once.


@lru_cache(MOST_ALIKE)
def _route(text: str) -> Route:
    return tuple(_destination(one) for one in json.loads(text))


@lru_cache(MOST_ALIKE)
def _with_documents(text: str) -> OwnedNumber:
    """Any number with these documents, and the status that depends on them."""
    status, required, shown, titles = json.loads(text)
    documents = tuple(Document(kind=kind, status=state, id=document_id) for kind, state, document_id in shown)
    required = tuple(required)
    return OwnedNumber(record_id=0, number="", status=status, required_documents=required, documents=documents, document_titles=titles)


@lru_cache(MOST_ALIKE)
def _usd(text: str) -> Decimal:
    return parse_usd(text)


def _destination(one: Sequence[Any]) -> SeenDestination:
    transport, destination, priority, trunk_id, callhunt, active = one
    return SeenDestination(
        transport=transport, destination=destination, priority=priority, trunk_id=trunk_id, callhunt=callhunt, active=active
    )


def _marks(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    group = ""
    for letter in text:
        if letter.isdigit():
            found[group] = found[group] * 10 + int(letter)
        else:
            found[group := letter] = 0
    return found


def mirrored(row: Row, seen_ms: int, missed_ms: int) -> dict[str, Any]:
    """The fields of a `MirroredNumber`."""
    owned = row.owned
    names = {letter: name for name, letter in GROUPS.items()}
    return {
        "number": owned.number,
        "record_id": owned.record_id,
        "status": owned.status,
        "required_documents": owned.required_documents,
        "documents": owned.documents,
        "document_titles": owned.document_titles,
        "country_iso_code": owned.country_iso_code,
        "city": owned.city,
        "label": owned.label,
        "route": owned.route,
        "sms_enabled": owned.sms_enabled,
        "sms_relay_url": owned.sms_relay_url,
        "setup_usd": owned.setup_usd,
        "monthly_usd": owned.monthly_usd,
        "channels": owned.channels,
        "added": owned.added,
        "paid_until": owned.paid_until,
        "seconds": None if owned.seconds_unread else owned.seconds,
        "seconds_month": row.month,
        "seconds_by_month": dict(row.months or {}),
        "first_seen_at": moment_ms(row.first_seen_ms or seen_ms),
        "seen_at": moment_ms(seen_ms),
        "missing_since": moment_ms(missed_ms) if missed_ms else None,
        "unused_since": moment_ms(row.unused_since_ms) if row.unused_since_ms else None,
        "confirmed_at": {names[group]: moment_ms(at_ms) for group, at_ms in (row.confirmed or {}).items() if group in names},
    }


def moment_ms(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _moment_s(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
