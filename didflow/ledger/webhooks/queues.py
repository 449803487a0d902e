"""The queues of webhooks: each endpoint has one.

Events are read from both streams into the queues of the endpoints that want them. A queue has an order for each job: a message that
isn't delivered holds back the later ones of its job, and nothing else.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import redis

from didflow.contract.webhooks import DisabledReason
from didflow.ledger.commands import Command, Commands, RedisCommand
from didflow.ledger.keys import Keys
from didflow.ledger.script_calls import Call
from didflow.ledger.views import whole
from didflow.ledger.webhooks.messages import Message, is_whole
from didflow.ledger.webhooks.targets import Targets

#: The consumer group of the streams. Entries that it hasn't passed aren't trimmed.
GROUP = "webhooks"
#: Events that may wait for one endpoint. More aren't queued for it; an event says so, and `redeliver` sends them.
QUEUED_MOST = 100_000
#: This many of the newest messages are kept for redelivery, although every endpoint has them.
KEPT = 20_000
#: A disabled endpoint keeps its queue for this long.
DISABLED_KEPT = timedelta(days=7)
#: Messages that are taken by one script.
TAKEN_MOST = 100


@dataclass(frozen=True)
class Taken:
    """A message to deliver now. The lease is this process's, under the name of `claim`.

    taken_ms      when it was taken, on the server's clock
    first_ms      when it was tried first
    delivered_ms  when anything was delivered to this endpoint last; 0: never
    """

    claim: str
    endpoint_id: str
    key: str
    message: str
    attempt: int
    taken_ms: int
    first_ms: int
    delivered_ms: int
    fields: Mapping[str, str]

    @property
    def is_whole(self) -> bool:
        """Whether it is a message as didflow queues them."""
        return is_whole(self.fields)


@dataclass(frozen=True)
class Take:
    """The reply to a take. `next_s`: seconds until something else is due; None: nothing else is known to be due."""

    version: str
    next_s: float | None
    taken: tuple[Taken, ...]


def fan_out(
    commands: Commands, known: Targets, after: tuple[str, str], read: tuple[int, int], messages: Iterable[tuple[Message, Sequence[str]]]
) -> Command[bool]:
    """Queue messages for their endpoints, and move on behind the entries that were read: `read` of each stream, up to `after`.

    False: another process was there first, or the endpoints have changed.
    """
    return (yield from commands.run(fan_out_call(known, after, read, messages))) == "ok"


def fan_out_call(
    known: Targets,
    after: tuple[str, str],
    read: tuple[int, int],
    messages: Iterable[tuple[Message, Sequence[str]]],
    *,
    queued_most: int = QUEUED_MOST,
) -> Call[str]:
    """The script behind `fan_out`."""
    args: list[str | int] = [known.version, known.results or "", known.events or "", *after, *read, queued_most]
    for one, endpoints in messages:
        args += [one.event_id, one.type, one.key, one.account, one.reference, one.body, " ".join(endpoints)]
    return Call("webhook_fan_out", tuple(args), str)


def is_here(keys: Keys, consumer: str) -> Command[None]:
    """Let the group's consumer be seen: `didflow doctor` says whether one is there."""
    for stream in (keys.results, keys.events):
        try:
            yield RedisCommand("xreadgroup", (GROUP, consumer, {stream: "0"}), {"count": 1})
        except redis.exceptions.ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise


def take(commands: Commands, claim: str, room: Mapping[str, int], *, lease_s: float, most: int) -> Command[Take]:
    """Take what is due, up to as many of each endpoint as there is room for, and `most` over all processes. The first ones go first."""
    args = [claim, int(lease_s * 1000), most, TAKEN_MOST, *(part for pair in room.items() for part in pair)]
    return (yield from commands.run(Call("webhook_take", tuple(args), lambda reply: read_take(claim, reply))))


def read_take(claim: str, reply: Sequence[Any]) -> Take:
    """The reply of the script behind `take`."""
    version, next_ms, now_ms, *rows = reply
    return Take(version, int(next_ms) / 1000 if next_ms != "" else None, tuple(_taken(claim, int(now_ms), row) for row in rows))


def settle_call(
    taken: Taken, outcome: str, record: str = "", *, again_s: float = 0.0, pause_s: float = 0.0, disable: DisabledReason | None = None
) -> Call[bool]:
    """What an attempt led to. Its reply: whether the lease was still this process's. `returned`: nothing was sent."""
    times, reason = (int(again_s * 1000), int(pause_s * 1000)), disable.value if disable else ""
    args = (taken.endpoint_id, taken.key, taken.message, taken.claim, outcome, *times, reason, record, taken.taken_ms)
    return Call("webhook_settle", args, lambda reply: reply == "ok")


def settle_many(commands: Commands, calls: Sequence[Call[bool]]) -> Command[list[bool]]:
    """Send several at once. What was written before one of them failed is found written the next time."""
    script = commands.script("webhook_settle")
    sent = tuple(RedisCommand("evalsha", (script.sha1, 1, commands.keys.namespace, *map(str, call.args))) for call in calls)
    replies = yield sent
    if any(isinstance(reply, redis.exceptions.NoScriptError) for reply in replies):
        yield RedisCommand("script_load", (script.source,))
        replies = yield sent
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return [call.parse(reply) for call, reply in zip(calls, replies, strict=True)]


def trim(commands: Commands) -> Command[int]:
    """Delete messages that nothing needs. Returns how many."""
    return (yield from commands.run(Call("webhook_trim", (KEPT, int(DISABLED_KEPT.total_seconds() * 1000)), int)))


def _taken(claim: str, now_ms: int, row: Sequence[Any]) -> Taken:
    endpoint_id, key, message, attempt, first_ms, delivered_ms, fields = row
    named = dict(zip(fields[::2], fields[1::2], strict=True))
    return Taken(claim, endpoint_id, key, message, int(attempt), now_ms, int(first_ms), whole(delivered_ms), named)
