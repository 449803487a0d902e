"""The audit as the ledger keeps it: a stream of JSON texts, each with the hash of the one before it.

An entry's own hash is the SHA-1 of its text. The script that makes a change writes its entry in the same step
(`scripts/include/audit.lua`).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from didflow.contract.audit import AuditCheck, AuditEntry, AuditFilter, AuditPage, anchor_parts
from didflow.ledger.commands import Command, Commands
from didflow.ledger.records import read_record
from didflow.ledger.script_calls import Call
from didflow.ledger.stream_places import check_place, has_none_before

#: Entries that are read with one command.
READ_TOGETHER = 1000
#: Entries that one page looks at, at most; with a filter that few entries fit, a page has fewer than its limit.
LOOKED_AT = 20_000
#: Faults that a walk of the chain reports.
MOST_FAULTS = 100


class _Call(BaseModel):
    reason: str | None = None
    request: str | None = None


class _Entry(BaseModel):
    """As `scripts/include/audit.lua` writes it."""

    n: int
    after: str
    at_ms: int
    actor: str
    what: str
    on: dict[str, str | None]
    detail: str | None = None
    call: _Call


@dataclass(frozen=True)
class _Chunk:
    """Entries as they are kept, (id, text), with the chain's ends of the same moment: count and hash."""

    head: tuple[int, str]
    cut: tuple[int, str]
    entries: tuple[tuple[str, str], ...]


def audit_page(commands: Commands, wanted: AuditFilter, *, limit: int, cursor: str | None = None) -> Command[AuditPage]:
    """At most `limit` entries, newest first, older than the cursor. Raises InvalidRequest for what isn't a cursor."""
    if cursor is not None:
        check_place(cursor, "cursor", "`next_cursor` of the page before")
    at, found, looked_at = cursor or _before(wanted.until), list[AuditEntry](), 0
    while looked_at < LOOKED_AT:
        if has_none_before(at):
            return AuditPage(tuple(found), None)
        chunk = yield from _chunk(commands, at, "back")
        for entry_id, text in chunk.entries:
            at, looked_at = entry_id, looked_at + 1
            entry = _read(entry_id, text)
            if wanted.is_before(entry):
                return AuditPage(tuple(found), None)
            if wanted.fits(entry):
                found.append(entry)
            if len(found) == limit:
                return AuditPage(tuple(found), at)
        if len(chunk.entries) < READ_TOGETHER:
            return AuditPage(tuple(found), None)
    return AuditPage(tuple(found), at)


def _before(until: datetime | None) -> str:
    return "+" if until is None else f"{max(0, int(until.timestamp() * 1000))}-0"


def check_audit(commands: Commands, anchor: str | None = None) -> Command[AuditCheck]:
    """Walk the whole chain. `anchor`: of an earlier walk. Raises InvalidRequest for what isn't one."""
    walk, at = _Walk(anchor_parts(anchor) if anchor is not None else None), "-"
    while True:
        chunk = yield from _chunk(commands, at, "forward")
        walk.read(chunk)
        if len(chunk.entries) < READ_TOGETHER:
            return walk.ended(chunk)
        at = chunk.entries[-1][0]


def stored_texts(commands: Commands, after: str = "-") -> Command[tuple[str, tuple[str, ...]]]:
    """Some entries' texts as they are kept, oldest first, and where to continue ('': nowhere)."""
    chunk = yield from _chunk(commands, after, "forward")
    return chunk.entries[-1][0] if len(chunk.entries) == READ_TOGETHER else "", tuple(text for _, text in chunk.entries)


class _Walk:
    """What a walk has seen so far."""

    def __init__(self, anchor: tuple[int, str] | None) -> None:
        self._anchor, self._held = anchor, False
        self._faults: list[str] = []
        self._count, self._last, self._dropped = 0, (0, ""), 0
        self._begun = False

    def read(self, chunk: _Chunk) -> None:
        if not self._begun:
            self._begun, self._last, self._dropped = True, chunk.cut, chunk.cut[0]
            self._look_for_anchor()
        for entry_id, text in chunk.entries:
            self._count += 1
            self._faults += self._faults_of(entry_id, text)
            self._last = self._last[0] + 1, digest(text)
            self._look_for_anchor()

    def _faults_of(self, entry_id: str, text: str) -> Iterator[str]:
        n, before = self._last[0] + 1, self._last[1]
        entry = read_record(_Entry, text)
        if entry is None:
            yield f"entry {n} ({entry_id}) can't be read"
            return
        if entry.n != n:
            yield f"entry {n} ({entry_id}): entry {entry.n} is in its place"
            self._last = entry.n - 1, before
        if entry.after != before:
            yield f"entry {entry.n} ({entry_id}): the hash in it is not that of the entry before"

    def _look_for_anchor(self) -> None:
        self._held = self._held or self._last == self._anchor

    def ended(self, chunk: _Chunk) -> AuditCheck:
        faults = list(self._faults)
        if chunk.head != self._last:
            faults.append(f"the chain ends in entry {_named(chunk.head)}, but what is kept ends in entry {_named(self._last)}")
        if self._anchor is not None and not self._held:
            gone = "is no longer kept" if self._anchor[0] < self._dropped else "isn't in the chain: it was rewritten, or cut off"
            faults.append(f"the anchor's entry {_named(self._anchor)} {gone}")
        anchor = f"{chunk.head[0]}:{chunk.head[1]}" if chunk.head[1] else ""
        return AuditCheck(self._count, self._dropped, anchor, tuple(faults[:MOST_FAULTS]))


def _named(end: tuple[int, str]) -> str:
    return f"{end[0]} with hash {end[1] or 'none'}"


def digest(text: str) -> str:
    """An entry's hash."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _chunk(commands: Commands, at: str, way: str) -> Command[_Chunk]:
    def read(reply: Any) -> _Chunk:
        head, cut, entries = reply
        return _Chunk(_end(head), _end(cut), tuple((str(entry_id), str(fields[1])) for entry_id, fields in entries))

    return (yield from commands.run(Call("audit_page", (at, READ_TOGETHER, way), read)))


def _end(text: str) -> tuple[int, str]:
    """Count and hash. What can't be read is no end, and fits no entry."""
    count, _, hashed = text.partition(" ")
    return (int(count), hashed) if count.isdecimal() and len(count) <= 15 else (0, "")


def _read(entry_id: str, text: str) -> AuditEntry:
    """The entry for people; one that can't be read is shown as its text."""
    entry = read_record(_Entry, text)
    hashed = digest(text)
    if entry is None:
        at = datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC)
        return AuditEntry(0, at, "", "unreadable", {}, text[:200], None, None, hashed, entry_id)
    on = {name: value for name, value in entry.on.items() if value is not None}
    at = datetime.fromtimestamp(entry.at_ms / 1000, UTC)
    return AuditEntry(entry.n, at, entry.actor, entry.what, on, entry.detail, entry.call.reason, entry.call.request, hashed, entry_id)
