"""Reading the results stream as a member of a consumer group: at least once, nothing lost with a dead consumer, poison set aside."""

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

import redis

from worker.contract.events import Event
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


@dataclass(frozen=True)
class Entry:
    """An event as it lies in the stream, and how often it has been handed out, this time included."""

    entry_id: str
    event: Event
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
Conversation = Generator[Ask | tuple[Ask, ...] | Entry, Any, None]


def follow(keys: Keys, member: Membership, clock: Callable[[], float]) -> Conversation:
    """All entries for this consumer: first what it held before a restart, then what dead consumers hold, then news."""
    yield from _join(keys, member)
    yield from _own_pending(keys, member)
    taken_over_s = float("-inf")
    while True:
        try:
            if clock() - taken_over_s >= member.min_idle_s / 2:
                taken_over_s = clock()
                yield from _take_over(keys, member)
            ask = Ask(
                "xreadgroup",
                (member.group, member.consumer, {keys.results: ">"}),
                {"count": BATCH, "block": max(1, int(member.block_s * 1000))},
            )
            entries = entries_of((yield ask))
            if not entries and member.ends_idle:
                return
            for entry_id, fields in entries:
                yield from _hand_out(keys, member, entry_id, fields, 1)
        except redis.exceptions.ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            yield from _join(keys, member)


def acknowledge(keys: Keys, member: Membership, entry_id: str) -> Plan[None]:
    """The entry is dealt with, by whoever has it."""
    yield Ask("xack", (keys.results, member.group, entry_id))


def _join(keys: Keys, member: Membership) -> Conversation:
    """Make the group, from the first entry that is kept, if it isn't there."""
    try:
        yield Ask("xgroup_create", (keys.results, member.group), {"id": "0", "mkstream": True})
    except redis.exceptions.ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise


def _own_pending(keys: Keys, member: Membership) -> Conversation:
    last = "0"
    while True:
        entries = entries_of((yield Ask("xreadgroup", (member.group, member.consumer, {keys.results: last}), {"count": 1})))
        if not entries:
            return
        last = entries[-1][0]
        yield from _hand_out_again(keys, member, entries)


def _take_over(keys: Keys, member: Membership) -> Conversation:
    """Claim what anybody has held for too long."""
    start = "0-0"
    while True:
        reply = yield Ask(
            "xautoclaim", (keys.results, member.group, member.consumer, int(member.min_idle_s * 1000)), {"start_id": start, "count": 1}
        )
        start = reply[0]
        yield from _hand_out_again(keys, member, [(entry_id, fields) for entry_id, fields in reply[1] if fields is not None])
        if start == "0-0":
            return


def _hand_out_again(keys: Keys, member: Membership, entries: Entries) -> Conversation:
    for entry_id, fields in entries:
        pending = yield Ask("xpending_range", (keys.results, member.group), {"min": entry_id, "max": entry_id, "count": 1})
        if pending:  # Else somebody else has acknowledged it meanwhile.
            yield from _hand_out(keys, member, entry_id, fields, int(pending[0]["times_delivered"]))


def _hand_out(keys: Keys, member: Membership, entry_id: str, fields: dict[str, str], deliveries: int) -> Conversation:
    if deliveries > member.max_deliveries:
        yield from _set_aside(keys, member, entry_id, fields, f"handed out {deliveries - 1} times without an ack")
        return
    try:
        event = parse_event(fields)
    except (ValueError, RecursionError) as error:
        yield from _set_aside(keys, member, entry_id, fields, f"not an event ({type(error).__name__})")
        return
    yield Entry(entry_id, event, deliveries)


def _set_aside(keys: Keys, member: Membership, entry_id: str, fields: dict[str, str], reason: str) -> Conversation:
    """Keep it for a look and let the group go on. Written before it is acknowledged: twice is better than never."""
    kept = {**fields, "poison_entry": entry_id, "poison_group": member.group, "poison_reason": reason}
    yield Ask("xadd", (keys.poison, kept), {"maxlen": POISON_KEPT, "approximate": True})
    yield Ask("xack", (keys.results, member.group, entry_id))


def trim(reader: LedgerReader, *, keep: int = KEPT_FOR_A_LOOK) -> int:
    """Delete the entries of both streams that every consumer group has read and acknowledged; none where there is no group.

    What a group set aside, and what came after it, is kept until it is given back or dropped; the newest `keep` are, whoever read them.

    Returns how many went. The scripts that write keep the hard maximum.
    """
    keys = reader.keys
    return reader.perform(_trim(keys.results, keep, keys.poison)) + reader.perform(_trim(keys.events, keep))


def _trim(stream: str, keep: int, poison: str | None = None) -> Plan[int]:
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
    for _, kept in (yield Ask("xrange", (poison,))) if poison else ():
        needed.append(kept.get("poison_entry") or needed[0])  # It may still be given back to its group.
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
