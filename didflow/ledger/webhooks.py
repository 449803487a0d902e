"""Webhooks in the ledger: endpoints, the queue of each, and the log of its deliveries.

Events are read from both streams into the queues of the endpoints that want them. A queue has an order for each job: a message that
isn't delivered holds back the later ones of its job, and nothing else.
"""

import json
import secrets as randomness
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import redis

from didflow.contract.errors import InvalidRequest, WebhookNotFound
from didflow.contract.webhooks import (
    FAILURES,
    Attempt,
    DeliveryOutcome,
    DisabledReason,
    Endpoint,
    EndpointChange,
    EndpointState,
    EndpointView,
)
from didflow.ledger.commands import Command, Commands, RedisCommand
from didflow.ledger.keys import Keys
from didflow.ledger.script_calls import Call
from didflow.ledger.stream_places import check_place, has_none_before
from didflow.ledger.views import moment, whole

#: The consumer group of the streams. Entries that it hasn't passed aren't trimmed.
GROUP = "webhooks"
#: Events that may wait for one endpoint. More aren't queued for it; an event says so, and `redeliver` sends them.
QUEUED_MOST = 100_000
#: This many of the newest messages are kept for redelivery, although every endpoint has them.
KEPT = 20_000
#: A disabled endpoint keeps its queue for this long.
DISABLED_KEPT = timedelta(days=7)
#: Messages that are queued again, or made due, by one script.
TOGETHER = 200
#: Messages that are taken by one script.
TAKEN_MOST = 100
#: The type of the event that `didflow webhooks test` sends.
TEST_TYPE = "didflow.webhook.test.v1"


@dataclass(frozen=True)
class Message:
    """An event for endpoints. `key`: what its order is kept for; `body`: what is posted."""

    event_id: str
    type: str
    key: str
    account: str
    reference: str
    body: str


@dataclass(frozen=True)
class Target:
    """What a webhook process has to know of an endpoint. `secrets`: newest first; they are in no text of it."""

    endpoint: Endpoint
    after_results: str
    after_events: str
    secrets: "Secrets"


@dataclass(frozen=True)
class Secrets:
    """Signing secrets with the moments until which they sign, ms; 0: without an end. Its text shows none."""

    kept: tuple[tuple[str, int], ...]

    def __repr__(self) -> str:
        return f"Secrets({len(self.kept)})"

    def valid(self, now_ms: int) -> tuple[str, ...]:
        """Those that sign now, newest first."""
        return tuple(secret for secret, until_ms in self.kept if not 0 < until_ms <= now_ms)


@dataclass(frozen=True)
class Targets:
    """All endpoints, and how far the streams are read. `version`: of the endpoints; `now_ms`: the server's clock.

    `results`, `events`: positions; None: there is no endpoint.
    """

    version: str
    now_ms: int
    results: str | None
    events: str | None
    by_id: Mapping[str, Target]


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


def is_whole(fields: Mapping[str, str]) -> bool:
    """Whether these are the fields of a message. Something else may have written to the stream."""
    return all(fields.get(name) for name in ("id", "type", "body")) and {"account", "reference"} <= fields.keys()


def new_endpoint_id() -> str:
    return randomness.token_hex(6)


def create(commands: Commands, endpoint: Endpoint, secret: str) -> Command[None]:
    """Store a new endpoint, which gets what is written from now on. Raises InvalidRequest if one has its name."""
    record = endpoint.model_dump_json(exclude_none=True)
    args = (endpoint.id, endpoint.name, record, secret, commands.actor)
    match (yield from commands.run(Call("webhook_create", args, str))):
        case "taken":
            what = "a webhook has this name: give another one, or delete that webhook (`didflow webhooks list`)"
            raise InvalidRequest(f"name: {what}", (("name", what),))
        case "full":
            what = "there are a hundred webhooks: delete those that aren't used (`didflow webhooks list`)"
            raise InvalidRequest(f"name: {what}", (("name", what),))


def rotate(commands: Commands, name: str, secret: str, overlap: timedelta) -> Command[EndpointView]:
    """Let the endpoint sign with this secret, and with its older ones for the `overlap`. Raises WebhookNotFound."""
    found = yield from commands.run(Call("webhook_rotate", (name, secret, _ms(overlap), commands.actor), str))
    return (yield from view(commands, found or name))


def switch(commands: Commands, name: str, state: EndpointState) -> Command[EndpointView]:
    """Enable or disable an endpoint. What waits for another attempt is due at once. Raises WebhookNotFound."""
    found: str = yield from commands.run(Call("webhook_switch", (name, state.value, commands.actor), str))
    if found and state is EndpointState.ENABLED:
        yield from hasten(commands, found)
    return (yield from view(commands, found or name))


def change(commands: Commands, name: str, wanted: EndpointChange) -> Command[EndpointView]:
    """Change an endpoint. What waits goes to the new URL at once, and only if the new filters have it. Raises WebhookNotFound."""
    endpoint_id = yield from _id_of(commands.keys, name)
    while True:
        text: str | None = yield RedisCommand("hget", (commands.keys.webhook(endpoint_id), "record"))
        if text is None:
            raise WebhookNotFound(name)
        before = Endpoint.model_validate_json(text)
        after, differs = wanted.applied_to(before), wanted.differences(before)
        record = after.model_dump_json(exclude_none=True) if differs else text
        state = "" if wanted.enabled is None else "enabled" if wanted.enabled else "disabled"
        args = (endpoint_id, text, record, "url" if after.url != before.url else "", state, commands.actor, " ".join(differs))
        match (yield from commands.run(Call("webhook_update", args, str))):
            case "gone":
                raise WebhookNotFound(name)
            case "changed":
                continue  # By somebody else, whose change stays.
        if state == "enabled" or after.url != before.url:
            yield from hasten(commands, endpoint_id)
        return (yield from view(commands, endpoint_id))


def hasten(commands: Commands, endpoint_id: str) -> Command[None]:
    """Let everything that waits for another attempt be due now."""
    while (yield from commands.run(Call("webhook_hasten", (endpoint_id, TOGETHER), int))) == TOGETHER:
        pass


def delete(commands: Commands, name: str) -> Command[None]:
    """Delete an endpoint, its queue and its log. Raises WebhookNotFound."""
    if (yield from commands.run(Call("webhook_delete", (name, commands.actor), str))) == "gone":
        raise WebhookNotFound(name)


def view(commands: Commands, name: str) -> Command[EndpointView]:
    """The endpoint of that id or name. Raises WebhookNotFound."""
    endpoint_id = yield from _id_of(commands.keys, name)
    (found,) = yield from _views(commands.keys, [endpoint_id])
    return found


def every(commands: Commands) -> Command[tuple[EndpointView, ...]]:
    """All endpoints, by name."""
    names: dict[str, str] = yield RedisCommand("hgetall", (commands.keys.webhooks,))
    return (yield from _views(commands.keys, sorted(names, key=lambda one: names[one])))


def attempts(commands: Commands, name: str, limit: int, before: str | None = None) -> Command[tuple[Attempt, ...]]:
    """The delivery log of an endpoint, newest first. `before`: the place of the last one read.

    Raises WebhookNotFound; InvalidRequest for what isn't a place.
    """
    if before is not None:
        check_place(before, "before", "the `place` of the last attempt of the page before")
    endpoint_id = yield from _id_of(commands.keys, name)
    if before is not None and has_none_before(before):
        return ()
    key = f"{commands.keys.webhook(endpoint_id)}:log"
    entries = yield RedisCommand("xrevrange", (key,), {"max": "+" if before is None else f"({before}", "count": limit})
    return tuple(_attempt(place, fields) for place, fields in entries)


def redeliver(commands: Commands, name: str, event_id: str) -> Command[int]:
    """Queue an event again. Returns 1, or 0 if it isn't kept any more, or isn't one that the endpoint gets. Raises WebhookNotFound."""
    endpoint = yield from view(commands, name)
    last = "+"
    while True:
        entries = yield RedisCommand("xrevrange", (commands.keys.webhook_messages,), {"max": last, "count": TOGETHER})
        if not entries:
            return 0
        found = [(place, fields) for place, fields in entries if fields.get("id") == event_id and is_whole(fields)]
        if found:
            # An endpoint may be one customer's: a mistaken id must not send it the event of another one.
            wanted = [place for place, fields in found if fields["type"] == TEST_TYPE or _wants(endpoint, fields)]
            return (yield from _queue(commands, endpoint.id, wanted, event_id)) if wanted else 0
        last = f"({entries[-1][0]}"


def redeliver_since(commands: Commands, name: str, since: datetime) -> Command[int]:
    """Queue again all that the endpoint wants of the events since then, as far as they are kept. Returns how many.

    Raises WebhookNotFound.
    """
    endpoint = yield from view(commands, name)
    first, count = str(max(0, int(since.timestamp() * 1000))), 0
    (last,) = yield (RedisCommand("xrevrange", (commands.keys.webhook_messages,), {"count": 1}),)
    end = last[0][0] if isinstance(last, list) and last else "0-0"
    while True:
        entries = yield RedisCommand("xrange", (commands.keys.webhook_messages,), {"min": first, "max": end, "count": TOGETHER})
        if not entries:
            return count
        wanted = [place for place, fields in entries if is_whole(fields) and fields["type"] != TEST_TYPE and _wants(endpoint, fields)]
        if wanted:
            queued = yield from _queue(commands, endpoint.id, wanted, "" if count else f"since {since:%Y-%m-%dT%H:%M:%S%z}")
            count += queued
        first = f"({entries[-1][0]}"


def test(commands: Commands, name: str) -> Command[str]:
    """Queue an event of type `TEST_TYPE` for this endpoint alone. Returns the event's id. Raises WebhookNotFound."""
    event_id = f"webhook-test:{randomness.token_hex(8)}"
    found: list[str] = yield from commands.run(Call("webhook_test", (name, event_id, commands.actor), list))
    if not found:
        raise WebhookNotFound(name)
    return event_id


def targets(keys: Keys) -> Command[Targets]:
    """What a webhook process has to know."""
    while True:
        version, (seconds, _), position, names = yield (
            RedisCommand("get", (keys.webhooks_version,)),
            RedisCommand("time"),
            RedisCommand("hgetall", (keys.webhooks_position,)),
            RedisCommand("hgetall", (keys.webhooks,)),
        )
        ids = sorted(names)
        parts = []
        if ids:
            parts = yield (
                *(RedisCommand("hmget", (keys.webhook(one), ["record", "from_results", "from_events"])) for one in ids),
                *(RedisCommand("get", (f"{keys.webhook(one)}:secrets",)) for one in ids),
            )
        if (yield RedisCommand("get", (keys.webhooks_version,))) == version:
            break
    fields, kept = parts[: len(ids)], parts[len(ids) :]
    by_id = {
        one: Target(Endpoint.model_validate_json(record), results, events, _secrets(text))
        for one, (record, results, events), text in zip(ids, fields, kept, strict=True)
    }
    return Targets(version or "0", seconds * 1000, position.get("results"), position.get("events"), by_id)


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
    return (yield from commands.run(Call("webhook_trim", (KEPT, _ms(DISABLED_KEPT)), int)))


def _taken(claim: str, now_ms: int, row: Sequence[Any]) -> Taken:
    endpoint_id, key, message, attempt, first_ms, delivered_ms, fields = row
    named = dict(zip(fields[::2], fields[1::2], strict=True))
    return Taken(claim, endpoint_id, key, message, int(attempt), now_ms, int(first_ms), whole(delivered_ms), named)


def _queue(commands: Commands, endpoint_id: str, messages: Sequence[str], what: str) -> Command[int]:
    """`what`: for the record of who did it; '' after the first part, which is on record."""
    return (yield from commands.run(Call("webhook_queue", (endpoint_id, commands.actor if what else "", what, *messages), int)))


def _wants(endpoint: Endpoint, fields: Mapping[str, str]) -> bool:
    return endpoint.wants(fields["type"], fields["account"], fields["reference"])


def _id_of(keys: Keys, name: str) -> Command[str]:
    names: dict[str, str] = yield RedisCommand("hgetall", (keys.webhooks,))
    if name in names:
        return name
    for endpoint_id, found in names.items():
        if found == name:
            return endpoint_id
    raise WebhookNotFound(name)


def _views(keys: Keys, ids: Sequence[str]) -> Command[tuple[EndpointView, ...]]:
    if not ids:
        return ()
    replies = yield (
        RedisCommand("time"),
        *(RedisCommand("hgetall", (keys.webhook(one),)) for one in ids),
        *(RedisCommand("zcard", (f"{keys.webhook(one)}:queue",)) for one in ids),
        *(RedisCommand("get", (f"{keys.webhook(one)}:secrets",)) for one in ids),
    )
    now_ms, rest, count = replies[0][0] * 1000, replies[1:], len(ids)
    rows = zip(rest[:count], rest[count : 2 * count], rest[2 * count :], strict=True)
    return tuple(_view(fields, queued, _secrets(text).valid(now_ms), now_ms) for fields, queued, text in rows if fields)


def _view(fields: Mapping[str, str], queued: int, valid: Sequence[str], now_ms: int) -> EndpointView:
    return EndpointView(
        **json.loads(fields["record"]),
        state=EndpointState(fields["state"]),
        reason=DisabledReason(fields["reason"]) if fields.get("reason") else None,
        created_at=moment(fields.get("created_ms")),
        created_by=fields.get("created_by", ""),
        changed_at=moment(fields.get("changed_ms")),
        failing_since=moment(fields.get("failing_ms")),
        delivered_at=moment(fields.get("delivered_ms")),
        paused_until=moment(fields.get("paused_ms")) if whole(fields.get("paused_ms")) > now_ms else None,
        queued=queued,
        missed=whole(fields.get("missed")),
        missed_since=moment(fields.get("missed_ms")),
        attempts={one: whole(fields.get(f"count_{one.value}")) for one in DeliveryOutcome},
        secrets=len(valid),
    )


def _attempt(place: str, fields: Mapping[str, str]) -> Attempt:
    record = json.loads(fields["record"])
    moments = {"at": moment(place.partition("-")[0]), "next_at": moment(fields.get("next_ms"))}
    said = {**record, **moments, "place": place, "why": FAILURES.get(record.get("failure") or "")}
    return Attempt.model_validate(said)


def _secrets(text: str | None) -> Secrets:
    return Secrets(tuple((one["secret"], int(one["until_ms"])) for one in json.loads(text or "[]")))


def _ms(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)
