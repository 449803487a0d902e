"""The points at which tests let workers die: named, obeyed once, and nothing at all when off."""

from pathlib import Path

import pytest

from tests.faults.plant import Plant, plant, until
from worker.contract.requests import SearchAndBuy
from worker.contract.states import JobState
from worker.runtime.fault_points import VARIABLE, orders_from_environment

BUY_ONE = SearchAndBuy(country="US", city=("LOS ANGELES, CA",))


def test_without_the_variable_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert orders_from_environment() is None


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    return tmp_path / "orders"


def test_an_order_is_carried_out_once_and_every_point_leaves_its_name(tmp_path: Path, orders: Path) -> None:
    with plant(tmp_path, orders=orders) as running:
        before = set(running.workers())
        (orders / "after:check_out.kill").touch()
        job = running.submit(BUY_ONE)
        view = running.wait(job)
        assert view.state is JobState.SUCCEEDED
        assert bought_once(running)
        assert not (orders / "after:check_out.kill").exists()
        until(lambda: set(running.workers()) - before, what="a replacement: one process died")
        reached = {path.name for path in (orders / "reached").iterdir()}
        assert {"before:claim", "after:put_in_cart", "before:save.fence", "after:check_out", "after:finish"} <= reached


def bought_once(running: Plant) -> bool:
    return len(running.charged()) == 1
