"""A restart of Redis as scripts see it, and the events of the gate."""

from didflow.ledger.ledger import Ledger
from tests.support.ledger_roles import stream


def restart(ledger: Ledger) -> None:
    """What a script sees after a restart: the name that was written isn't this server's."""
    ledger.client.hset(ledger.keys.epoch, "server", "another")


def gate_events(ledger: Ledger) -> list[str]:
    return [entry["type"] for entry in stream(ledger, "events") if entry["type"].startswith("didflow.ledger")]
