"""`didflow failover rehearse`: a plan is run and undone on copies of the account's numbers, and the account itself sees nothing of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.errors import InvalidRequest, PlanNotFound
from didflow.contract.requests import Reroute, Selector
from producers.failover import Failover
from producers.rehearsal import rehearse
from tests.support.cluster import Cluster, cluster, until
from tests.support.cluster_shell import shell_of

OLD = [{"transport": 5, "destination": "777", "trunk_id": 777, "priority": 1}]
BACKUP = Destination.sip("backup@example.net")
PBX = [{"transport": 1, "destination": "pbx@example.net", "priority": 1}]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """An account of 40 numbers, 30 of them on a trunk that no sandbox has by itself."""
    folder = tmp_path_factory.mktemp("plant")
    often = {"DIDFLOW_INVENTORY_SECONDS": "1", "DIDFLOW_INVENTORY_SHARE": "1"}
    with cluster(folder, processes=1, DIDFLOW_BATCH_SIZE="10", DIDFLOW_SETTLE_SECONDS="0.3", **often) as running:  # type: ignore[arg-type]
        running.sandbox.order("seed_owned", count=30, destinations=OLD)
        running.sandbox.order("seed_owned", count=10, destinations=PBX)
        until(lambda: running.didflow.inventory.state().numbers == 40, what="the inventory has all numbers")
        failover = Failover(running.didflow)
        failover.keep_plan("evening", Reroute(selector=Selector(trunk_id=777), destinations=(BACKUP,)))
        failover.keep_plan("too-many", Reroute(selector=Selector(all=True), max_fraction=0.5, destinations=(BACKUP,)))
        yield running


def test_a_plan_is_run_and_undone_on_copies_and_the_account_sees_nothing_of_it(running: Cluster, tmp_path: Path) -> None:
    before = running.sandbox.state()["calls"].get("destinations", 0)
    ran = shell_of(running.stack, tmp_path)("failover", "rehearse", "evening", "--rate", "200", "--latency-ms", "5", "--json")
    assert ran.code == 0, ran.out + ran.err
    found: dict[str, Any] = ran.json
    assert (found["copied"], found["away"]["numbers"], found["away"]["done"], found["back"]["done"], found["left"]) == (40, 30, 30, 30, 0)
    assert 0 < found["away"]["accepted_s"] <= found["away"]["confirmed_s"]
    assert running.sandbox.state()["calls"].get("destinations", 0) == before


@pytest.mark.long
def test_a_guard_that_would_hold_is_reported(running: Cluster) -> None:
    found = rehearse(running.didflow, "too-many", rate_per_s=200, latency_s=0.0)
    assert (found.away.state.value, found.away.done, found.back) == ("failed", 0, None)
    assert "max_fraction" in found.away.error


def test_a_plan_that_is_not_there_and_an_inventory_that_was_never_complete_are_said(running: Cluster) -> None:
    with pytest.raises(PlanNotFound):
        rehearse(running.didflow, "morning")
    Failover(running.didflow, account="other").keep_plan("other", Reroute(selector=Selector(all=True), destinations=(BACKUP,)))
    with pytest.raises(InvalidRequest, match="never complete"):
        rehearse(running.didflow, "other")
