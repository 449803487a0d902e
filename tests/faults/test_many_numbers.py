"""Failovers of thousands of numbers over real worker processes, which are killed, frozen and stopped meanwhile: exact to the number.

DIDFLOW_BIG_TESTS=1 makes them larger and the outage longer.
"""

import os
import re
import signal
from collections import Counter
from pathlib import Path

import pytest

from didflow import Job, JobView
from didflow.contract.destinations import Destination
from didflow.contract.requests import Failback, Reroute, Selector
from didflow.contract.states import JobState, Outcome
from didflow.ledger.keys import Keys
from tests.support.cluster import NAMESPACE, Cluster, cluster, lives, until

BIG = os.environ.get("DIDFLOW_BIG_TESTS") == "1"
COUNT = 10_000 if BIG else 1_000
OUTAGE_S = 30.0 if BIG else 1.0
WITHIN_S = 180.0 if BIG else 60.0

BACKUP = Destination.sip("backup@example.net")
AWAY = Reroute(selector=Selector(all=True), destinations=(BACKUP,))
OLD = [{"transport": 1, "destination": "old@example.net", "priority": 1}]
#: Enough for 12,000 numbers, and for 1,600.
LARGE_STOCK, SMALL_STOCK = (("--numbers-per-city", count) for count in ("1500", "200"))
STOCK = LARGE_STOCK if BIG else SMALL_STOCK
FAST = "500"


def own(running: Cluster, count: int = COUNT) -> set[str]:
    numbers = {f"+{number}" for number in running.sandbox.order("seed_owned", count=count, destinations=OLD)}
    assert len(numbers) == count
    return numbers


def moved(running: Cluster, job: Job) -> int:
    """How many of its numbers have an outcome by now."""
    said = re.match(r"(\d+) of", running.ledger.get(job.id).progress or "")
    return int(said[1]) if said else 0


def assert_exact(running: Cluster, job: Job, ours: set[str], to: str = "backup@example.net") -> JobView:
    """Every number once, where it should be, reported as confirmed; one result; and no batch left behind."""
    view = running.wait(job, WITHIN_S)
    assert view.state is JobState.SUCCEEDED, (view.error, running.didflow.explain(job.id)[-5:])
    assert view.result is not None
    assert view.result.totals.requested == view.result.totals.done == len(ours)
    reported = list(running.didflow.numbers(job.id))
    assert {number.number for number in reported} == ours
    assert len(reported) == len(ours)
    assert {number.outcome for number in reported} == {Outcome.CONFIRMED}
    routes = Counter(record["destinations"][0]["destination"] for record in running.sandbox.owned().values())
    assert routes == {to: len(ours)}
    assert len(running.results_of(job)) == 1
    assert running.ledger.perform(running.ledger.commands.open_children(job.id)) == 0
    return view


def test_a_failover_survives_the_death_of_half_the_workers(tmp_path: Path) -> None:
    with cluster(tmp_path, sandbox=STOCK, DIDFLOW_RATE_LIMIT=FAST, DIDFLOW_BATCH_SIZE="25") as running:
        ours = own(running)
        # Slow enough that it can't end between a look at its progress and the death.
        running.sandbox.add_fault("destinations", "slow", seconds=0.3, times=None)
        job = running.submit(AWAY)
        until(lambda: moved(running, job) >= COUNT // 5, WITHIN_S, "a fifth of the numbers")
        os.kill(victim := min(running.workers()), signal.SIGKILL)
        assert moved(running, job) < COUNT
        assert_exact(running, job, ours)
        assert not lives(victim)
        back = running.submit(Failback(job_id=job.id))
        until(lambda: moved(running, back) >= COUNT // 5, WITHIN_S, "a fifth of the way back")
        os.kill(min(running.workers()), signal.SIGTERM)
        assert_exact(running, back, ours, "old@example.net")


@pytest.mark.parametrize(
    "points",
    [
        ("before:save.selected", "after:fan_out", "after:set_route", "before:save.accepted"),
        pytest.param(
            ("before:fan_out", "before:save.fanned_out", "after:claim_routes", "before:finish", "before:save.confirmed"),
            marks=pytest.mark.long,
        ),
    ],
    ids=["written down, sent, answered", "half of it, none of it, at the end"],
)
def test_workers_die_at_the_worst_moments(tmp_path: Path, points: tuple[str, ...]) -> None:
    orders = tmp_path / "orders"
    with cluster(tmp_path, orders=orders, sandbox=STOCK, DIDFLOW_RATE_LIMIT=FAST) as running:
        ours = own(running)
        for point in points:
            (orders / f"{point}.kill").touch()
        assert_exact(running, running.submit(AWAY), ours)
        assert list(orders.glob("*.kill")) == [], "each was carried out"


def test_a_worker_frozen_with_batches_in_hand_changes_nothing_when_it_wakes(tmp_path: Path) -> None:
    orders = tmp_path / "orders"
    with cluster(tmp_path, orders=orders, sandbox=STOCK, DIDFLOW_RATE_LIMIT=FAST) as running:
        ours = own(running)
        (orders / "before:set_route.freeze").touch()
        job = running.submit(AWAY)
        view = assert_exact(running, job, ours)
        (sleeper,) = frozen(running)
        calls = running.sandbox.state()["calls"]["destinations"]
        os.kill(sleeper, signal.SIGCONT)
        until(lambda: "job.lease_lost" in running.log.read_text(), what="the sleeper's end of that attempt")
        until(lambda: sleeper in running.workers(), what="the sleeper's heartbeat")
        assert running.sandbox.state()["calls"]["destinations"] == calls
        assert running.ledger.get(job.id) == view
        assert_exact(running, job, ours)


def frozen(running: Cluster) -> list[int]:
    """Worker processes that stand still."""
    supervisor = running.stack.children["workers"].pid
    workers = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return [int(pid) for pid in workers if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"]


def test_a_cancelled_failover_reports_exactly_which_numbers_it_rerouted(tmp_path: Path) -> None:
    with cluster(tmp_path, sandbox=STOCK, DIDFLOW_RATE_LIMIT="40", DIDFLOW_BATCH_SIZE="25") as running:
        ours = own(running)
        # Slow enough that it can't end between a look at its progress and the cancel.
        running.sandbox.add_fault("destinations", "slow", seconds=0.3, times=None)
        job = running.submit(AWAY)
        until(lambda: moved(running, job) >= COUNT // 10, WITHIN_S, "a tenth of the numbers")
        running.didflow.cancel(job.id)
        view = running.wait(job, WITHIN_S)
        assert view.state is JobState.PARTIAL
        reported = {number.number: number.outcome for number in running.didflow.numbers(job.id)}
        assert set(reported) == ours
        gone = {number for number, outcome in reported.items() if outcome is Outcome.CONFIRMED}
        here = {f"+{n}" for n, record in running.sandbox.owned().items() if record["destinations"][0]["destination"] == "old@example.net"}
        assert gone == ours - here
        assert 0 < len(gone) < COUNT


@pytest.mark.long
def test_a_provider_that_is_down_at_the_beginning_is_waited_for(tmp_path: Path) -> None:
    with cluster(tmp_path, sandbox=STOCK, DIDFLOW_RATE_LIMIT=FAST) as running:
        ours = own(running)
        running.sandbox.add_fault("*", "refuse", times=None, status=502, body={"message": "bad gateway"})
        job = running.submit(AWAY)
        until(lambda: running.ledger.get(job.id).reason == "provider_down", WITHIN_S, "the outage")
        down_since_ms = running.ledger.now_ms()
        until(lambda: running.ledger.now_ms() > down_since_ms + OUTAGE_S * 1000, OUTAGE_S + 5)
        running.sandbox.clear_faults()
        assert assert_exact(running, job, ours).attempt == 1, "no attempt was burnt"


@pytest.mark.long
def test_a_workers_memory_does_not_grow_with_the_job(tmp_path: Path) -> None:
    with cluster(tmp_path, processes=1, sandbox=LARGE_STOCK, DIDFLOW_RATE_LIMIT=FAST) as running:
        (worker,) = running.workers()
        ours = own(running, 1_000)
        assert_exact(running, running.submit(AWAY), ours)
        small_kb = peak_kb(worker)
        ours |= own(running, 9_000)
        job = running.submit(AWAY.model_copy(update={"destinations": (Destination.sip("other@example.net"),)}))
        view = running.wait(job, 120.0)
        assert view.state is JobState.SUCCEEDED
        assert view.result is not None
        assert view.result.totals.done == len(ours) == 10_000
        assert peak_kb(worker) - small_kb < 12_000, "ten times the numbers, a few MB more"
        assert len(str(running.ledger.client.hget(Keys(NAMESPACE).job(job.id), "result"))) < 10_000


def peak_kb(pid: int) -> int:
    """The most memory that the process ever had."""
    said = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert said is not None
    return int(said[1])
