"""A real restart of Redis during a sweep of the inventory: reads go on and say so, and the next sweep is complete."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from didflow.contract.errors import ServiceUnavailable
from didflow.contract.inventory import InventoryFilter
from didflow.contract.provider import OwnedNumber, Page
from tests.support.cluster import until
from tests.support.lossy_valkey import LosingValkey, Plot
from tests.support.sweeping import inventory_of, keeper_of, make_sweep_due, mirrored, sweep
from worker.jobs.ports.provider import OwnedPort
from worker.wavix.sandbox import Sandbox


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[LosingValkey]:
    server = LosingValkey(tmp_path / "valkey")
    yield server
    server.stop()


@pytest.fixture
def plot(valkey: LosingValkey, sandbox: Sandbox, namespace: str) -> Iterator[Plot]:
    plot = Plot(valkey, sandbox, namespace)
    yield plot
    plot.close()


class Restarting:
    """The provider; when the second page was read, Redis is killed, and comes back."""

    def __init__(self, plot: Plot, valkey: LosingValkey) -> None:
        self._plot, self._valkey, self._left = plot, valkey, 2

    def __getattr__(self, name: str) -> object:
        return getattr(self._plot.inline.client, name)

    def owned(self, **asked: object) -> Page[OwnedNumber]:
        page = self._plot.inline.client.owned(**asked)  # type: ignore[arg-type]
        self._left -= 1
        if self._left == 0:
            self._valkey.die()
            with pytest.raises(ServiceUnavailable):
                inventory_of(self._plot.inline).state()
            self._valkey.restart()
        return page


def test_a_restart_in_a_sweep_hides_no_number_and_shows_that_the_gate_is_closed(plot: Plot, valkey: LosingValkey) -> None:
    plot.ledger.worker_alive("plot")
    owned = sorted(plot.own(230))
    assert sweep(plot.inline) == ""
    before = inventory_of(plot.inline).state()
    assert not before.gate_closed
    make_sweep_due(plot.ledger)
    sweeping = keeper_of(plot.inline, provider=cast("OwnedPort", Restarting(plot, valkey)))
    sweeping.look()
    plot.ledger.worker_alive("plot")  # The first write notices the restart.
    inventory = inventory_of(plot.inline)
    state = inventory.state()
    assert state.gate_closed
    assert sorted(mirrored(plot.inline)) == owned
    assert all(one.missing_since is None for one in mirrored(plot.inline).values())
    page = inventory.page(matching=InventoryFilter(destination="sip:old@example.net"), limit=100)
    assert (len(page.numbers), page.state.gate_closed) == (100, True)
    totals = inventory.totals()
    assert (totals.numbers, totals.missing, totals.state.gate_closed) == (230, 0, True)
    assert inventory.show(owned[0]).number is not None

    def opened() -> bool:
        plot.keeper.look()
        return not inventory.state().gate_closed

    until(opened, 30, "the gate to open")
    assert sweep(plot.inline) == ""
    after = inventory.state()
    assert (after.complete, after.numbers, after.gate_closed) == (True, 230, False)
