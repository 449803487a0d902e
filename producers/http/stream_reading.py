"""Reading the results and the events as one stream, in the order in which they were written."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.keys import Keys

#: Entries of each stream that are read together.
TOGETHER = 500
_PLACE = re.compile(r"([0-9]{1,16})-([0-9]{1,16})\.([0-9]{1,16})-([0-9]{1,16})")

EntryId = tuple[int, int]


@dataclass(frozen=True)
class Position:
    """How far both streams are read. As a text it is the id of a server-sent event, which a client sends back to continue."""

    results: EntryId = (0, 0)
    events: EntryId = (0, 0)

    def __str__(self) -> str:
        return f"{id_text(self.results)}.{id_text(self.events)}"

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        """``0`` is the beginning of what is kept. None for a text that isn't ours."""
        if text == "0":
            return cls()
        read = _PLACE.fullmatch(text)
        if read is None:
            return None
        a, b, c, d = map(int, read.groups())
        return cls((a, b), (c, d))


@dataclass(frozen=True)
class Item:
    """An entry of one of the streams. `after`: the position behind it."""

    entry_id: EntryId
    is_result: bool
    fields: Mapping[str, str] = field(repr=False)
    after: Position

    def is_behind(self, position: Position) -> bool:
        """Whether a reader that has come to this position hasn't read it."""
        return self.entry_id > (position.results if self.is_result else position.events)

    @property
    def subject(self) -> str:
        return self.fields.get("subject", "")

    @property
    def type(self) -> str:
        return self.fields.get("type", "")

    @cached_property
    def data(self) -> dict[str, Any]:
        """The JSON in it; {} for what isn't one of ours."""
        try:
            found = json.loads(self.fields.get("data", ""))
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def is_ours(self) -> bool:
        """Whether it is an event of didflow. Anybody who reaches Redis may add something else to a stream."""
        return bool(self.fields.get("id")) and self.type.startswith("didflow.") and bool(self.data)

    @cached_property
    def sent(self) -> bytes:
        """As a server-sent event. Made once, however many listen."""
        event = {**self.fields, "data": self.data}
        return sent_event(json.dumps(event, ensure_ascii=True), event_id=str(self.after))


def sent_event(data: str, *, event_id: str | None = None, name: str | None = None) -> bytes:
    """One event as text/event-stream has it. `data` has no line ends."""
    lines = [f"event: {name}"] * (name is not None) + [f"id: {event_id}"] * (event_id is not None) + [f"data: {data}"]
    return ("\n".join(lines) + "\n\n").encode()


def id_text(entry_id: EntryId) -> str:
    return f"{entry_id[0]}-{entry_id[1]}"


def entry_id_of(text: str) -> EntryId:
    milliseconds, _, sequence = text.partition("-")
    return int(milliseconds), int(sequence)


def newest(keys: Keys) -> Command[Position]:
    """Behind everything that there is."""
    both = yield tuple(RedisCommand("xrevrange", (key,), {"count": 1}) for key in (keys.results, keys.events))
    results, events = (entry_id_of(entries[0][0]) if entries and isinstance(entries, list) else (0, 0) for entries in both)
    return Position(results, events)


def read_on(keys: Keys, after: Position, *, block_ms: int | None = None, count: int = TOGETHER) -> Command[list[Item]]:
    """What comes next on both streams. With `block_ms` this waits for it."""
    places = {keys.results: id_text(after.results), keys.events: id_text(after.events)}
    options = {"count": count} | ({} if block_ms is None else {"block": block_ms})
    reply = yield RedisCommand("xread", (places,), options)
    found = _by_stream(reply)
    results, events = found.get(keys.results, []), found.get(keys.events, [])
    # Where more follows on one stream, what is later on the other one waits for it.
    ends = [entries[-1][0][0] for entries in (results, events) if len(entries) >= count]
    if ends:
        before_ms = min(ends)
        kept = [[one for one in entries if one[0][0] < before_ms] for entries in (results, events)]
        if not any(kept):  # More entries in one millisecond than a page has.
            return (yield from read_on(keys, after, count=count * 2))
        results, events = kept
    return _merged(results, events, after)


Entry = tuple[EntryId, Mapping[str, str]]


def _by_stream(reply: Any) -> dict[str, list[Entry]]:
    """The reply in either protocol's form."""
    pairs = ((name, parts[0]) for name, parts in reply.items()) if isinstance(reply, dict) else reply or ()
    return {name: [(entry_id_of(entry_id), fields) for entry_id, fields in entries if fields is not None] for name, entries in pairs}


def _merged(results: Sequence[Entry], events: Sequence[Entry], after: Position) -> list[Item]:
    """Each stream in its own order; between them by time, and within a millisecond as the job counted them."""
    items: list[Item] = []
    r = e = 0
    while r < len(results) or e < len(events):
        takes_result = e == len(events) or (r < len(results) and _is_first(results[r], events[e]))
        entry_id, fields = results[r] if takes_result else events[e]
        after = Position(entry_id, after.events) if takes_result else Position(after.results, entry_id)
        items.append(Item(entry_id, takes_result, fields, after))
        r, e = r + takes_result, e + (not takes_result)
    return items


def _is_first(result: Entry, event: Entry) -> bool:
    if result[0][0] != event[0][0]:
        return result[0][0] < event[0][0]
    job, count = _counted(result)
    other, other_count = _counted(event)
    return job == other and count < other_count


def _counted(entry: Entry) -> tuple[str, int]:
    job_id, _, count = entry[1].get("id", "").rpartition(":")
    return job_id, int(count) if count.isdecimal() and len(count) < 20 else 0
