"""A worker is killed around the writes that hold and settle a spend; the limit has room for just one, and one is bought."""

from decimal import Decimal
from pathlib import Path

import pytest

from didflow.contract.requests import SearchAndBuy
from didflow.contract.spending import Spend
from didflow.contract.states import JobState
from tests.support.cluster import cluster

BUY_ONE = SearchAndBuy(country="US", city=("LOS ANGELES, CA",))


#: The first and the last point at which a hold is open; `make long` tries those at which there is none yet, and none any more.
POINTS = ["after:save.fence", "before:save.settled"]
OTHER_POINTS = ["before:save.fence", "after:save.settled"]


@pytest.mark.parametrize("point", [*POINTS, *(pytest.param(point, marks=pytest.mark.long) for point in OTHER_POINTS)])
def test_a_worker_killed_around_a_hold_leaves_it_to_be_settled_once(tmp_path: Path, point: str) -> None:
    orders = tmp_path / "orders"
    orders.mkdir()
    (orders / f"{point}.kill").touch()
    with cluster(tmp_path, orders=orders, DIDFLOW_SPEND_ACCOUNT_NUMBERS_PER_HOUR="1") as running:
        assert running.wait(running.submit(BUY_ONE)).state is JobState.SUCCEEDED
        assert not (orders / f"{point}.kill").exists(), "a worker died there"
        (reported,) = running.ledger.spending([("account", "default")])
        assert (reported.hour, reported.held) == (Spend(numbers=1, usd=running.sandbox.charged_usd()), Spend(usd=Decimal(0)))
        assert len(running.charged()) == 1
