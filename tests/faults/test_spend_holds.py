"""A worker is killed around the writes that hold and settle a spend; the limit has room for just one, and one is bought."""

from decimal import Decimal
from pathlib import Path

import pytest

from tests.faults.plant import plant
from worker.contract.requests import SearchAndBuy
from worker.contract.spending import Spend
from worker.contract.states import JobState

BUY_ONE = SearchAndBuy(country="US", city=("LOS ANGELES, CA",))


@pytest.mark.parametrize("point", ["before:save.fence", "after:save.fence", "before:save.settled", "after:save.settled"])
def test_a_worker_killed_around_a_hold_leaves_it_to_be_settled_once(tmp_path: Path, point: str) -> None:
    orders = tmp_path / "orders"
    orders.mkdir()
    (orders / f"{point}.kill").touch()
    with plant(tmp_path, orders=orders, DIDFLOW_SPEND_ACCOUNT_NUMBERS_PER_HOUR="1") as running:
        assert running.wait(running.submit(BUY_ONE)).state is JobState.SUCCEEDED
        assert not (orders / f"{point}.kill").exists(), "a worker died there"
        (told,) = running.ledger.spending([("account", "default")])
        assert (told.hour, told.held) == (Spend(numbers=1, usd=running.sandbox.charged_usd()), Spend(usd=Decimal(0)))
        assert len(running.charged()) == 1
