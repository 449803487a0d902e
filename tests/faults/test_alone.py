"""A job that kills its workers takes no other job with it, and what no death is parks nothing. Real processes, really killed."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.requests import Reroute, SearchAndBuy
from didflow.contract.states import JobState
from tests.support.cluster import Cluster, cluster, until

PBX = Destination.sip("pbx@example.net")
LOOK = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), dry_run=True)
DEATHS = 2


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    return tmp_path / "orders"


@pytest.fixture
def running(tmp_path: Path, orders: Path) -> Iterator[Cluster]:
    with cluster(tmp_path, orders=orders, DIDFLOW_MAX_CRASHES=str(DEATHS)) as running:
        yield running


def test_a_job_that_kills_its_workers_is_parked_and_its_neighbours_are_not(running: Cluster, orders: Path) -> None:
    running.sandbox.add_fault("dids", "slow", seconds=1.0, times=None)
    neighbours = [running.submit(LOOK) for _ in range(15)]
    (number,) = running.sandbox.order("seed_owned", count=1)
    until(lambda: sum(running.owner_pid(job) is not None for job in neighbours) >= 6, what="both processes at work")
    killer = running.submit(Reroute(numbers=(f"+{number}",), destinations=(PBX,)))
    order = orders / "before:claim_routes.kill"
    for _ in range(2 + DEATHS):
        order.touch()
        until(lambda: not order.exists(), within_s=30, what="the death")
    view = running.wait(killer)
    assert view.error is not None
    assert (view.state, view.error.code) == (JobState.NEEDS_REVIEW, "too_many_crashes")
    # While a job is suspected, emergencies continue, beside it and beside its neighbours.
    other = running.submit(Reroute(numbers=(f"+{number}",), destinations=(Destination.sip("other@example.net"),)))
    assert running.wait(other).state is JobState.SUCCEEDED
    assert {running.wait(job, 60).state for job in neighbours} == {JobState.SUCCEEDED}
    assert {running.ledger.client.hget(running.ledger.keys.job(job.id), "crashes_alone") for job in neighbours} <= {None, "0"}


@pytest.mark.long
def test_a_suspected_job_that_does_no_harm_ends_like_any_other(running: Cluster, orders: Path) -> None:
    (number,) = running.sandbox.order("seed_owned", count=1)
    job = running.submit(Reroute(numbers=(f"+{number}",), destinations=(PBX,)))
    order = orders / "before:claim_routes.kill"
    for _ in range(2):
        order.touch()
        until(lambda: not order.exists(), within_s=30, what="the death")
    before = set(running.workers())
    assert running.wait(job).state is JobState.SUCCEEDED
    assert len(running.results_of(job)) == 1
    assert "solitary.child_started" in running.log.read_text()
    until(lambda: set(running.workers()) - before == set() or len(running.workers()) == 2, within_s=30, what="the end of what ran it")


def test_a_shortage_of_descriptors_parks_nothing(tmp_path: Path) -> None:
    """No process dies of it; jobs whose worker can't write wait until it is over, or until another worker takes them."""
    with cluster(tmp_path, DIDFLOW_MAX_CRASHES="1", DIDFLOW_MAX_ATTEMPTS="3") as running:
        running.sandbox.add_fault("dids", "slow", seconds=0.5, times=None)
        pids = set(running.workers())
        jobs = [running.submit(LOOK) for _ in range(30)]
        until(lambda: {running.owner_pid(job) for job in jobs} >= pids, what="both processes at work")
        short = min(pids)
        soft, hard = resource.prlimit(short, resource.RLIMIT_NOFILE)
        # 0, 1 and 2 are taken: what is open stays so, and nothing more can be opened.
        resource.prlimit(short, resource.RLIMIT_NOFILE, (3, hard))
        running.ledger.client.client_kill_filter(_type="normal", skipme=True)  # The other one connects again.
        held = [job for job in jobs if running.owner_pid(job) == short]
        assert held
        until(lambda: all(lease_expired(running, job.id) for job in held), within_s=30, what="the end of its leases")
        until(lambda: all(running.ledger.get(job.id).state.is_terminal for job in held), within_s=60, what="the other process")
        resource.prlimit(short, resource.RLIMIT_NOFILE, (soft, hard))
        views = [running.wait(job, 60) for job in jobs]
        assert {view.state for view in views} == {JobState.SUCCEEDED}, [view.error for view in views if view.error]
        assert set(running.workers()) == pids, "no process died"
        assert {running.ledger.client.hget(running.ledger.keys.job(job.id), "crashes_alone") for job in jobs} <= {None, "0"}


def lease_expired(running: Cluster, job_id: str) -> bool:
    return "lease_expired" in [step.name for step in running.ledger.perform(running.ledger.commands.steps(job_id))]
