"""The points at which tests let workers die: named, obeyed once, and nothing at all when off."""

import os
import signal
from pathlib import Path

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.requests import Failback, Reroute, SearchAndBuy
from didflow.contract.states import JobState
from didflow.fault_orders import VARIABLE, orders_from_environment
from didflow.ledger import ledger
from tests.support.cluster import Cluster, cluster, until
from worker.attempt.fault_points import LEDGER_WRITES, SCRIPTS

OLD = [{"transport": 1, "destination": "old@example.net", "priority": 1}]
BUY_ONE = SearchAndBuy(country="US", city=("LOS ANGELES, CA",))


def test_without_the_variable_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert orders_from_environment() is None


def test_each_point_is_a_method_of_the_ledger_or_a_script() -> None:
    """Else a write that moves elsewhere loses its point, and no worker dies there any more."""
    scripts = {path.stem for path in Path(ledger.__file__).parent.rglob("scripts/*/*.lua")}
    assert set(SCRIPTS) <= scripts
    assert {name for name in LEDGER_WRITES if not hasattr(ledger.Ledger, name)} == set()


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    return tmp_path / "orders"


def test_an_order_is_carried_out_once_and_every_point_leaves_its_name(tmp_path: Path, orders: Path) -> None:
    with cluster(tmp_path, orders=orders) as running:
        before = set(running.workers())
        (orders / "after:check_out.kill").touch()
        job = running.submit(BUY_ONE)
        view = running.wait(job)
        assert view.state is JobState.SUCCEEDED
        assert bought_once(running)
        assert not (orders / "after:check_out.kill").exists()
        until(lambda: set(running.workers()) - before, what="a replacement: one process died")
        names = {"before:claim", "after:put_in_cart", "before:save.fence", "after:check_out", "after:finish"}
        # The job has ended before its worker comes to the point after that.
        until(lambda: names <= {path.name for path in (orders / "reached").iterdir()}, what="a name of every point")


def test_a_worker_that_sleeps_before_a_change_of_routes_sends_nothing_when_it_wakes(tmp_path: Path, orders: Path) -> None:
    with cluster(tmp_path, orders=orders) as running:
        numbers = [f"+{number}" for number in running.sandbox.order("seed_owned", count=3, destinations=OLD)]
        (orders / "before:set_route.freeze").touch()
        moving = running.submit(Reroute(numbers=tuple(numbers), destinations=(Destination.sip("backup@example.net"),)))
        until(lambda: not (orders / "before:set_route.freeze").exists(), what="the sleep")
        sleeper = running.owner_pid(moving)
        assert sleeper is not None
        try:
            assert running.wait(moving).state is JobState.SUCCEEDED
            assert running.wait(running.submit(Failback(job_id=moving.id))).state is JobState.SUCCEEDED
        finally:
            os.kill(sleeper, signal.SIGCONT)
        until(lambda: "job.lease_lost" in running.log.read_text(), what="the sleeper's end of that attempt")
        routes = {record["destinations"][0]["destination"] for record in running.sandbox.owned().values()}
        assert routes == {"old@example.net"}
        assert running.sandbox.state()["calls"]["destinations"] == 2


def bought_once(running: Cluster) -> bool:
    return len(running.charged()) == 1
