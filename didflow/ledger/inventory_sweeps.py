"""A worker's sweep of an account's numbers, as the ledger keeps it: whose turn it is, what it read, what it didn't."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from didflow.contract.history import Happened, Happening
from didflow.contract.states import JobState
from didflow.ledger.client import WORKER_ALIVE_MS, LedgerClient
from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.connection import translated
from didflow.ledger.inventory import read_lines, read_slots
from didflow.ledger.inventory_columns import PLACES, WIDTHS, line_of, number_code
from didflow.ledger.inventory_rows import Row, read_row
from didflow.ledger.keys import Keys
from didflow.ledger.number_holders import holders
from didflow.ledger.records import read_record
from didflow.ledger.reservations import Reservation
from didflow.ledger.script_calls import Call
from didflow.ledger.stored_history import fields_of_one

#: A sweep without a sign of life for this long is over: another worker begins a new one.
SWEEP_LEASE_MS = 60_000
#: Numbers that one script writes.
TOGETHER = 100
#: Rows, and moments of numbers that are as they were, that one script writes. Few: while the server's child rewrites the AOF, each page of
#: memory that a script is the first to write to is copied, which makes it several times as long.
ROWS_TOGETHER, SEEN_TOGETHER = 20, 50


@dataclass(frozen=True)
class SweepTurn:
    """A sweep that this process runs. `began_ms` on the ledger's clock; `complete_ms`: when the last complete one began, None: never."""

    account: str
    by: str
    began_ms: int
    complete_ms: int | None


@dataclass(frozen=True)
class NumberNews:
    """An event of a number, and what its history says of it: `type`, `data` (JSON)."""

    type: str
    data: str
    happened: Happened


@dataclass(frozen=True)
class Kept:
    """What the ledger has of a number: its row, as text and as read; the job that holds it, and the record that was bought through us."""

    text: str
    row: Row | None
    held_by: str | None = None
    bought_record: int | None = None


@dataclass(frozen=True)
class Changed:
    """A row to write, if the number is still as it was `kept`."""

    kept: Kept
    row: Row
    news: tuple[NumberNews, ...] = field(default=())


class SweepLost(Exception):
    """Another sweep of the account began: this one was silent too long."""


class InventorySweeps:
    """The sweeps of one namespace. Raises ServiceUnavailable, and SweepLost where another sweep runs by now."""

    def __init__(self, ledger: LedgerClient) -> None:
        self._ledger, self._keys = ledger, ledger.keys

    def begin(self, account: str, by: str, worker: str = "") -> SweepTurn | float:
        """A turn, or in how many seconds to ask again. `by` is unique to this sweep, which is over when its `worker` is gone."""
        reply = self._run("inventory_begin", account, by, SWEEP_LEASE_MS, worker, WORKER_ALIVE_MS)
        if reply[0] == "no":
            return int(reply[1]) / 1000
        return SweepTurn(account, by, int(reply[1]), int(reply[2]) if reply[2] else None)

    def kept(self, account: str, numbers: Sequence[str]) -> dict[str, Kept]:
        if not numbers:
            return {}
        keys = (self._keys.inventory_rows(account), self._keys.reserved(account))
        rows, reserved = self._send(tuple(RedisCommand("hmget", (key, list(numbers))) for key in keys))
        bought = self._ledger.perform(holders(self._keys, numbers))
        found = {}
        for number, text, reservation in zip(numbers, rows, reserved, strict=True):
            held, holder = read_record(Reservation, reservation), bought.get(number)
            record_id = holder.record_id if holder is not None and holder.account == account else None
            found[number] = Kept(text or "", read_row(number, text), held.holder if held and not held.until_ms else None, record_id)
        return found

    def write(self, turn: SweepTurn, seen: Sequence[Row], changed: Sequence[Changed], *, read_ms: int, settle_ms: int) -> list[str]:
        """What the sweep read of some numbers at that moment, or later. Returns those that aren't as they were kept: nothing was written
        of them. Where a newer read was written, that stays."""
        return self._in_parts("inventory_page", (turn.account, turn.by, SWEEP_LEASE_MS, read_ms, settle_ms), seen, changed, read_ms)

    def write_read(self, account: str, seen: Sequence[Row], changed: Sequence[Changed], *, read_ms: int, settle_ms: int) -> list[str]:
        """The same of what a job read by the way. Lists may lag for `settle_ms`: what was read so shortly before stays, too."""
        return self._in_parts("inventory_read", (account, read_ms, settle_ms), seen, changed, read_ms)

    def _in_parts(
        self, script: str, args: tuple[str | int, ...], seen: Sequence[Row], changed: Sequence[Changed], read_ms: int
    ) -> list[str]:
        left: list[str] = []
        for part in range(max(1, -(-len(changed) // ROWS_TOGETHER), -(-len(seen) // SEEN_TOGETHER))):
            some_seen = seen[part * SEEN_TOGETHER : (part + 1) * SEEN_TOGETHER]
            page = _page(some_seen, changed[part * ROWS_TOGETHER : (part + 1) * ROWS_TOGETHER], read_ms)
            left += map(str, self._held(self._run(script, *args, json.dumps(page))))
        return left

    def unseen(self, turn: SweepTurn) -> list[str]:
        """The lines of the numbers that this sweep didn't show, nor a job since it began."""
        lines = self._ledger.perform(read_lines(self._keys, turn.account))
        if len({line[:16] for line in lines}) < len(lines):
            self._drop_ghosts(turn)
            lines = self._ledger.perform(read_lines(self._keys, turn.account))
        began = number_code(turn.began_ms, WIDTHS["seen"])
        return [line for line in lines if line[PLACES["seen"]] < began]

    def _drop_ghosts(self, turn: SweepTurn) -> None:
        """Numbers that have two lines, as after another program wrote to a row: only the row's own line is kept."""
        slots: dict[str, list[int]] = defaultdict(list)
        for slot, number in self._ledger.perform(read_slots(self._keys, turn.account)):
            slots[number].append(slot)
        twice = [[number, slot] for number, some in slots.items() if len(some) > 1 for slot in some]
        for start in range(0, len(twice), TOGETHER):
            fields = {"missed": [], "gone": [], "ghosts": twice[start : start + TOGETHER]}
            self._held(self._run("inventory_absent", turn.account, turn.by, SWEEP_LEASE_MS, json.dumps(fields)))

    def missed(self, turn: SweepTurn, lines: Sequence[str]) -> None:
        """Numbers that a complete sweep didn't show for the first time."""
        for start in range(0, len(lines), TOGETHER):
            some = lines[start : start + TOGETHER]
            kept = self.kept(turn.account, [line[:16].rstrip() for line in some])
            missed = [
                [number, one.row.slot, line[PLACES["seen"]]] for line, (number, one) in zip(some, kept.items(), strict=True) if one.row
            ]
            self._held(self._run("inventory_absent", turn.account, turn.by, SWEEP_LEASE_MS, json.dumps({"missed": missed, "gone": []})))

    def gone(self, turn: SweepTurn, line: str, news: Sequence[NumberNews]) -> bool:
        """A number that isn't ours any more, unless a job knows more of it by now."""
        number = line[:16].rstrip()
        kept = self.kept(turn.account, [number])[number]
        fields = {"missed": [], "gone": [[number, kept.text, line[PLACES["seen"]], *_news_and_history(news)]]}
        reply = self._held(self._run("inventory_absent", turn.account, turn.by, SWEEP_LEASE_MS, json.dumps(fields)))
        return int(reply) > 0

    def end(self, turn: SweepTurn, *, complete: bool, pause_s: float, trouble: str, settle_ms: int, first: str) -> None:
        args = (turn.account, turn.by, int(complete), int(pause_s * 1000), trouble, settle_ms, first)
        self._held(self._run("inventory_end", *args))

    def alive(self, turn: SweepTurn) -> None:
        """A sign of life."""
        self.write(turn, (), (), read_ms=turn.began_ms, settle_ms=0)

    def _held(self, reply: Any) -> Any:
        if reply == "lost":
            raise SweepLost
        return reply

    def _run(self, script: str, *args: str | int) -> Any:
        return self._ledger.run(Call(script, args, lambda reply: reply))

    def _send(self, step: tuple[RedisCommand, ...]) -> Any:
        with translated():
            return self._ledger.send(step)


def _page(seen: Sequence[Row], changed: Sequence[Changed], read_ms: int) -> dict[str, Any]:
    """As `scripts/include/inventory_pages.lua` reads it."""
    rows = []
    for one in changed:
        owned = one.row.owned
        texts = (one.kept.text, one.row.text(), line_of(one.row, read_ms))
        rows.append([owned.number, str(owned.record_id), *texts, *_news_and_history(one.news)])
    return {"seen": [[row.owned.number, row.slot] for row in seen if row.slot is not None], "rows": rows}


def _news_and_history(news: Sequence[NumberNews]) -> tuple[list[list[str]], list[dict[str, str]]]:
    return [[one.type, one.data] for one in news], [fields_of_one(one.happened) for one in news]


class _RouteClaim(BaseModel):
    """As `scripts/include/route_claims.lua` writes it."""

    job: str


class _Entry(BaseModel):
    """Of a history."""

    happened: Happened


def routed_by_us(keys: Keys, account: str, number: str, route: Sequence[str]) -> Command[bool]:
    """Whether a job of ours sends the number there, or one may still: then what the provider shows is no other party's change."""
    entry, newest = yield (
        RedisCommand("hget", (keys.routes(account), number)),
        RedisCommand("lrange", (keys.history_of(number), -_ENTRIES, -1)),
    )
    claim = read_record(_RouteClaim, entry)
    state = (yield RedisCommand("hget", (keys.job(claim.job), "state"))) if claim is not None else None
    if state in _OPEN:
        return True
    for text in reversed(newest):
        entry = read_record(_Entry, text)
        if entry is not None and entry.happened.what == Happening.ROUTED:
            return bool(entry.happened.route_after == tuple(route))
    return False


#: Entries of a history in which its newest route is looked for.
_ENTRIES = 8
_OPEN = {state.value for state in JobState if not state.is_terminal and state is not JobState.NEEDS_REVIEW}
