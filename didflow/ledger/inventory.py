"""Reads the mirror of an account's numbers: a page of a list, totals, one number. Commands, which the sync and async clients share."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from didflow.contract.inventory import (
    InventoryFilter,
    InventoryNumber,
    InventoryPage,
    InventoryQuery,
    InventoryTotals,
    MirrorState,
    matches,
)
from didflow.contract.number_holders import Holder
from didflow.contract.provider import OwnedNumber
from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.inventory_changes import SweepTimes, merged
from didflow.ledger.inventory_columns import (
    DIGITS,
    PER_SEGMENT,
    PLACES,
    has_more,
    missed_ms_in,
    number_code,
    number_in,
    seen_ms_in,
    usd_of,
)
from didflow.ledger.inventory_cursor import after_cursor, cursor_of
from didflow.ledger.inventory_rows import Row, mirrored, moment_ms, read_row
from didflow.ledger.inventory_search import ALL_LINES, Begins, FirstLines, Search, line_at, needs_records, sort_key, whole_lines
from didflow.ledger.keys import Keys
from didflow.ledger.number_holders import holders
from didflow.ledger.records import read_record
from didflow.ledger.reservations import Reservation
from didflow.ledger.views import moment

#: Segments of lines that one pipeline reads: two megabytes, copied in a millisecond. Each pipeline may wait for another's write to disk.
SEGMENTS_TOGETHER = 32
#: Records that one pipeline reads.
RECORDS_TOGETHER = 200


@dataclass(frozen=True)
class Looked:
    """The mirror's state, and the ledger's clock when it was read. `began_ms`: when the newest sweep began."""

    state: MirrorState
    now: datetime
    slots: int
    began_ms: int


def look(keys: Keys, account: str) -> Command[Looked]:
    """How old the mirror is and what it may lack."""
    clock, fields, rows, epoch, passed = yield (
        RedisCommand("time"),
        RedisCommand("hgetall", (keys.inventory_state(account),)),
        RedisCommand("hlen", (keys.inventory_rows(account),)),
        RedisCommand("hget", (keys.epoch, "number")),
        RedisCommand("hget", (keys.gate(account), "epoch")),
    )
    now_ms = clock[0] * 1000 + clock[1] // 1000
    fields = fields if isinstance(fields, dict) else {}
    complete_ms, lease_ms = _whole(fields.get("complete_ms")), _whole(fields.get("lease_ms"))
    sweeping = bool(fields.get("by")) and lease_ms > now_ms
    state = MirrorState(
        account=account,
        numbers=rows if isinstance(rows, int) else 0,
        swept_at=moment_ms(complete_ms) if complete_ms else None,
        age_s=max(0.0, (now_ms - complete_ms) / 1000) if complete_ms else None,
        sweeping=sweeping,
        sweep_began_at=moment_ms(_whole(fields.get("sweep_ms"))) if sweeping else None,
        trouble=fields.get("trouble", ""),
        trouble_at=moment_ms(_whole(fields.get("trouble_ms"))) if fields.get("trouble") and fields.get("trouble_ms") else None,
        gate_closed=epoch not in (None, "1") and passed != epoch,
    )
    return Looked(state, moment_ms(now_ms), _whole(fields.get("slots")), _whole(fields.get("sweep_ms")))


def read_lines(keys: Keys, account: str) -> Command[list[str]]:
    """The lines of all numbers, in no order. One that is there all the while is among them once, whatever changes."""
    text = yield RedisCommand("hget", (keys.inventory_state(account), "slots"))
    return (yield from _lines_of(keys, account, _whole(text), ALL_LINES))


def _lines_of(keys: Keys, account: str, slots: int, search: Search) -> Command[list[str]]:
    found: list[str] = []
    yield from _scan(keys, account, slots, search, lambda text, begins: found.extend(line_at(text, begin) for begin in begins))
    return found


def _scan(keys: Keys, account: str, slots: int, search: Search, take: Callable[[str, Begins], None]) -> Command[None]:
    """Give all lines that may match to `take`, some at a time: only what it keeps is in memory."""
    segments = -(-slots // PER_SEGMENT)
    for start in range(0, segments, SEGMENTS_TOGETHER):
        some = range(start, min(segments, start + SEGMENTS_TOGETHER))
        texts = yield tuple(RedisCommand("get", (keys.inventory_lines(account, segment),)) for segment in some)
        text = whole_lines("".join(text for text in texts if isinstance(text, str)))
        take(text, search.begins(text))


def read_slots(keys: Keys, account: str) -> Command[list[tuple[int, str]]]:
    """Every line's slot and number."""
    text = yield RedisCommand("hget", (keys.inventory_state(account), "slots"))
    found: list[tuple[int, str]] = []
    for segment in range(-(-_whole(text) // PER_SEGMENT)):
        lines = yield RedisCommand("get", (keys.inventory_lines(account, segment),))
        numbered = enumerate((lines or "").split("\n"), segment * PER_SEGMENT)
        found += [(slot, number_in(line)) for slot, line in numbered if line[:1] == "+"]
    return found


def read_numbers(keys: Keys, account: str, lines: Sequence[str], now: datetime) -> Command[list[InventoryNumber]]:
    """The records of these lines, in their order, with what the ledger knows besides. One that left meanwhile is left out."""
    found: list[InventoryNumber] = []
    for start in range(0, len(lines), RECORDS_TOGETHER):
        some = lines[start : start + RECORDS_TOGETHER]
        found += yield from _some_numbers(keys, account, some, now)
    return found


def _some_numbers(keys: Keys, account: str, lines: Sequence[str], now: datetime) -> Command[list[InventoryNumber]]:
    numbers = [number_in(line) for line in lines]
    rows, *others = yield _of_each(keys, account, numbers)
    bought = yield from holders(keys, numbers)
    found = []
    for line, row_text, *texts in zip(lines, rows, *others, strict=True):
        row = read_row(number_in(line), row_text)
        if row is not None:
            found.append(_with_ledger(account, row, (seen_ms_in(line), missed_ms_in(line)), bought, texts, now))
    return found


def as_shown(keys: Keys, account: str, owned: Sequence[OwnedNumber]) -> Command[tuple[datetime, list[InventoryNumber]]]:
    """These numbers as the provider shows them now, with what a sweep would make of that, and the ledger's clock."""
    looked = yield from look(keys, account)
    now_ms, swept_at = int(looked.now.timestamp() * 1000), looked.state.swept_at
    times = SweepTimes(now_ms, 0, int(swept_at.timestamp() * 1000) if swept_at else None)
    found: list[InventoryNumber] = []
    for start in range(0, len(owned), RECORDS_TOGETHER):
        some = owned[start : start + RECORDS_TOGETHER]
        numbers = [one.number for one in some]
        rows, *others = yield _of_each(keys, account, numbers)
        bought = yield from holders(keys, numbers)
        for one, text, *texts in zip(some, rows, *others, strict=True):
            row = merged(read_row(one.number, text), one, times)
            found.append(_with_ledger(account, row, (now_ms, 0), bought, texts, looked.now))
    return looked.now, found


def _of_each(keys: Keys, account: str, numbers: Sequence[str]) -> tuple[RedisCommand, ...]:
    """Rows, and what the ledger knows: parked, lent, reserved."""
    per_number = (keys.inventory_rows(account), keys.parked(account), keys.handed_out(account), keys.reserved(account))
    return tuple(RedisCommand("hmget", (key, numbers)) for key in per_number)


def _with_ledger(
    account: str, row: Row, moments_ms: tuple[int, int], bought: Mapping[str, Holder], texts: Sequence[str | None], now: datetime
) -> InventoryNumber:
    """`moments_ms`: when it was seen, and missed. `texts`: parked, lent, reserved."""
    parked, lent, reserved = texts
    holder = bought.get(row.owned.number)
    ours = holder is not None and holder.account == account and holder.record_id in (None, row.owned.record_id)
    return InventoryNumber.model_construct(  # What a row holds was checked when it was read.
        **mirrored(row, *moments_ms),
        reference=holder.reference if ours and holder else None,
        parked_by=_release(parked),
        lent_to=_borrower(lent),
        **_held(reserved, now),
    )


@dataclass
class _Page:
    """A page of a list that is being filled. `last`: the line of its last number."""

    query: InventoryQuery
    now: datetime
    numbers: list[InventoryNumber] = field(default_factory=list)
    last: str = ""

    def fill(self, keys: Keys, account: str, lines: Sequence[str]) -> Command[bool]:
        """Add what matches of these lines, in their order; returns whether there is more than fits on the page."""
        by_number = {number_in(line): line for line in lines}
        for number in (yield from read_numbers(keys, account, lines, self.now)):
            if matches(number, self.query.matching, self.now):
                if len(self.numbers) == self.query.limit:
                    return True
                self.numbers.append(number)
                self.last = by_number[number.number]
        return False


def inventory_page(keys: Keys, account: str, query: InventoryQuery) -> Command[InventoryPage]:
    """One page of a list. Raises InvalidRequest for a cursor of another list."""
    looked = yield from look(keys, account)
    after = after_cursor(account, query)
    search = yield from _search(keys, account, query.matching, looked.now)
    first = FirstLines(query.sort, query.limit + 1, after)
    yield from _scan(keys, account, looked.slots, search, first.add)
    page = _Page(query, looked.now)
    more = yield from page.fill(keys, account, first.lines)
    if not more and len(first.lines) > query.limit:
        # Records that don't match after all are rare, or what is asked for has no column.
        rest = yield from _behind(keys, account, query.sort, first.lines[-1], looked, search)
        for start in range(0, len(rest), RECORDS_TOGETHER):
            if more := (yield from page.fill(keys, account, rest[start : start + RECORDS_TOGETHER])):
                break
    return InventoryPage(looked.state, tuple(page.numbers), cursor_of(account, query, first.key(page.last)) if more else None)


def _behind(keys: Keys, account: str, sort: str, line: str, looked: Looked, search: Search) -> Command[Sequence[str]]:
    """All lines behind this one, in their order."""
    key, descending = sort_key(sort.removeprefix("-")), sort.startswith("-")
    lines = yield from _lines_of(keys, account, looked.slots, search)
    last = key(line)
    return sorted((line for line in lines if (key(line) < last if descending else key(line) > last)), key=key, reverse=descending)


def inventory_totals(keys: Keys, account: str, wanted: InventoryFilter, renewal_days: int) -> Command[InventoryTotals]:
    """Of all numbers that match."""
    looked = yield from look(keys, account)
    lines = yield from candidates(keys, account, wanted, looked)
    if needs_records(wanted) or (_has_route(wanted) and any(map(has_more, lines))):
        found = yield from read_numbers(keys, account, lines, looked.now)
        mine = {number.number for number in found if matches(number, wanted, looked.now)}
        lines = [line for line in lines if number_in(line) in mine]
    until = number_code(int(looked.now.timestamp()) + renewal_days * 86_400, 6)
    never, none = DIGITS[0] * 6, DIGITS[0] * 7
    begin, end = PLACES["paid_until"].start, PLACES["paid_until"].stop
    due = [line for line in lines if never < line[begin:end] <= until]
    return InventoryTotals(
        state=looked.state,
        numbers=len(lines),
        active=_counted(lines, "active")["y"],
        missing=len(lines) - _counted(lines, "missed")[none],
        monthly_usd=_monthly(lines),
        renewal_days=renewal_days,
        renewals=len(due),
        renewals_usd=_monthly(due),
    )


def one_number(keys: Keys, account: str, number: str) -> Command[tuple[Looked, InventoryNumber | None]]:
    """A number as the mirror has it; None: it doesn't."""
    looked = yield from look(keys, account)
    text = yield RedisCommand("hget", (keys.inventory_rows(account), number))
    row = read_row(number, text)
    if row is None or row.slot is None:
        return looked, None
    segment = yield RedisCommand("get", (keys.inventory_lines(account, row.slot // PER_SEGMENT),))
    line = next((line for line in whole_lines(segment or "").split("\n") if number_in(line) == number), None)
    found = (yield from read_numbers(keys, account, [line], looked.now)) if line is not None else []
    return looked, found[0] if found else None


def selected(keys: Keys, account: str, wanted: InventoryFilter) -> Command[tuple[Looked, tuple[InventoryNumber, ...]]]:
    """Every number that matches, by number, and how old the mirror is."""
    looked = yield from look(keys, account)
    lines = yield from candidates(keys, account, wanted, looked)
    found = yield from read_numbers(keys, account, sorted(lines), looked.now)
    return looked, tuple(number for number in found if matches(number, wanted, looked.now))


def candidates(keys: Keys, account: str, wanted: InventoryFilter, looked: Looked) -> Command[Sequence[str]]:
    """The lines that may match, in no order."""
    search = yield from _search(keys, account, wanted, looked.now)
    return (yield from _lines_of(keys, account, looked.slots, search))


def _search(keys: Keys, account: str, wanted: InventoryFilter, now: datetime) -> Command[Search]:
    """Where another key lists the numbers, by it, too."""
    among: list[Collection[str]] = []
    for key, kind in _listed_by(keys, account, wanted):
        numbers: Iterable[str] = yield RedisCommand("smembers" if kind == "set" else "hkeys", (key,))
        among.append(frozenset(numbers))
    return Search(wanted, now, among)


def _listed_by(keys: Keys, account: str, wanted: InventoryFilter) -> list[tuple[str, str]]:
    found = [(keys.holdings(wanted.reference), "set")] if wanted.reference is not None else []
    hashes = {"parked": keys.parked(account), "lent": keys.handed_out(account), "reserved": keys.reserved(account)}
    hashes["quarantined"] = keys.reserved(account)
    return found + [(key, "hash") for name, key in hashes.items() if getattr(wanted, name)]


def _has_route(wanted: InventoryFilter) -> bool:
    return wanted.trunk_id is not None or wanted.destination is not None


def _counted(lines: Sequence[str], column: str) -> Counter[str]:
    begin, end = PLACES[column].start, PLACES[column].stop
    return Counter([line[begin:end] for line in lines])


def _monthly(lines: Sequence[str]) -> Decimal:
    """Amounts are few, so each is read once."""
    amount = sum((usd_of(code) * count for code, count in _counted(lines, "monthly_usd").items()), Decimal(0))
    return amount.quantize(Decimal("0.01")) if amount == amount.quantize(Decimal("0.01")) else amount


def _held(text: str | None, now: datetime) -> Mapping[str, Any]:
    """From a reservation."""
    if (found := read_record(Reservation, text)) is None:
        return {}
    if not found.until_ms:
        return {"reserved_by": found.holder}
    ends = moment(str(found.until_ms))
    return {"quarantined_until": ends} if ends is not None and ends > now else {}


class _ParkedBy(BaseModel):
    """Of `scripts/include/parked_numbers.lua`."""

    release_job: str


class _LentTo(BaseModel):
    """Of `scripts/include/pool.lua`."""

    job: str


def _release(text: str | None) -> str | None:
    found = read_record(_ParkedBy, text)
    return found.release_job if found else None


def _borrower(text: str | None) -> str | None:
    found = read_record(_LentTo, text)
    return found.job if found else None


def _whole(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 16 else 0
