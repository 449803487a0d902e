"""What can be filtered and sorted of the mirror's numbers, in columns of fixed width: a list reads them all, and only its page's records.

A number's line lies in a text of `PER_SEGMENT` lines, so that a script can replace a part of it. All values are written so that texts
sort as what they mean; names are digests, of which two alike are rarer than one in ten million, and a page's records are checked.
"""

import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from didflow.contract.countries import iso_code_of
from didflow.contract.destinations import Route
from didflow.contract.inventory import InventoryFilter
from didflow.ledger.inventory_rows import Row, moment_ms

#: In the order of ASCII.
DIGITS = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
_VALUES = {digit: value for value, digit in enumerate(DIGITS)}
#: As in include/inventory.lua.
PER_SEGMENT = 512
#: Column and its width, in the order of a line. `seen` and `missed` are moments, ms.
WIDTHS = {
    "number": 16,
    "seen": 7,
    "missed": 7,
    "active": 1,
    "status": 6,
    "country": 6,
    "city": 6,
    "label": 6,
    "first": 12,
    "second": 12,
    "sms": 1,
    "callback": 6,
    "monthly_usd": 5,
    "setup_usd": 5,
    "channels": 3,
    "paid_until": 6,
    "added": 6,
    "seconds": 5,
    "unused_since": 6,
}
PLACES: dict[str, slice] = {}
for _name, _width in WIDTHS.items():
    _begin = max((place.stop for place in PLACES.values()), default=0)
    PLACES[_name] = slice(_begin, _begin + _width)
#: With the line break behind it.
LINE = sum(WIDTHS.values()) + 1
NAME = 6
#: Stands in the column of the second destination for one and all after it: their names are in the record alone.
MORE = "+" * 2 * NAME
#: Amounts are kept to a hundredth of a cent.
_USD = Decimal(10_000)
#: Lines of a group of parts that a job confirms.
COLUMNS_OF = {"r": ("first", "second", "callback"), "s": ("sms",), "d": ("active", "status")}


def number_code(value: int, width: int) -> str:
    """A whole number in `width` digits of base 64; one that is too large counts as the largest."""
    left = min(max(0, value), 64**width - 1)
    digits = []
    for _ in range(width):
        left, digit = divmod(left, 64)
        digits.append(DIGITS[digit])
    return "".join(reversed(digits))


def number_of(code: str) -> int:
    """0 for what is none."""
    value = 0
    for digit in code:
        value = value * 64 + _VALUES.get(digit, 0)
    return value


def name_code(text: str) -> str:
    """The digest of a name; of the empty one its own."""
    if not text:
        return DIGITS[0] * NAME
    digest = int.from_bytes(hashlib.sha256(text.encode("utf-8", "backslashreplace")).digest()[:8])
    return number_code(digest % (64**NAME - 1) + 1, NAME)


def country_name(text: str) -> str:
    return iso_code_of(text) or text.casefold()


def usd_code(amount: Decimal, width: int) -> str:
    return number_code(int((amount * _USD).to_integral_value()), width)


def usd_of(code: str) -> Decimal:
    return Decimal(number_of(code)) / _USD


def _time_code(moment: datetime | None) -> str:
    """Seconds, 0 where it isn't known."""
    return number_code(int(moment.timestamp()) if moment else 0, 6)


def _count_code(value: int | None, width: int) -> str:
    """One more than it is; 0 where it isn't known."""
    return number_code(0 if value is None else value + 1, width)


def route_columns(route: Route, sms_relay_url: str | None) -> dict[str, str]:
    codes = [name_code(str(one).casefold()) + name_code(one.destination.casefold()) for one in route[:2]]
    codes += [DIGITS[0] * 2 * NAME] * (2 - len(codes))
    return {"first": codes[0], "second": MORE if len(route) > 2 else codes[1], "callback": name_code(sms_relay_url or "")}


def columns(row: Row, seen_ms: int, missed_ms: int) -> dict[str, str]:
    owned = row.owned
    return {
        "number": owned.number[:16].ljust(16),
        "seen": number_code(seen_ms, 7),
        "missed": number_code(missed_ms, 7),
        "active": "y" if owned.is_active else "n",
        "status": name_code(owned.status.casefold()),
        "country": name_code(country_name(owned.country_iso_code)),
        "city": name_code(owned.city.casefold()),
        "label": name_code(owned.label or ""),
        **route_columns(owned.route, owned.sms_relay_url),
        "sms": "y" if owned.sms_enabled else "n",
        "monthly_usd": usd_code(owned.monthly_usd, 5),
        "setup_usd": usd_code(owned.setup_usd, 5),
        "channels": _count_code(owned.channels, 3),
        "paid_until": _time_code(owned.paid_until),
        "added": _time_code(owned.added),
        "seconds": _count_code(None if owned.seconds_unread else owned.seconds, 5),
        "unused_since": number_code(row.unused_since_ms // 1000, 6),
    }


def line_of(row: Row, seen_ms: int, missed_ms: int = 0) -> str:
    """With its line break."""
    found = columns(row, seen_ms, missed_ms)
    return "".join(found[name] for name in WIDTHS) + "\n"


def patch(found: Mapping[str, str]) -> list[tuple[int, str]]:
    """Columns as a script writes them: where in the line, and what."""
    return [(PLACES[name].start, text) for name, text in found.items()]


def lines_in(segments: str) -> list[str]:
    """The lines of segments that hold a number."""
    found = [line for line in segments.split("\n") if line[:1] == "+"]
    return found if len(segments) % LINE == 0 else [line for line in found if len(line) == LINE - 1]


def lines_with(segments: str, code: str, offsets: Sequence[int]) -> list[str]:
    """Those of the lines that have this code at one of these places. Most lines aren't even looked at."""
    if len(segments) % LINE:
        return [line for line in lines_in(segments) if any(line.startswith(code, offset) for offset in offsets)]
    begins: dict[int, None] = {}
    place = segments.find(code)
    while place >= 0:
        if place % LINE in offsets:
            begins[place - place % LINE] = None
            place = segments.find(code, place - place % LINE + LINE)
        else:
            place = segments.find(code, place + 1)
    return [segments[begin : begin + LINE - 1] for begin in begins if segments[begin] == "+"]


def rarest(wanted: InventoryFilter) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Codes and their places, of which each line that may match has one: of the field that most likely tells it from others."""
    if wanted.label:
        return ((name_code(wanted.label), (PLACES["label"].start,)),)
    if wanted.trunk_id is not None or wanted.destination is not None:
        name = f"trunk:{wanted.trunk_id}" if wanted.trunk_id is not None else (wanted.destination or "").casefold()
        begins = (PLACES["first"].start, PLACES["second"].start)
        return ((name_code(name), (*begins, *(begin + NAME for begin in begins))), (MORE, begins[1:]))
    if wanted.city:
        return ((name_code(wanted.city.casefold()), (PLACES["city"].start,)),)
    return ()


def number_in(line: str) -> str:
    return line[:16].rstrip()


def seen_ms_in(line: str) -> int:
    return number_of(line[PLACES["seen"]])


def missed_ms_in(line: str) -> int:
    return number_of(line[PLACES["missed"]])


def narrowed(lines: Sequence[str], wanted: InventoryFilter, now: datetime) -> Sequence[str]:
    """Those of the lines that may match; what has no column is for the records to say (see `needs_records`)."""
    for test in _tests(wanted, now):
        lines = test(lines)
    return lines


#: What no column says.
_RECORDS = ("record_id", "document", "parked", "lent", "reserved", "quarantined", "reference")


def needs_records(wanted: InventoryFilter) -> bool:
    """Whether columns alone don't say which numbers match."""
    return any(getattr(wanted, name) is not None for name in _RECORDS)


def _tests(wanted: InventoryFilter, now: datetime) -> Iterator[Callable[[Sequence[str]], Sequence[str]]]:
    names = {
        "status": wanted.status.casefold() if wanted.status is not None else None,
        "country": country_name(wanted.country) if wanted.country is not None else None,
        "city": wanted.city.casefold() if wanted.city is not None else None,
        "label": wanted.label,
        "callback": wanted.sms_relay_url,
    }
    for column, name in names.items():
        if name is not None:
            yield _equal(column, name_code(name))
    if wanted.sms is not None:
        yield _equal("sms", "y" if wanted.sms else "n")
    if wanted.trunk_id is not None:
        yield _routed(name_code(f"trunk:{wanted.trunk_id}"), (0,))
    if wanted.destination is not None:
        yield _routed(name_code(wanted.destination.casefold()), (0, NAME))
    if wanted.search is not None:
        yield _holding(wanted.search.removeprefix("+"))
    if wanted.missing is not None:
        nothing = number_code(0, WIDTHS["missed"])
        yield _different("missed", nothing) if wanted.missing else _equal("missed", nothing)
    for column, low, high in _ranges(wanted, now):
        yield _between(column, low, high)


def _ranges(wanted: InventoryFilter, now: datetime) -> Iterable[tuple[str, str | None, str | None]]:
    for name in ("setup_usd", "monthly_usd"):
        low, high = getattr(wanted, f"{name}_min"), getattr(wanted, f"{name}_max")
        yield name, usd_code(low, 5) if low is not None else None, usd_code(high, 5) if high is not None else None
    for name in ("channels", "seconds"):
        low, high = getattr(wanted, f"{name}_min"), getattr(wanted, f"{name}_max")
        # From 1: what isn't known is 0.
        bounds = _count_code(low or 0, WIDTHS[name]), _count_code(high, WIDTHS[name]) if high is not None else None
        yield name, bounds[0] if low is not None or high is not None else None, bounds[1]
    yield "added", *_times(wanted.added_after, wanted.added_before)
    yield "paid_until", *_times(wanted.paid_until_after, wanted.paid_until_before)
    yield "paid_until", *_times(None, _shifted(now, wanted.renewal_within, 1))
    yield "unused_since", *_times(None, _shifted(now, wanted.unused_for, -1))


def _times(low: datetime | None, high: datetime | None) -> tuple[str | None, str | None]:
    known = number_code(1, 6)
    first = max(known, _time_code(low)) if low is not None or high is not None else None
    return first, _time_code(high) if high is not None else None


def _shifted(now: datetime, span: timedelta | None, sign: int) -> datetime | None:
    if span is None:
        return None
    return now + sign * span if sign > 0 or now - span > moment_ms(0) else moment_ms(1000)


def _equal(column: str, code: str) -> Callable[[Sequence[str]], Sequence[str]]:
    begin, end = PLACES[column].start, PLACES[column].stop
    return lambda lines: [line for line in lines if line[begin:end] == code]


def _different(column: str, code: str) -> Callable[[Sequence[str]], Sequence[str]]:
    begin, end = PLACES[column].start, PLACES[column].stop
    return lambda lines: [line for line in lines if line[begin:end] != code]


def _holding(digits: str) -> Callable[[Sequence[str]], Sequence[str]]:
    return lambda lines: [line for line in lines if digits in line[:16]]


def _routed(code: str, offsets: Sequence[int]) -> Callable[[Sequence[str]], Sequence[str]]:
    """By the first two destinations; a number with more may match."""
    places = [slice(PLACES[name].start + offset, PLACES[name].start + offset + NAME) for name in ("first", "second") for offset in offsets]
    return lambda lines: [line for line in lines if any(line[place] == code for place in places) or has_more(line)]


def _between(column: str, low: str | None, high: str | None) -> Callable[[Sequence[str]], Sequence[str]]:
    begin, end = PLACES[column].start, PLACES[column].stop
    if low is None and high is None:
        return lambda lines: lines
    first, last = low or "", high or DIGITS[-1] * (end - begin)
    return lambda lines: [line for line in lines if first <= line[begin:end] <= last]


def has_more(line: str) -> bool:
    """Whether the number has more destinations than columns."""
    return line[PLACES["second"]] == MORE


def sort_key(field: str) -> Callable[[str], str]:
    """Of a line; numbers in their order among equals."""
    if field == "number":
        return lambda line: line[:16]
    begin, end = PLACES[field].start, PLACES[field].stop
    return lambda line: line[begin:end] + line[:16]


def first_lines(lines: Sequence[str], field: str, first: int, *, descending: bool) -> list[str]:
    """The first ones in the order of a field, by number among equals. Found without a call for each line: of a hundred thousand that would
    take longer than all the rest."""
    best = heapq.nlargest if descending else heapq.nsmallest
    if field == "number":
        return best(first, lines)
    begin, end = PLACES[field].start, PLACES[field].stop
    values = [line[begin:end] for line in lines]
    if not (leading := best(first, values)):
        return []
    last = leading[-1]
    ahead = [line for line in lines if (line[begin:end] > last if descending else line[begin:end] < last)]
    ahead.sort(key=sort_key(field), reverse=descending)
    return ahead + best(first - len(ahead), [line for line in lines if line[begin:end] == last])
