"""The consumer groups of our three streams: how far each is, and deleting an unused one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import redis

from didflow.contract.errors import InvalidRequest
from didflow.ledger.commands import Command, Commands, RedisCommand
from didflow.ledger.group_membership import name_fault
from didflow.ledger.keys import Keys
from didflow.ledger.script_calls import Call

StreamName = Literal["requests", "results", "events"]
STREAMS: tuple[StreamName, ...] = get_args(StreamName)
#: The group of the requests stream that acts. Other groups may read along.
ACTING_GROUP = "didflow"
#: A consumer that requested nothing for this long isn't there, or is busy with one entry. Ours ask every few seconds.
SEEN_S = 60.0
#: Where the server can't say how many entries a group hasn't read, they are counted up to here.
COUNTED = 100
#: `didflow dead-letters --replay` leaves an entry under this name for the group's next consumer.
NO_CONSUMER = "put_back"


@dataclass(frozen=True)
class Group:
    """A consumer group of a stream.

    unread       entries that were delivered to none of its consumers; `COUNTED` may stand for more
    pending      entries that were delivered and aren't acknowledged
    held_s       for how long the oldest of them has been with its consumer; None: there is none
    consumers    names that are known to the server, whether they live or not
    seen_s       how long ago one of them last requested something; None: never
    lost         entries that were trimmed before the group read them
    """

    stream: StreamName
    name: str
    unread: int
    pending: int
    held_s: float | None
    consumers: int
    seen_s: float | None
    lost: int = 0

    @property
    def waits(self) -> bool:
        """Something is there for it to do."""
        return self.unread > 0 or self.pending > 0

    @property
    def lives(self) -> bool:
        """One of its consumers was seen a moment ago."""
        return self.seen_s is not None and self.seen_s <= SEEN_S


@dataclass(frozen=True)
class StreamGroups:
    """How many entries a stream keeps, and all its groups."""

    stream: StreamName
    entries: int
    groups: tuple[Group, ...]


def key_of(keys: Keys, stream: StreamName) -> str:
    return {"requests": keys.requests, "results": keys.results, "events": keys.events}[stream]


def all_groups(keys: Keys) -> Command[tuple[StreamGroups, ...]]:
    """Every group of every stream."""
    found = []
    for stream in STREAMS:
        entries: int = yield RedisCommand("xlen", (key_of(keys, stream),))
        found.append(StreamGroups(stream, entries, (yield from _groups(keys, stream, entries))))
    return tuple(found)


def delete_group(commands: Commands, stream: StreamName, name: str) -> Command[None]:
    """Delete a group with all that it knows. Entries that no other group needs are trimmed after that.

    Raises InvalidRequest if there is none, or if one of its consumers was seen within the last minute: that one would make the group
    again, and get every entry that is kept.
    """
    if stream not in STREAMS:
        raise _refusal("stream", f"is one of {', '.join(STREAMS)}")
    if fault := name_fault(name):
        raise _refusal("group", fault)
    groups = yield from _groups(commands.keys, stream, 0)
    group = next((one for one in groups if one.name == name), None)
    if group is None:
        raise _refusal("group", f"there is no group {name!r} on the stream {stream}: `didflow results groups` lists them")
    if group.lives:
        raise _refusal("group", f"{name!r} is in use, a consumer was seen {group.seen_s:.0f} s ago: stop its consumers, wait a minute")
    yield from commands.run(Call("group_delete", (stream, name), str))


def _refusal(where: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"{where}: {what}", ((where, what),))


def _groups(keys: Keys, stream: StreamName, entries: int) -> Command[tuple[Group, ...]]:
    key = key_of(keys, stream)
    try:
        told = yield RedisCommand("xinfo_groups", (key,))
    except redis.exceptions.ResponseError as error:
        if "no such key" not in str(error):
            raise
        return ()
    found = []
    for group in told:
        found.append((yield from _group(key, stream, entries, group)))
    return tuple(sorted(found, key=lambda one: one.name))


def _group(key: str, stream: StreamName, entries: int, told: Mapping[str, Any]) -> Command[Group]:
    name, lag = str(told["name"]), told.get("lag")
    if lag is None:  # Entries were deleted from the middle of the stream.
        behind = yield RedisCommand("xrange", (key,), {"min": f"({told['last-delivered-id']}", "count": COUNTED})
        lag = len(behind)
    pending = yield RedisCommand("xpending_range", (key, name), {"min": "-", "max": "+", "count": 1})
    consumers = [one for one in (yield RedisCommand("xinfo_consumers", (key, name))) if one["name"] != NO_CONSUMER]
    return Group(
        stream,
        name,
        unread=int(lag),
        pending=int(told["pending"]),
        held_s=int(pending[0]["time_since_delivered"]) / 1000 if pending else None,
        consumers=len(consumers),
        seen_s=min((int(one["idle"]) / 1000 for one in consumers), default=None),
        lost=max(0, int(lag) - entries) if entries else 0,
    )


def newest_results(keys: Keys, limit: int) -> Command[list[tuple[str, dict[str, str]]]]:
    """The newest entries of the results stream, oldest first."""
    entries: list[tuple[str, dict[str, str]]] = yield RedisCommand("xrevrange", (keys.results,), {"count": limit})
    return list(reversed(entries))
