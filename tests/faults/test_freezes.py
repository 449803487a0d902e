"""A freeze while real workers buy and release: no call begins once it has answered, also when workers die or sleep around the fence."""

import os
import signal
import time
from pathlib import Path

import pytest

from didflow import Job
from didflow.contract.requests import Release, SearchAndBuy
from didflow.contract.states import TERMINAL, JobState
from tests.support.cluster import Cluster, cluster, until

BUY_ONE = SearchAndBuy(country="US", city=("LOS ANGELES, CA",))
CALLS = ("checkout", "release")
#: The sandbox's journal has the wall clock of the same machine, which this process reads too.


def came(running: Cluster, numbers: list[str]) -> list[float]:
    """When each checkout and each release came to the sandbox."""
    journal = running.sandbox.calls(numbers)
    found = {(entry["call"], entry["came_s"]) for entries in journal.values() for entry in entries if entry["call"] in CALLS}
    return sorted(moment for _, moment in found)


def stock(running: Cluster) -> list[str]:
    """Every number of a purchase, as the journal names it."""
    views = [running.didflow.get(view.id) for view in running.didflow.find(limit=100)]
    return [number[1:] for view in views for number in running.ledger.numbers(view.id)]


def settled(running: Cluster, job: Job) -> bool:
    view = running.ledger.get(job.id)
    return view.state in TERMINAL or (view.state is JobState.WAITING and view.reason == "frozen")


def test_a_freeze_in_the_middle_of_twenty_purchases(tmp_path: Path) -> None:
    with cluster(tmp_path, sandbox=("--latency-ms", "30")) as running:
        jobs = [running.submit(BUY_ONE) for _ in range(20)]
        until(lambda: running.charged(), what="the first purchase")
        report = running.didflow.freeze("a wrong list")
        answered_s = time.time()
        assert report.under_way == ()
        bought = len(running.charged())
        assert bought < 20, "it came in the middle"
        until(lambda: all(settled(running, job) for job in jobs), what="an end or a wait of each")
        ours = {number for job in jobs for number in running.ledger.numbers(job.id)}
        assert len(running.charged()) == bought
        assert max(came(running, [number[1:] for number in ours])) < answered_s
        assert running.sandbox.state()["accounts"]["default"]["cart"] == []
        running.didflow.unfreeze()
        assert {running.wait(job).state for job in jobs} == {JobState.SUCCEEDED}
        assert len(running.charged()) == 20
        assert sum(moment > answered_s for moment in came(running, stock(running))) == 20 - bought


@pytest.mark.parametrize("order", ["after:save.fence.kill", pytest.param("before:check_out.freeze", marks=pytest.mark.long)])
def test_a_worker_that_dies_or_sleeps_behind_the_fence_sends_nothing_after_the_answer(tmp_path: Path, order: str) -> None:
    orders = tmp_path / "orders"
    orders.mkdir()
    (orders / order).touch()
    with cluster(tmp_path, orders=orders) as running:
        job = running.submit(BUY_ONE)
        until(lambda: not (orders / order).exists(), what="the point")
        sleeper = running.owner_pid(job) if order.endswith("freeze") else None
        report = running.didflow.freeze("a wrong list")
        answered_s = time.time()
        assert report.under_way == (), "its lease has ended, so it can't send any more"
        if sleeper is not None:
            os.kill(sleeper, signal.SIGCONT)
            until(lambda: "job.lease_lost" in running.log.read_text(), what="the sleeper's end of that attempt")
        until(lambda: settled(running, job), what="the settlement of what may have been bought")
        assert [moment for moment in came(running, stock(running)) if moment > answered_s] == []
        running.didflow.unfreeze()
        assert running.wait(job).state is JobState.SUCCEEDED
        assert len(running.charged()) == 1


@pytest.mark.long
def test_a_worker_that_dies_behind_the_write_of_a_release_sends_nothing_after_the_answer(tmp_path: Path) -> None:
    orders = tmp_path / "orders"
    orders.mkdir()
    (orders / "after:save.releasing.kill").touch()
    with cluster(tmp_path, orders=orders) as running:
        (number,) = running.sandbox.order("seed_owned", count=1)
        job = running.submit(Release(numbers=(f"+{number}",)))
        until(lambda: not (orders / "after:save.releasing.kill").exists(), what="the point")
        assert running.didflow.freeze("a wrong list").under_way == ()
        until(lambda: settled(running, job), what="the wait")
        assert (came(running, [number]), set(running.sandbox.owned())) == ([], {number})
        running.didflow.unfreeze()
        assert running.wait(job).state is JobState.SUCCEEDED
        assert running.sandbox.owned() == {}
