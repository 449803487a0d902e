"""Where numbers went at a moment: reads histories and the inventory, some numbers at a time."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice

from didflow.contract.past_routes import PastRoute, RouteNow, past_route
from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.inventory_rows import moment_ms, read_row
from didflow.ledger.keys import Keys
from didflow.ledger.stored_history import read_history

#: Numbers that are read with one pipeline.
TOGETHER = 200


def routes_at(keys: Keys, account: str, numbers: Sequence[str], at: datetime) -> Command[dict[str, PastRoute]]:
    """Of each of these numbers. What another account did with a number doesn't count."""
    found: dict[str, PastRoute] = {}
    for some in _parts(numbers):
        rows, heads, *kept = yield (
            RedisCommand("hmget", (keys.inventory_rows(account), some)),
            RedisCommand("hmget", (keys.history, some)),
            *(RedisCommand("lrange", (keys.history_of(number), 0, -1)) for number in some),
        )
        for number, row_text, head, texts in zip(some, rows, heads, kept, strict=True):
            history = read_history(number, head, texts)
            row = read_row(number, row_text)
            now = RouteNow(moment_ms(row.first_seen_ms), row.owned.route) if row is not None else None
            entries = [entry for entry in history.entries if entry.account == account]
            found[number] = past_route(number, entries, now, at, dropped=history.dropped > 0)
    return found


def numbers_ever(keys: Keys, account: str) -> Command[tuple[str, ...]]:
    """Every number that the inventory has or that has a history, in their order; the latter of any account."""
    shown, known = yield (RedisCommand("hkeys", (keys.inventory_rows(account),)), RedisCommand("hkeys", (keys.history,)))
    return tuple(sorted({*shown, *known}))


def _parts(numbers: Iterable[str]) -> Iterator[list[str]]:
    left = iter(numbers)
    while some := list(islice(left, TOGETHER)):
        yield some
