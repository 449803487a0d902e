"""Which lines of the mirror match a filter, and which of them come first: pure.

A line is found by where it begins in a text of whole lines. Only lines that are shown are copied: copies of a hundred thousand would take
longer than all the rest.
"""

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from didflow.contract.inventory import ALL_NUMBERS, InventoryFilter, Part
from didflow.ledger.inventory_columns import (
    DIGITS,
    LINE,
    MORE,
    NAME,
    PLACES,
    WIDTHS,
    count_code,
    country_name,
    name_code,
    number_code,
    number_in,
    time_code,
    usd_code,
)
from didflow.ledger.inventory_rows import moment_ms

#: Where lines begin in their text, in no order.
Begins = Sequence[int]
#: What a number may lack, and the column that has the digest of no name then.
_NAMES: Mapping[Part, str] = {"label": "label", "city": "city", "country": "country", "sms_relay_url": "callback", "destination": "first"}
#: What no column says.
_RECORDS = ("record_id", "document", "parked", "lent", "reserved", "quarantined", "reference")


def whole_lines(segments: str) -> str:
    """The text with each line at a multiple of `LINE`: without what another program wrote."""
    if len(segments) % LINE == 0 and segments[LINE - 1 :: LINE].count("\n") == len(segments) // LINE:
        return segments
    return "".join(f"{line}\n" for line in segments.split("\n") if len(line) == LINE - 1)


def line_at(text: str, begin: int) -> str:
    """Without its line break."""
    return text[begin : begin + LINE - 1]


def numbered(text: str) -> Begins:
    """The lines that hold a number."""
    every = range(0, len(text), LINE)
    return every if text[::LINE].count("+") == len(every) else [begin for begin in every if text[begin] == "+"]


def needs_records(wanted: InventoryFilter) -> bool:
    """Whether columns alone don't say which numbers match."""
    return any(getattr(wanted, name) is not None for name in _RECORDS) or not _NAMES.keys() >= set(wanted.without or ())


@dataclass(frozen=True)
class Search:
    """The lines that may match; what has no column is for the records to say. `among`: sets, each of which has all numbers that match."""

    wanted: InventoryFilter
    now: datetime
    among: Sequence[Collection[str]] = ()

    def begins(self, text: str) -> Begins:
        """In a text of whole lines."""
        rarest, codes = _rarest(self.wanted)
        found: Begins = _with_codes(text, codes) if rarest else numbered(text)
        for test in _tests(self.wanted.model_copy(update={rarest: None}) if rarest else self.wanted, self.now):
            found = test(text, found)
        for numbers in self.among:
            found = [begin for begin in found if number_in(line_at(text, begin)) in numbers]
        return found


ALL_LINES = Search(ALL_NUMBERS, moment_ms(0))


class FirstLines:
    """The first `count` lines, of texts that are added one after another, in the order of a sort; by number among equals.

    `after`: those behind this one, by what it sorts by.
    """

    def __init__(self, sort: str, count: int, after: str | None = None) -> None:
        self._field, self._descending, self._count = sort.removeprefix("-"), sort.startswith("-"), count
        self._after = after
        self._last: str | None = None
        self.key = sort_key(self._field)
        self.lines: list[str] = []

    def add(self, text: str, begins: Begins) -> None:
        low, high = (self._last, self._after) if self._descending else (self._after, self._last)
        ahead = _keys_between(text, begins, self._field, low, high)
        if not ahead:
            return
        lines = self.lines + [line_at(text, begin) for begin in ahead]
        self.lines = first_lines(lines, self._field, self._count, descending=self._descending)
        if len(self.lines) == self._count:
            self._last = self.key(self.lines[-1])


def _keys_between(text: str, begins: Begins, field: str, low: str | None, high: str | None) -> Begins:
    """Those that sort behind `low` and before `high`."""
    if low is None and high is None:
        return begins
    # First by the values alone: that leaves few, of which both parts of what they sort by are put together.
    width = WIDTHS[field]
    found = _between(field, low and low[:width], high and high[:width])(text, begins)
    key = sort_key(field)
    above, below = low or "", high or "~"
    return [begin for begin in found if above < key(line_at(text, begin)) < below]


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


def _with_codes(text: str, codes: Iterable[tuple[str, Sequence[int]]]) -> Begins:
    return list(dict.fromkeys(begin for code, offsets in codes for begin in _with_code(text, code, offsets)))


def _with_code(text: str, code: str, offsets: Sequence[int]) -> Iterator[int]:
    """Those of the lines that have this code at one of these places. Most lines aren't even looked at."""
    place = text.find(code)
    while place >= 0:
        offset = place % LINE
        if offset in offsets:
            if text[place - offset] == "+":
                yield place - offset
            place = text.find(code, place - offset + LINE)
        else:
            place = text.find(code, place + 1)


def _rarest(wanted: InventoryFilter) -> tuple[str, tuple[tuple[str, tuple[int, ...]], ...]]:
    """The field that most likely tells a line that may match from others, and codes with their places: such a line has one of them. ``""``:
    no field does."""
    if wanted.label:
        return "label", ((name_code(wanted.label), (PLACES["label"].start,)),)
    begins = (PLACES["first"].start, PLACES["second"].start)
    if wanted.trunk_id is not None:
        return "trunk_id", ((name_code(f"trunk:{wanted.trunk_id}"), begins), (MORE, begins[1:]))
    if wanted.destination is not None:
        places = (*begins, *(begin + NAME for begin in begins))
        return "destination", ((name_code(wanted.destination.casefold()), places), (MORE, begins[1:]))
    if wanted.city:
        return "city", ((name_code(wanted.city.casefold()), (PLACES["city"].start,)),)
    return "", ()


Test = Callable[[str, Begins], Begins]


def _tests(wanted: InventoryFilter, now: datetime) -> Iterator[Test]:
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
    for part in wanted.without or ():
        if part in _NAMES:
            yield _equal(_NAMES[part], DIGITS[0] * WIDTHS[_NAMES[part]])
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
        if low is not None or high is not None:
            yield _between(column, low, high)


def _ranges(wanted: InventoryFilter, now: datetime) -> Iterable[tuple[str, str | None, str | None]]:
    for name in ("setup_usd", "monthly_usd"):
        low, high = getattr(wanted, f"{name}_min"), getattr(wanted, f"{name}_max")
        yield name, usd_code(low, 5) if low is not None else None, usd_code(high, 5) if high is not None else None
    for name in ("channels", "seconds"):
        low, high = getattr(wanted, f"{name}_min"), getattr(wanted, f"{name}_max")
        # From 1: what isn't known is 0.
        bounds = count_code(low or 0, WIDTHS[name]), count_code(high, WIDTHS[name]) if high is not None else None
        yield name, bounds[0] if low is not None or high is not None else None, bounds[1]
    yield "added", *_times(wanted.added_after, wanted.added_before)
    yield "paid_until", *_times(wanted.paid_until_after, wanted.paid_until_before)
    yield "paid_until", *_times(None, _shifted(now, wanted.renewal_within, 1))
    yield "unused_since", *_times(None, _shifted(now, wanted.unused_for, -1))


def _times(low: datetime | None, high: datetime | None) -> tuple[str | None, str | None]:
    known = number_code(1, 6)
    first = max(known, time_code(low)) if low is not None or high is not None else None
    return first, time_code(high) if high is not None else None


def _shifted(now: datetime, span: timedelta | None, sign: int) -> datetime | None:
    if span is None:
        return None
    return now + sign * span if sign > 0 or now - span > moment_ms(0) else moment_ms(1000)


def _equal(column: str, code: str) -> Test:
    start = PLACES[column].start
    return lambda text, begins: [begin for begin in begins if text.startswith(code, begin + start)]


def _different(column: str, code: str) -> Test:
    start = PLACES[column].start
    return lambda text, begins: [begin for begin in begins if not text.startswith(code, begin + start)]


def _holding(digits: str) -> Test:
    return lambda text, begins: [begin for begin in begins if digits in text[begin : begin + 16]]


def _routed(code: str, offsets: Sequence[int]) -> Test:
    """By the first two destinations; a number with more may match."""
    places = [PLACES[name].start + offset for name in ("first", "second") for offset in offsets]
    more = PLACES["second"].start
    return lambda text, begins: [
        begin for begin in begins if any(text.startswith(code, begin + place) for place in places) or text.startswith(MORE, begin + more)
    ]


def _between(column: str, low: str | None, high: str | None) -> Test:
    start, end = PLACES[column].start, PLACES[column].stop
    first, last = low or "", high or DIGITS[-1] * (end - start)
    return lambda text, begins: [begin for begin in begins if first <= text[begin + start : begin + end] <= last]
