"""Sweeps of the inventory when a test says so, over an inline worker's ledger and sandbox."""

import json
from typing import Any, cast

from didflow.client.sync.client import Didflow
from didflow.client.sync.inventory import Inventory
from didflow.contract.inventory import InventoryNumber
from didflow.ledger.ledger import Ledger
from tests.support.inline_worker import InlineWorker
from worker.inventory.keeper import InventoryKeeper
from worker.jobs.ports.provider import OwnedPort


def keeper_of(
    inline: InlineWorker,
    *,
    settle_s: float = 0.0,
    renewal_due_days: float = 0.0,
    provider: OwnedPort | None = None,
    account: str = "default",
    worker: str = "",
) -> InventoryKeeper:
    """A worker's keeper that doesn't run; `settle_s` 0: the sandbox's lists don't lag."""
    return InventoryKeeper(
        inline.ledger,
        account,
        lambda: provider or inline.client,
        every_s=900.0,
        requests_per_s=10_000.0,
        settle_s=settle_s,
        renewal_due_s=renewal_due_days * 86_400,
        worker=worker,
    )


def make_sweep_due(ledger: Ledger, account: str = "default") -> None:
    ledger.client.hset(ledger.keys.inventory_state(account), "next_ms", "0")


def sweep(inline: InlineWorker, **how: Any) -> str:
    """One sweep; returns why it wasn't complete, empty if it was."""
    make_sweep_due(inline.ledger, how.get("account", "default"))
    keeper_of(inline, **how).look()
    return inventory_of(inline).state().trouble


def swept(ledger: Ledger, provider: OwnedPort) -> None:
    """The same over any ledger."""
    InventoryKeeper(ledger, "default", lambda: provider, every_s=900.0, requests_per_s=10_000.0, settle_s=0.0, renewal_due_s=0.0).look()


def inventory_of(inline: InlineWorker, account: str = "default") -> Inventory:
    return Inventory(Didflow(inline.ledger.client, inline.ledger.keys.namespace), account=account)


def mirrored(inline: InlineWorker) -> dict[str, InventoryNumber]:
    return {number.number: number for number in inventory_of(inline).numbers()}


def number_events(inline: InlineWorker) -> list[tuple[str, str, dict[str, Any]]]:
    """Type, number and data of the events about numbers, oldest first."""
    entries = cast("list[tuple[str, dict[str, str]]]", inline.ledger.client.xrange(inline.ledger.keys.events))
    kinds = ("didflow.number.", "didflow.inventory.")
    return [(one["type"], one["subject"], json.loads(one["data"])) for _, one in entries if one["type"].startswith(kinds)]
