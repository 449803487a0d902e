"""Sessions of the console by the SHA-256 of their tokens: a restart of the server keeps them, a revoked key ends them."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from didflow.contract.api_keys import ApiKey, digest
from didflow.ledger.api_keys import key_of_record
from didflow.ledger.commands import Command, Commands, RedisCommand
from didflow.ledger.script_calls import Call
from didflow.ledger.views import moment

#: A session ends this long after the login,
VALID_MS = 12 * 3_600_000
#: or after this long without a request.
IDLE_MS = 3_600_000
#: When it was last used is written at most this often.
USED_EVERY_MS = 60_000
#: Of a token's randomness.
TOKEN_BYTES = 32

Via = Literal["key", "header"]


@dataclass(frozen=True)
class Session:
    """A browser that is logged in.

    id    names the session in commands; it isn't the token
    name  the person: the actor of every change
    via   ``key``: logged in with a key's secret; ``header``: a named proxy said who it is
    key   what the session may do
    """

    id: str
    name: str
    via: Via
    key: ApiKey
    created_at: datetime | None
    until: datetime | None
    used_ms: int = 0


@dataclass(frozen=True)
class KeptSession:
    """A session in a list. `key_id`: of the key that it acts with."""

    id: str
    name: str
    via: Via
    key_id: str
    created_at: datetime | None
    used_at: datetime | None


def create(commands: Commands, key: ApiKey, *, name: str | None = None, secret: str | None = None) -> Command[str]:
    """Open a session that may do what the key may. Returns its token, which is stored nowhere.

    `secret`: of the key, by which the person logged in; without it a proxy said that it is the person `name`.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)
    record = {
        "id": secrets.token_hex(6),
        "name": key.name if name is None else name,
        "via": "header" if secret is None else "key",
        "key_id": key.id,
        "secret": "" if secret is None else digest(secret),
    }
    yield from commands.run(Call("console_session_create", (digest(token), json.dumps(record), VALID_MS, IDLE_MS), str))
    return token


def find(commands: Commands, token: str) -> Command[Session | None]:
    """The session of a token; None: it isn't known, is over, or its key isn't valid any more."""
    reply: list[str] = yield from commands.run(Call("console_session", (digest(token), IDLE_MS), list))
    if reply[0] != "session":
        return None
    record = json.loads(reply[1])
    return Session(
        id=record["id"],
        name=record["name"],
        via=record["via"],
        key=key_of_record(json.loads(reply[2])),
        created_at=moment(str(record["created_ms"])),
        until=moment(str(record["until_ms"])),
        used_ms=int(reply[3]),
    )


def note_use(commands: Commands, token: str, session: Session) -> Command[None]:
    """Note that it is used now, unless that was noted a moment ago."""
    seconds, microseconds = yield RedisCommand("time")
    now_ms = seconds * 1000 + microseconds // 1000
    if now_ms - session.used_ms >= USED_EVERY_MS:
        yield RedisCommand("hset", (commands.keys.console_sessions_used, digest(token), now_ms))


def end(commands: Commands, token: str) -> Command[None]:
    """Log out."""
    yield from commands.run(Call("console_session_end", ("token", digest(token)), int))


def end_named(commands: Commands, session_id: str) -> Command[bool]:
    """End the session of that id. False: there is none."""
    return bool((yield from commands.run(Call("console_session_end", ("id", session_id), int))))


def end_of_key(commands: Commands, key_id: str) -> Command[int]:
    """End every session of a key. Returns how many there were."""
    return (yield from commands.run(Call("console_session_end", ("key_id", key_id), int)))


def kept(commands: Commands) -> Command[tuple[KeptSession, ...]]:
    """Every session that isn't over, newest first. That of a revoked key is among them until it expires; it opens nothing."""
    (seconds, _), records, used = yield (
        RedisCommand("time"),
        RedisCommand("hgetall", (commands.keys.console_sessions,)),
        RedisCommand("hgetall", (commands.keys.console_sessions_used,)),
    )
    now_ms = seconds * 1000
    found = [(json.loads(text), int(used.get(token, 0))) for token, text in records.items()]
    rows = [(record, max(used_ms, record["created_ms"])) for record, used_ms in found]
    live = [(record, used_ms) for record, used_ms in rows if record["until_ms"] > now_ms and used_ms + IDLE_MS > now_ms]
    return tuple(_kept(record, used_ms) for record, used_ms in sorted(live, key=lambda row: -int(row[0]["created_ms"])))


def _kept(record: Mapping[str, Any], used_ms: int) -> KeptSession:
    return KeptSession(
        record["id"], record["name"], record["via"], record["key_id"], moment(str(record["created_ms"])), moment(str(used_ms))
    )
