"""What a webhook process has to know of all endpoints, and how far it has read the streams."""

from collections.abc import Mapping
from dataclasses import dataclass

from didflow.contract.webhooks import Endpoint
from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.keys import Keys
from didflow.ledger.webhooks.signing_secrets import Secrets, secrets_in


@dataclass(frozen=True)
class Target:
    """What a webhook process has to know of an endpoint. `secrets`: newest first; they are in no text of it."""

    endpoint: Endpoint
    after_results: str
    after_events: str
    secrets: Secrets


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
        one: Target(Endpoint.model_validate_json(record), results, events, secrets_in(text))
        for one, (record, results, events), text in zip(ids, fields, kept, strict=True)
    }
    return Targets(version or "0", seconds * 1000, position.get("results"), position.get("events"), by_id)
