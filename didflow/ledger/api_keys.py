"""Keys of the HTTP API in the ledger: the SHA-256 of each secret, with what its key allows."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from functools import lru_cache
from typing import Any

from didflow.contract.api_keys import ApiKey, KeptKey, digest, new_secret
from didflow.contract.errors import ApiKeyNotFound, InvalidRequest
from didflow.ledger.commands import Command, Commands, RedisCommand
from didflow.ledger.script_calls import Call
from didflow.ledger.views import moment

#: When a key was last used is written at most this often.
USED_EVERY_MS = 60_000
#: The fields of a record that are the ledger's, not the key's.
_LEDGERS = ("created_ms", "created_by", "until_ms")


class NoKey(Enum):
    """Why a request has no key."""

    UNKNOWN = "unknown"
    EXPIRED = "expired"
    MISSING = "missing"  #: none was given, and keys are in use
    UNUSED = "unused"  #: none was given, and no key was ever made


@dataclass(frozen=True)
class Known:
    """A key. `wait_ms`: how long until its rate allows the request; 0: now."""

    key: ApiKey
    wait_ms: int = 0


def find(commands: Commands, secret: str | None) -> Command[Known | NoKey]:
    """Whose secret this is. It writes nothing."""
    return (yield from commands.run(Call("api_key", (_digest(secret),), _found)))


def find_for_request(commands: Commands, secret: str | None) -> Command[Known | NoKey]:
    """Whose secret a request has. The request is counted, in all processes together, and the key's use is noted."""
    return (yield from commands.run(Call("api_key_request", (_digest(secret), USED_EVERY_MS), _found)))


def count_request(commands: Commands, key: ApiKey) -> Command[int]:
    """Count a request that came without the key's secret. Returns how long until the key may send it, ms; 0: it may now."""
    if key.rate_per_s is None:
        return 0
    return (yield from commands.run(Call("api_key_count", (key.id, str(key.rate_per_s)), int)))


def _digest(secret: str | None) -> str:
    return "" if secret is None else digest(secret)


def _found(reply: list[Any]) -> Known | NoKey:
    if reply[0] != "key":
        return NoKey(reply[0])
    return Known(_key_in(reply[1]), int(reply[2]))


@lru_cache(maxsize=256)
def _key_in(text: str) -> ApiKey:
    """Each request brings the same few."""
    return key_of_record(json.loads(text))


def create(commands: Commands, key: ApiKey, *, valid_for: timedelta | None = None) -> Command[str]:
    """Store a new key. Returns its secret, which nobody can read again. Raises InvalidRequest if a key has its name."""
    secret = new_secret()
    yield from _stored(commands, key, secret, valid_for, only="")
    return secret


def create_first(commands: Commands, key: ApiKey, *, valid_for: timedelta | None = None) -> Command[str | NoKey]:
    """The same for a caller without a key: NoKey.MISSING if a key was ever made, because then he needs one.

    One script decides and stores, so of several such callers one makes a key.
    """
    secret = new_secret()
    reply = yield from _stored(commands, key, secret, valid_for, only="first")
    return NoKey.MISSING if reply == NoKey.MISSING.value else secret


def _stored(commands: Commands, key: ApiKey, secret: str, valid_for: timedelta | None, *, only: str) -> Command[str]:
    record = json.dumps(key.model_dump(mode="json", exclude_none=True))
    reply = yield from commands.run(Call("api_key_create", (digest(secret), record, _ms(valid_for), commands.actor, only), str))
    match reply:
        case "taken":
            what = "a key has this name: give another one, or rotate that key (`didflow keys rotate`)"
            raise InvalidRequest(f"name: {what}", (("name", what),))
        case "full":
            what = "there are a thousand keys: revoke those that aren't used (`didflow keys list`)"
            raise InvalidRequest(f"name: {what}", (("name", what),))
    return reply


def rotate(commands: Commands, name: str, *, overlap: timedelta, valid_for: timedelta | None = None) -> Command[tuple[ApiKey, str]]:
    """Give the key of that id or name a new secret; its older ones are valid for the `overlap`.

    `valid_for` None: the new secret expires when the newest one would have. Raises ApiKeyNotFound.
    """
    secret = new_secret()
    args = (name, digest(secret), _ms(overlap), _ms(valid_for), commands.actor)
    reply: list[str] = yield from commands.run(Call("api_key_rotate", args, list))
    if reply[0] == "gone":
        raise ApiKeyNotFound(name)
    return key_of_record(json.loads(reply[1])), secret


def revoke(commands: Commands, name: str) -> Command[None]:
    """Let the key of that id or name be valid no more. Raises ApiKeyNotFound."""
    if (yield from commands.run(Call("api_key_revoke", (name, commands.actor), str))) == "gone":
        raise ApiKeyNotFound(name)


def kept(commands: Commands) -> Command[tuple[KeptKey, ...]]:
    """Every key that is valid now, by name."""
    (seconds, _), texts, used = yield (
        RedisCommand("time"),
        RedisCommand("hvals", (commands.keys.api_keys,)),
        RedisCommand("hgetall", (commands.keys.api_keys_used,)),
    )
    records = [record for record in map(json.loads, texts) if not 0 < record["until_ms"] <= seconds * 1000]
    ids = dict.fromkeys(record["id"] for record in sorted(records, key=lambda record: str(record["name"])))
    return tuple(_kept([record for record in records if record["id"] == one], used) for one in ids)


def any_made(commands: Commands) -> Command[bool]:
    """Whether a key was ever made: then every request needs one."""
    made: int = yield RedisCommand("exists", (commands.keys.api_keys_made,))
    return bool(made)


def _kept(records: Iterable[Mapping[str, Any]], used: Mapping[str, str]) -> KeptKey:
    *_, newest = found = sorted(records, key=lambda record: int(record["created_ms"]))
    return KeptKey(
        key=key_of_record(newest),
        created_at=moment(str(newest["created_ms"])),
        created_by=newest["created_by"],
        expires_at=moment(str(newest["until_ms"])) if newest["until_ms"] else None,
        last_used_at=moment(used.get(newest["id"])),
        secrets=len(found),
    )


def key_of_record(record: Mapping[str, Any]) -> ApiKey:
    """The key in a stored record."""
    return ApiKey.model_validate({name: value for name, value in record.items() if name not in _LEDGERS})


def _ms(span: timedelta | None) -> int:
    return 0 if span is None else int(span.total_seconds() * 1000)
