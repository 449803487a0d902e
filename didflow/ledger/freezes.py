"""Freezes in the ledger. The scripts that let money move check them in the same step, so none begins once `freeze` has returned and the
jobs of `sending` are through."""

from collections.abc import Sequence

from pydantic import BaseModel

from didflow.contract.freezes import Freeze
from didflow.ledger.commands import Command, Commands, RedisCommand
from didflow.ledger.keys import Keys
from didflow.ledger.records import read_record
from didflow.ledger.script_calls import Call
from didflow.ledger.views import moment

#: Stands in `sending` for processes that ran before a restart of Redis: until their leases end they may still send.
RESTARTED = "restart"


class _Record(BaseModel):
    """As `scripts/accounts/freeze.lua` writes it."""

    actor: str
    reason: str
    since_ms: int


def read_freeze(account: str | None, text: str) -> Freeze:
    """A freeze whose record can't be read is in force all the same."""
    record = read_record(_Record, text) or _Record(actor="", reason="its record can't be read: lift it, and freeze again", since_ms=0)
    return Freeze(account or None, record.actor, record.reason, moment(str(record.since_ms)) if record.since_ms else None)


def freeze(commands: Commands, account: str | None, reason: str, actor: str) -> Command[tuple[Freeze, bool]]:
    """Begin a freeze. Returns it and True; or the one that is in force already, and False."""

    def read(reply: Sequence[str]) -> tuple[Freeze, bool]:
        return read_freeze(account, reply[1]), reply[0] == "frozen"

    return (yield from commands.run(Call("freeze", (account or "", reason, actor), read)))


def unfreeze(commands: Commands, account: str | None, reason: str, actor: str) -> Command[Freeze | None]:
    """Lift a freeze. Returns it, or None if there is none."""

    def read(reply: Sequence[str]) -> Freeze | None:
        return read_freeze(account, reply[1]) if reply[0] == "lifted" else None

    return (yield from commands.run(Call("unfreeze", (account or "", reason, actor), read)))


def sending(commands: Commands, account: str | None) -> Command[tuple[str, ...]]:
    """The jobs whose call to the provider was allowed, and whose answer isn't stored yet."""

    def read(reply: Sequence[str]) -> tuple[str, ...]:
        return (*((RESTARTED,) if int(reply[0]) > 0 else ()), *reply[1:])

    return (yield from commands.run(Call("sending", (account or "",), read)))


def freezes(keys: Keys) -> Command[tuple[Freeze, ...]]:
    """All freezes that are in force; the one of all accounts first."""
    found: dict[str, str] = yield RedisCommand("hgetall", (keys.frozen,))
    return tuple(read_freeze(account, text) for account, text in sorted(found.items()))


def freeze_of(keys: Keys, account: str) -> Command[Freeze | None]:
    """The freeze that holds for this account."""
    everybody, alone = yield RedisCommand("hmget", (keys.frozen, ["", account]))
    if everybody is not None:
        return read_freeze(None, everybody)
    return None if alone is None else read_freeze(account, alone)
