"""A producer whose settings name a provider is refused by the ledger of another one: its answers would be about another account's numbers.

Only stored identities are compared, so a producer without provider settings, and a ledger without an owner, are never refused.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from didflow.contract.errors import WrongLedger
from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.keys import Keys
from didflow.settings import Settings


class ProviderCheck:
    """Asked with the first verb of a client, and again until the ledger was seen to belong to the provider of each account."""

    def __init__(self, servers: Mapping[str, str]) -> None:
        self._open = dict(servers)

    @classmethod
    def of(cls, settings: Settings) -> "ProviderCheck":
        """Of the accounts that the settings name. Raises InvalidSettings if they can't be read."""
        return cls({name: account.server for name, account in settings.all_accounts().items()})

    @property
    def is_done(self) -> bool:
        return not self._open

    def command(self, keys: Keys) -> Command[None]:
        """Raises WrongLedger."""
        asked = dict(self._open)
        notes = yield tuple(RedisCommand("hmget", (keys.provider(name), ["server", "since_ms"])) for name in asked)
        for (name, server), note in zip(asked.items(), notes, strict=True):
            if isinstance(note, Exception):
                raise note
            noted, since_ms = note
            if noted and noted != server:
                raise WrongLedger(_refusal(name, server, noted, int(since_ms or 0)))
            if noted:
                self._open.pop(name, None)


def _refusal(name: str, server: str, noted: str, since_ms: int) -> str:
    since = datetime.fromtimestamp(since_ms / 1000, UTC)
    return (
        f"the jobs of account {name!r} in this ledger belong to {noted}, since {since:%Y-%m-%d %H:%M} UTC, and the settings here"
        f" name {server}: set DIDFLOW_REDIS_URL and DIDFLOW_NAMESPACE to that provider's ledger, or leave out WAVIX_API_KEY and"
        " DIDFLOW_ACCOUNTS: a producer needs neither"
    )
