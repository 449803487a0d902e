"""Endpoints of webhooks in the ledger: how they are made, changed, switched and read."""

import json
import secrets as randomness
from collections.abc import Mapping, Sequence
from datetime import timedelta

from didflow.contract.errors import InvalidRequest, WebhookNotFound
from didflow.contract.webhooks import DeliveryOutcome, DisabledReason, Endpoint, EndpointChange, EndpointState, EndpointView
from didflow.ledger.commands import Command, Commands, RedisCommand
from didflow.ledger.keys import Keys
from didflow.ledger.script_calls import Call
from didflow.ledger.views import moment, whole
from didflow.ledger.webhooks.messages import TOGETHER
from didflow.ledger.webhooks.signing_secrets import secrets_in


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
    found = yield from commands.run(Call("webhook_rotate", (name, secret, int(overlap.total_seconds() * 1000), commands.actor), str))
    return (yield from view(commands, found or name))


def switch(commands: Commands, name: str, state: EndpointState) -> Command[EndpointView]:
    """Enable or disable an endpoint. What waits for another attempt is due at once. Raises WebhookNotFound."""
    found: str = yield from commands.run(Call("webhook_switch", (name, state.value, commands.actor), str))
    if found and state is EndpointState.ENABLED:
        yield from hasten(commands, found)
    return (yield from view(commands, found or name))


def change(commands: Commands, name: str, wanted: EndpointChange) -> Command[EndpointView]:
    """Change an endpoint. What waits goes to the new URL at once, and only if the new filters have it. Raises WebhookNotFound."""
    endpoint_id = yield from id_of(commands.keys, name)
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
    endpoint_id = yield from id_of(commands.keys, name)
    (found,) = yield from _views(commands.keys, [endpoint_id])
    return found


def every(commands: Commands) -> Command[tuple[EndpointView, ...]]:
    """All endpoints, by name."""
    names: dict[str, str] = yield RedisCommand("hgetall", (commands.keys.webhooks,))
    return (yield from _views(commands.keys, sorted(names, key=lambda one: names[one])))


def id_of(keys: Keys, name: str) -> Command[str]:
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
    return tuple(_view(fields, queued, secrets_in(text).valid(now_ms), now_ms) for fields, queued, text in rows if fields)


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
