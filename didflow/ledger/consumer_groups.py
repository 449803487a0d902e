"""Reading a stream as a member of a consumer group: at least once, nothing lost with a dead consumer, poison set aside."""

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import redis

from didflow.contract.errors import ServiceUnavailable
from didflow.contract.events import Event
from didflow.ledger.client import LedgerClient
from didflow.ledger.commands import BLOCK_S, Command, Entries, RedisCommand, entries_of
from didflow.ledger.group_membership import Membership
from didflow.ledger.keys import Keys

#: Entries are read one by one. An entry that is read and not delivered yet would count as abandoned after `min_idle_s`, although its
#: consumer lives; and the server counts every reading, so what lies behind an entry that kills its consumer would be counted up with it.
ONE = 1
#: How long a consumer leaves a Redis that is away alone, at first and at last.
AGAIN_FIRST_S, AGAIN_LAST_S = 0.2, 5.0
#: A stream of set-aside entries is kept this long.
POISON_KEPT = 10_000
#: This many of the newest entries stay although every group has read them: for people, and for groups that join late.
KEPT_FOR_A_LOOK = 1_000


T = TypeVar("T")


@dataclass(frozen=True)
class Channel:
    """A stream with consumer groups, and the stream for its poison entries: their fields, and ours, which begin with `prefix`."""

    stream: str
    aside: str
    prefix: str


def results_of(keys: Keys) -> Channel:
    return Channel(keys.results, keys.poison, "poison")


def requests_of(keys: Keys) -> Channel:
    return Channel(keys.requests, keys.dead_requests, "dead")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """An event as the stream holds it, and how often it has been delivered, this time included."""

    entry_id: str
    event: T
    deliveries: int


@dataclass(frozen=True)
class Pause:
    """Redis is unavailable: the conversation continues after this many seconds."""

    seconds: float
    error: ServiceUnavailable


def parse_event(fields: Mapping[str, str]) -> Event:
    """Raises ValueError for what isn't one of ours."""
    return Event.model_validate({**fields, "data": json.loads(fields.get("data", ""))})


#: Yields commands, entries and pauses in turn; a command's reply is sent in, to the others None.
Conversation = Generator[RedisCommand | tuple[RedisCommand, ...] | Entry[T] | Pause, Any, None]
#: How a stream's fields are read. Raises ValueError or RecursionError for what isn't one of ours.
Parse = Callable[[Mapping[str, str]], T]


def follow(
    channel: Channel, member: Membership, parse: Parse[T], clock: Callable[[], float], held: set[str] | None = None
) -> Conversation[T]:
    """All entries for this consumer: first what it held before a restart, then what dead consumers hold, then new ones.

    `held`: the entries that were delivered here and have no ack yet; the caller removes one with its ack. They aren't delivered a second
    time when the conversation continues after Redis was away.
    """
    held = set() if held is None else held
    pauses_s, must_join, not_before_s = pauses(), False, float("-inf")
    while True:
        try:
            if must_join:
                yield from _join(channel, member)
                held.clear()
                must_join = False
            yield from _own_pending(channel, member, parse, held)
            pauses_s = pauses()
            yield from _others_and_news(channel, member, parse, held, clock, not_before_s)
            return
        except redis.exceptions.ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            must_join = True
        except ServiceUnavailable as error:
            if not member.waits_for_redis:
                raise
            yield Pause(next(pauses_s), error)
            # While Redis was unavailable no consumer could acknowledge: an entry that looks abandoned may belong to a living consumer.
            not_before_s = clock() + member.min_idle_s


def pauses() -> Iterator[float]:
    """How long to wait before each next try, s, without end."""
    again_s = AGAIN_FIRST_S
    while True:
        yield again_s
        again_s = min(AGAIN_LAST_S, again_s * 2)


def _others_and_news(
    channel: Channel, member: Membership, parse: Parse[T], held: set[str], clock: Callable[[], float], not_before_s: float
) -> Conversation[T]:
    """What dead consumers hold, from `not_before_s` on and then twice in `min_idle_s`, and new entries."""
    take_over_s, idle_s = not_before_s, 0.0
    while True:
        if clock() >= take_over_s:
            yield from _take_over(channel, member, parse, held)
            take_over_s = clock() + member.min_idle_s / 2
        block_s = min(BLOCK_S, member.block_s)
        options = {"count": ONE, "block": max(1, int(block_s * 1000))}
        entries = entries_of((yield RedisCommand("xreadgroup", (member.group, member.consumer, {channel.stream: ">"}), options)))
        idle_s = 0.0 if entries else idle_s + block_s
        if member.ends_idle and not entries and idle_s >= member.block_s:
            return
        for entry_id, fields in entries:
            yield from _hand_out(channel, member, parse, held, entry_id, fields, 1)


def added(channel: Channel, fields: Mapping[str, str]) -> Command[str]:
    """A new entry; reads its id. Sent twice, it is there twice."""
    entry_id: str = yield RedisCommand("xadd", (channel.stream, dict(fields)))
    return entry_id


def acknowledge(channel: Channel, member: Membership, entry_id: str) -> Command[None]:
    """The entry is handled, by the consumer that holds it."""
    yield RedisCommand("xack", (channel.stream, member.group, entry_id))


def _join(channel: Channel, member: Membership) -> Conversation[Any]:
    """Make the group, from the first entry that is kept, if it isn't there."""
    try:
        yield RedisCommand("xgroup_create", (channel.stream, member.group), {"id": "0", "mkstream": True})
    except redis.exceptions.ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise


def _own_pending(channel: Channel, member: Membership, parse: Parse[T], held: set[str]) -> Conversation[T]:
    """What this consumer was given and hasn't acknowledged, but for what is in the hands of its caller."""
    start = "-"
    while True:
        options = {"min": start, "max": "+", "count": 1, "consumername": member.consumer}
        pending = yield RedisCommand("xpending_range", (channel.stream, member.group), options)
        if not pending:
            return
        entry_id = str(pending[0]["message_id"])
        start = _after(entry_id)
        if entry_id in held:
            continue
        read = RedisCommand("xreadgroup", (member.group, member.consumer, {channel.stream: _before(entry_id)}), {"count": ONE})
        # If another consumer took this one meanwhile, continue with the next.
        entries = [(found, fields) for found, fields in entries_of((yield read)) if found == entry_id]
        yield from _hand_out_again(channel, member, parse, held, entries)


def _take_over(channel: Channel, member: Membership, parse: Parse[T], held: set[str]) -> Conversation[T]:
    """Claim what any consumer has held for too long."""
    start = "0-0"
    while True:
        reply = yield RedisCommand(
            "xautoclaim",
            (channel.stream, member.group, member.consumer, int(member.min_idle_s * 1000)),
            {"start_id": start, "count": ONE},
        )
        start = reply[0]
        entries = [(entry_id, fields) for entry_id, fields in reply[1] if fields is not None]
        yield from _hand_out_again(channel, member, parse, held, entries)
        if start == "0-0":
            return


def _hand_out_again(channel: Channel, member: Membership, parse: Parse[T], held: set[str], entries: Entries) -> Conversation[T]:
    for entry_id, fields in entries:
        pending = yield RedisCommand("xpending_range", (channel.stream, member.group), {"min": entry_id, "max": entry_id, "count": 1})
        if pending:  # Otherwise another consumer has acknowledged it meanwhile.
            yield from _hand_out(channel, member, parse, held, entry_id, fields, int(pending[0]["times_delivered"]))


def _hand_out(
    channel: Channel, member: Membership, parse: Parse[T], held: set[str], entry_id: str, fields: dict[str, str], deliveries: int
) -> Conversation[T]:
    if deliveries > member.max_deliveries:
        yield from set_aside(channel, member, entry_id, fields, f"delivered {deliveries - 1} times without an acknowledgement")
        return
    try:
        event = parse(fields)
    except (ValueError, RecursionError) as error:
        yield from set_aside(channel, member, entry_id, fields, f"not an event ({type(error).__name__})")
        return
    held.add(entry_id)
    yield Entry(entry_id, event, deliveries)


def set_aside(
    channel: Channel, member: Membership, entry_id: str, fields: Mapping[str, str], reason: str, **more: str
) -> Generator[RedisCommand, Any, None]:
    """Keep it for a look and let the group continue. Written before it is acknowledged: twice is better than never."""
    said = {"entry": entry_id, "group": member.group, "reason": reason} | more
    kept = {**fields, **{f"{channel.prefix}_{name}": text for name, text in said.items()}}
    yield RedisCommand("xadd", (channel.aside, kept), {"maxlen": POISON_KEPT, "approximate": True})
    yield RedisCommand("xack", (channel.stream, member.group, entry_id))


def trim(reader: LedgerClient, *, keep: int = KEPT_FOR_A_LOOK) -> int:
    """Delete the entries of each stream that every consumer group has read and acknowledged; none where there is no group.

    A poison entry, and everything after it, is kept until it is replayed or dropped; the newest `keep` entries are always kept.

    Returns how many went. The scripts that write keep the hard maximum.
    """
    keys = reader.keys
    removed = sum(reader.perform(_trim(channel.stream, keep, channel)) for channel in (results_of(keys), requests_of(keys)))
    return removed + reader.perform(_trim(keys.events, keep))


def _trim(stream: str, keep: int, channel: Channel | None = None) -> Command[int]:
    too_many: int = (yield RedisCommand("xlen", (stream,))) - keep
    if too_many <= 0:
        return 0
    try:
        groups = yield RedisCommand("xinfo_groups", (stream,))
    except redis.exceptions.ResponseError:
        return 0  # There is no such stream yet.
    needed: list[str] = []
    for group in groups:
        pending = yield RedisCommand("xpending_range", (stream, group["name"]), {"min": "-", "max": "+", "count": 1})
        needed.append(str(pending[0]["message_id"]) if pending else _after(str(group["last-delivered-id"])))
    if not needed:
        return 0
    if channel is not None:
        for _, kept in (yield RedisCommand("xrange", (channel.aside,))):
            needed.append(kept.get(f"{channel.prefix}_entry") or needed[0])  # It may still be given back to its group.
    oldest = min(needed, key=_order)
    if oldest == "0-1":
        return 0
    removed: int = yield RedisCommand("xtrim", (stream,), {"minid": oldest, "approximate": True, "limit": too_many})
    return removed


def _after(entry_id: str) -> str:
    milliseconds, _, sequence = entry_id.partition("-")
    return f"{milliseconds}-{int(sequence) + 1}"


def _before(entry_id: str) -> str:
    milliseconds, _, sequence = entry_id.partition("-")
    if int(sequence):
        return f"{milliseconds}-{int(sequence) - 1}"
    return f"{int(milliseconds) - 1}-{2**64 - 1}" if int(milliseconds) else "0-0"


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence)
