"""The log of an endpoint's deliveries, and how events are sent to it again."""

import json
import secrets as randomness
from collections.abc import Mapping, Sequence
from datetime import datetime

from didflow.contract.errors import WebhookNotFound
from didflow.contract.webhooks import FAILURES, Attempt, Endpoint
from didflow.ledger.commands import Command, Commands, RedisCommand
from didflow.ledger.script_calls import Call
from didflow.ledger.stream_places import check_place, has_none_before
from didflow.ledger.views import moment
from didflow.ledger.webhooks.endpoints import id_of, view
from didflow.ledger.webhooks.messages import TEST_TYPE, TOGETHER, is_whole


def attempts(commands: Commands, name: str, limit: int, before: str | None = None) -> Command[tuple[Attempt, ...]]:
    """The delivery log of an endpoint, newest first. `before`: the place of the last one read.

    Raises WebhookNotFound; InvalidRequest for what isn't a place.
    """
    if before is not None:
        check_place(before, "before", "the `place` of the last attempt of the page before")
    endpoint_id = yield from id_of(commands.keys, name)
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


def _queue(commands: Commands, endpoint_id: str, messages: Sequence[str], what: str) -> Command[int]:
    """`what`: for the record of who did it; '' after the first part, which is on record."""
    return (yield from commands.run(Call("webhook_queue", (endpoint_id, commands.actor if what else "", what, *messages), int)))


def _wants(endpoint: Endpoint, fields: Mapping[str, str]) -> bool:
    return endpoint.wants(fields["type"], fields["account"], fields["reference"])


def _attempt(place: str, fields: Mapping[str, str]) -> Attempt:
    record = json.loads(fields["record"])
    moments = {"at": moment(place.partition("-")[0]), "next_at": moment(fields.get("next_ms"))}
    said = {**record, **moments, "place": place, "why": FAILURES.get(record.get("failure") or "")}
    return Attempt.model_validate(said)
