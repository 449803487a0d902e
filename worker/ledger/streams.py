"""Reading a stream as a member of a consumer group: at least once, nothing lost with a dead consumer, poison set aside."""

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import redis

from worker.contract.events import Event
from worker.ledger.connection import translated
from worker.ledger.keys import Keys
from worker.ledger.plans import Ask, Entries, Plan, entries_of
from worker.ledger.reader import LedgerReader

#: How many new entries are asked for at a time. Those that were handed out before are asked for one by one: the server counts
#: every reading, and what lies behind an entry that kills its consumer must not be counted up with it.
BATCH = 50
#: A stream of set-aside entries is kept this long.
POISON_KEPT = 10_000
#: So many of the newest entries stay although every group has read them: for a person's look, and for a group that joins late.
KEPT_FOR_A_LOOK = 1_000


T = TypeVar("T")


@dataclass(frozen=True)
class Channel:
    """A stream that groups read, and where what a group can't take in is set aside: its fields, and ours, which begin with `prefix`."""

    stream: str
    aside: str
    prefix: str


def results_of(keys: Keys) -> Channel:
    return Channel(keys.results, keys.poison, "poison")


def requests_of(keys: Keys) -> Channel:
    return Channel(keys.requests, keys.dead_requests, "dead")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """An event as it lies in the stream, and how often it has been handed out, this time included."""

    entry_id: str
    event: T
    deliveries: int


@dataclass(frozen=True)
class Membership:
    """Who reads, and how patiently.

    block_s         how long one read waits for news
    min_idle_s      an entry that a consumer has held for this long without an ack goes to another one (or to itself again)
    max_deliveries  an entry that was handed out more often than this is poison: set aside, with the reason
    ends_idle       end when there is nothing more to read, instead of waiting for it
    """

    group: str
    consumer: str
    block_s: float = 2.0
    min_idle_s: float = 60.0
    max_deliveries: int = 5
    ends_idle: bool = False


def parse_event(fields: Mapping[str, str]) -> Event:
    """Raises ValueError for what isn't one of ours."""
    return Event.model_validate({**fields, "data": json.loads(fields.get("data", ""))})


#: Yields commands and entries in turn; a command's reply is sent in, an entry's turn is sent None.
Conversation = Generator[Ask | tuple[Ask, ...] | Entry[T], Any, None]
#: How a stream's fields are read. Raises ValueError or RecursionError for what isn't one of ours.
Parse = Callable[[Mapping[str, str]], T]


def follow(channel: Channel, member: Membership, parse: Parse[T], clock: Callable[[], float]) -> Conversation[T]:
    """All entries for this consumer: first what it held before a restart, then what dead consumers hold, then news."""
    yield from _join(channel, member)
    yield from _own_pending(channel, member, parse)
    taken_over_s = float("-inf")
    while True:
        try:
            if clock() - taken_over_s >= member.min_idle_s / 2:
                taken_over_s = clock()
                yield from _take_over(channel, member, parse)
            ask = Ask(
                "xreadgroup",
                (member.group, member.consumer, {channel.stream: ">"}),
                {"count": BATCH, "block": max(1, int(member.block_s * 1000))},
            )
            entries = entries_of((yield ask))
            if not entries and member.ends_idle:
                return
            for entry_id, fields in entries:
                yield from _hand_out(channel, member, parse, entry_id, fields, 1)
        except redis.exceptions.ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            yield from _join(channel, member)


def added(channel: Channel, fields: Mapping[str, str]) -> Plan[str]:
    """A new entry; reads its id. Sent twice, it is there twice."""
    entry_id: str = yield Ask("xadd", (channel.stream, dict(fields)))
    return entry_id


def acknowledge(channel: Channel, member: Membership, entry_id: str) -> Plan[None]:
    """The entry is dealt with, by whoever has it."""
    yield Ask("xack", (channel.stream, member.group, entry_id))


def _join(channel: Channel, member: Membership) -> Conversation[Any]:
    """Make the group, from the first entry that is kept, if it isn't there."""
    try:
        yield Ask("xgroup_create", (channel.stream, member.group), {"id": "0", "mkstream": True})
    except redis.exceptions.ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise


def _own_pending(channel: Channel, member: Membership, parse: Parse[T]) -> Conversation[T]:
    last = "0"
    while True:
        entries = entries_of((yield Ask("xreadgroup", (member.group, member.consumer, {channel.stream: last}), {"count": 1})))
        if not entries:
            return
        last = entries[-1][0]
        yield from _hand_out_again(channel, member, parse, entries)


def _take_over(channel: Channel, member: Membership, parse: Parse[T]) -> Conversation[T]:
    """Claim what anybody has held for too long."""
    start = "0-0"
    while True:
        reply = yield Ask(
            "xautoclaim", (channel.stream, member.group, member.consumer, int(member.min_idle_s * 1000)), {"start_id": start, "count": 1}
        )
        start = reply[0]
        yield from _hand_out_again(channel, member, parse, [(entry_id, fields) for entry_id, fields in reply[1] if fields is not None])
        if start == "0-0":
            return


def _hand_out_again(channel: Channel, member: Membership, parse: Parse[T], entries: Entries) -> Conversation[T]:
    for entry_id, fields in entries:
        pending = yield Ask("xpending_range", (channel.stream, member.group), {"min": entry_id, "max": entry_id, "count": 1})
        if pending:  # Else somebody else has acknowledged it meanwhile.
            yield from _hand_out(channel, member, parse, entry_id, fields, int(pending[0]["times_delivered"]))


def _hand_out(
    channel: Channel, member: Membership, parse: Parse[T], entry_id: str, fields: dict[str, str], deliveries: int
) -> Conversation[T]:
    if deliveries > member.max_deliveries:
        yield from set_aside(channel, member, entry_id, fields, f"handed out {deliveries - 1} times without an ack")
        return
    try:
        event = parse(fields)
    except (ValueError, RecursionError) as error:
        yield from set_aside(channel, member, entry_id, fields, f"not an event ({type(error).__name__})")
        return
    yield Entry(entry_id, event, deliveries)


def set_aside(
    channel: Channel, member: Membership, entry_id: str, fields: Mapping[str, str], reason: str, **more: str
) -> Generator[Ask, Any, None]:
    """Keep it for a look and let the group go on. Written before it is acknowledged: twice is better than never."""
    said = {"entry": entry_id, "group": member.group, "reason": reason} | more
    kept = {**fields, **{f"{channel.prefix}_{name}": text for name, text in said.items()}}
    yield Ask("xadd", (channel.aside, kept), {"maxlen": POISON_KEPT, "approximate": True})
    yield Ask("xack", (channel.stream, member.group, entry_id))


def converse(reader: LedgerReader, conversation: Conversation[T]) -> Iterator[Entry[T]]:
    """Carry a conversation out, and hand out its entries. Raises ServiceUnavailable: begin a new one then."""
    try:
        step = next(conversation)
        while True:
            if isinstance(step, Entry):
                yield step
                step = conversation.send(None)
                continue
            try:
                with translated():
                    reply = reader.ask(step)
            except redis.exceptions.ResponseError as error:
                step = conversation.throw(error)
            else:
                step = conversation.send(reply)
    except StopIteration:
        return


def trim(reader: LedgerReader, *, keep: int = KEPT_FOR_A_LOOK) -> int:
    """Delete the entries of each stream that every consumer group has read and acknowledged; none where there is no group.

    What a group set aside, and what came after it, is kept until it is given back or dropped; the newest `keep` are, whoever read them.

    Returns how many went. The scripts that write keep the hard maximum.
    """
    keys = reader.keys
    removed = sum(reader.perform(_trim(channel.stream, keep, channel)) for channel in (results_of(keys), requests_of(keys)))
    return removed + reader.perform(_trim(keys.events, keep))


def _trim(stream: str, keep: int, channel: Channel | None = None) -> Plan[int]:
    too_many: int = (yield Ask("xlen", (stream,))) - keep
    if too_many <= 0:
        return 0
    try:
        groups = yield Ask("xinfo_groups", (stream,))
    except redis.exceptions.ResponseError:
        return 0  # There is no such stream yet.
    needed: list[str] = []
    for group in groups:
        pending = yield Ask("xpending_range", (stream, group["name"]), {"min": "-", "max": "+", "count": 1})
        needed.append(str(pending[0]["message_id"]) if pending else _after(str(group["last-delivered-id"])))
    if not needed:
        return 0
    if channel is not None:
        for _, kept in (yield Ask("xrange", (channel.aside,))):
            needed.append(kept.get(f"{channel.prefix}_entry") or needed[0])  # It may still be given back to its group.
    oldest = min(needed, key=_order)
    if oldest == "0-1":
        return 0
    removed: int = yield Ask("xtrim", (stream,), {"minid": oldest, "approximate": True, "limit": too_many})
    return removed


def _after(entry_id: str) -> str:
    milliseconds, _, sequence = entry_id.partition("-")
    return f"{milliseconds}-{int(sequence) + 1}"


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence)
