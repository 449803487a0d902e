"""At the end of a campaign the inventory shows what the sandbox says that the account owns: numbers, records, routes."""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from didflow.client.sync.client import Didflow
from didflow.client.sync.inventory import Inventory
from didflow.contract.errors import ServiceUnavailable
from didflow.contract.inventory import InventoryNumber
from didflow.ledger.ledger import Ledger
from worker.wavix.sandbox.options import SandboxOptions
from worker.wavix.sandbox.world import trunks_of

#: Sweeps that begin after all is quiet, until a number that left is gone, at most.
SWEEPS = 3


def inventory_violations(
    ledger: Ledger, didflow: Didflow, owned: Mapping[str, Mapping[str, Any]], *, within_s: float, account: str = "default"
) -> list[str]:
    """Every difference, in words. `owned`: digits -> what the sandbox has."""
    inventory = Inventory(didflow, account=account)
    has = {f"+{number}": record for number, record in owned.items()}
    for _ in range(SWEEPS):
        if (late := _swept(ledger, inventory, account, within_s)) is not None:
            return [late]
        if not (found := list(_differences({number.number: number for number in inventory.numbers()}, has))):
            return []
    return found


def _swept(ledger: Ledger, inventory: Inventory, account: str, within_s: float) -> str | None:
    """Let a worker sweep, so that what is shown is of now; why none did, in words."""
    began_ms, deadline_s = ledger.now_ms(), time.monotonic() + within_s
    # The turn of a worker that was killed in the middle of a sweep would last for a minute.
    ledger.client.hset(ledger.keys.inventory_state(account), mapping={"next_ms": "0", "by": ""})
    while True:
        with suppress(ServiceUnavailable):
            state = inventory.state()
            if state.complete and state.swept_at is not None and state.swept_at.timestamp() * 1000 >= began_ms:
                return None
            if not state.sweeping:
                ledger.client.hset(ledger.keys.inventory_state(account), "next_ms", "0")
        if time.monotonic() > deadline_s:
            return f"no complete sweep of the inventory within {within_s:g} s: {inventory.state()}"
        time.sleep(0.1)


def _place(destination: str) -> str:
    """A trunk is shown by its id or by its login, as the profile says."""
    return next((str(trunk_id) for trunk_id, _, login in trunks_of(SandboxOptions()) if login == destination), destination)


def _differences(shown: Mapping[str, InventoryNumber], owned: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield from (f"the inventory doesn't show {number}, which the account owns" for number in sorted(owned.keys() - shown.keys()))
    yield from (f"the inventory shows {number}, which the account doesn't own" for number in sorted(shown.keys() - owned.keys()))
    for number in sorted(shown.keys() & owned.keys()):
        mirrored, record = shown[number], owned[number]
        if mirrored.record_id != record["record_id"]:
            yield f"the inventory shows {number} as record {mirrored.record_id}, and it is record {record['record_id']}"
        routes = [_place(one.destination) for one in mirrored.route], [_place(str(one["destination"])) for one in record["destinations"]]
        if routes[0] != routes[1]:
            yield f"the inventory shows {number} routed to {routes[0]}, and it is routed to {routes[1]}"
