"""The known traps of Dramatiq on Redis, each as it happens: the same fault, and the job completes, in time.

| trap                                                        | shown by                                                            |
| ----------------------------------------------------------- | ------------------------------------------------------------------- |
| an outage while a job is re-queued acks and loses it        | here: an_outage_while_a_failed_attempt_is_put_back                  |
| a blip strands delayed messages                             | here: cut_connections_strand_no_delayed_job                         |
| consumer threads die on OOM, and the process looks healthy  | here: a_full_server_costs_no_process; test_queue: cut_connections   |
| one undecodable message strands its prefetch batch          | test_queue: messages_that_are_not_ours; test_hostile_input: queues  |
| a killed worker's messages come back in minutes             | here: what_a_killed_worker_had_ends_within_its_lease                |
| a long job with prefetch 1 runs on two workers              | here: a_long_job_runs_once                                          |
| the retries of a killed worker aren't counted               | here: a_job_that_kills_its_workers; jobs/test_reviewed_sequences    |
| far-future messages hide near ones                          | here: jobs_of_next_month_hide_none                                  |
| idle consumers poll, with a back-off of up to 1 s           | here: an_idle_worker_begins; test_queue: the consumer alone         |
| dead consumer thread, dead worker thread                    | here: a_process_with_a_dead_thread; unit/test_watchdog              |
| messages lost, messages doubled                             | here: lost_and_doubled_messages; test_queue: copies; tests/campaign |
| one killed child of a group                                 | test_processes: a_killed_child_is_replaced                          |
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from didflow import Job, JobView
from didflow.contract.destinations import Destination
from didflow.contract.exit_codes import ExitCode
from didflow.contract.requests import Request, Reroute, SearchAndBuy
from didflow.contract.states import JobState, Lane
from didflow.ledger.script_calls import RENUDGE_MS, Submission
from tests.support.cluster import Cluster, cluster, lives, until
from tests.support.dying_threads import VARIABLE as DYING_THREAD
from tests.support.ledger_roles import copies
from worker.local.embedded_valkey import EmbeddedValkey

LEASE_S = 2.0
#: What a busy machine may add.
SLACK_S = 6.0
#: From the death of a worker until its job has ended elsewhere.
TAKEN_OVER_WITHIN_S = LEASE_S + 5.0 + SLACK_S
#: How late a sweeper may find that something is due: it looks twice a second.
SWEPT_WITHIN_S = 2.0 + SLACK_S
#: Some leases long.
LONG_S = 6.5
PBX = Destination.sip("pbx@example.net")
LOOK = SearchAndBuy(country="US", dry_run=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the shared plant keeps its log and its orders."""
    return tmp_path_factory.mktemp("traps")


@pytest.fixture(scope="module")
def shared(folder: Path) -> Iterator[Cluster]:
    environment: dict[str, Any] = {
        "DIDFLOW_LEASE_SECONDS": str(LEASE_S),
        "DIDFLOW_HTTP_TIMEOUT": str(LONG_S + 5),
        "DIDFLOW_MAX_CRASHES": "2",
        DYING_THREAD: str(folder / "dying"),
    }
    with cluster(folder, orders=folder / "orders", **environment) as running:
        yield running


@pytest.fixture
def running(shared: Cluster) -> Iterator[Cluster]:
    """The shared plant, with all its workers and no faults left of the test before."""
    until(lambda: len(shared.workers()) == 2, what="two workers")
    yield shared
    shared.sandbox.clear_faults()


def reroute(running: Cluster) -> Request:
    [number] = running.sandbox.order("seed_owned", count=1)
    return Reroute(numbers=(f"+{number}",), destinations=(PBX,))


def called(running: Cluster, call: str) -> int:
    return int(running.sandbox.state()["calls"].get(call, 0))


def logged(log: Path, event: str) -> list[dict[str, object]]:
    """The log's lines of this event."""
    whole = (line for line in log.read_text().splitlines(keepends=True) if line.endswith("\n"))  # The last one may be under way.
    lines = (json.loads(line) for line in whole if line.startswith("{"))
    return [line for line in lines if line["event"] == event]


def started_after_s(view: JobView, moment: datetime) -> float:
    assert view.started_at is not None
    return (view.started_at - moment).total_seconds()


def test_an_idle_worker_begins_a_job_within_milliseconds(running: Cluster) -> None:
    views = [running.wait(running.submit(LOOK)) for _ in range(30)]
    waits_s = [started_after_s(view, view.created_at) for view in views]
    assert median(waits_s) < 0.25, sorted(waits_s)  # Milliseconds; a poll with back-off would take up to a second.


def test_jobs_of_next_month_hide_none_that_is_due(running: Cluster) -> None:
    month, soon = datetime.now(UTC) + timedelta(days=30), datetime.now(UTC) + timedelta(seconds=1)
    far = running.didflow.submit_many(Submission(LOOK, not_before=month) for _ in range(500))
    near = running.didflow.submit(LOOK, not_before=soon)
    assert running.wait(running.submit(LOOK)).state is JobState.SUCCEEDED
    assert 0 <= started_after_s(running.wait(near), soon) < SWEPT_WITHIN_S
    jobs = [job for job in far if isinstance(job, Job)]
    assert len(jobs) == 500
    assert {running.didflow.cancel(job.id).state for job in jobs} == {JobState.CANCELLED}, "none had begun"


def test_cut_connections_strand_no_delayed_job(running: Cluster) -> None:
    due = datetime.now(UTC) + timedelta(seconds=1)
    job = running.didflow.submit(LOOK, not_before=due)
    while datetime.now(UTC) < due:
        running.ledger.client.client_kill_filter(_type="normal", skipme=True)
        time.sleep(0.1)  # Connections are cut ten times until it is due.
    assert started_after_s(running.wait(job), due) < SWEPT_WITHIN_S


def test_a_full_server_costs_no_process_and_no_job(running: Cluster) -> None:
    before = set(running.workers())
    running.sandbox.add_fault("dids", "slow", seconds=1.0, times=None)
    jobs = [running.submit(SearchAndBuy(country="US")) for _ in range(4)]
    until(lambda: all(running.ledger.get(job.id).started_at for job in jobs), what="their start")
    running.ledger.client.config_set("maxmemory", "1mb")
    try:
        until(lambda: all(running.ledger.get(job.id).state is JobState.SUCCEEDED for job in jobs), what="their end with a full memory")
    finally:
        running.ledger.client.config_set("maxmemory", "0")
    assert running.wait(running.submit(LOOK)).state is JobState.SUCCEEDED
    assert set(running.workers()) == before


def test_a_long_job_runs_once_though_others_are_given_its_message(running: Cluster) -> None:
    changes = called(running, "destinations")
    running.sandbox.add_fault("owned", "slow", seconds=LONG_S)
    job = running.submit(reroute(running))
    until(lambda: running.owner_pid(job), what="a running job")
    copies(running.ledger, job.id, Lane.EMERGENCY, 4)
    view = running.wait(job)
    assert view.state is JobState.SUCCEEDED
    assert view.attempt == 1
    assert called(running, "destinations") == changes + 1
    assert len(running.results_of(job)) == 1
    refused = [line["why"] for line in logged(running.log, "job.not_claimed") if line["job_id"] == job.id]
    assert "running" in refused, "the other process was given the message"


def test_lost_and_doubled_messages_lose_and_double_no_job(running: Cluster) -> None:
    queue = f"{running.ledger.keys.broker}:{Lane.MONEY.value}"
    for pid in running.workers():
        os.kill(pid, signal.SIGSTOP)
    lost = running.submit(SearchAndBuy(country="US"))
    running.ledger.client.delete(queue, f"{queue}.msgs")
    doubled = running.submit(SearchAndBuy(country="US"))
    running.ledger.client.rpush(queue, *[f"{doubled.id}:1"] * 20)
    bought = len(running.charged())
    for pid in running.workers():
        os.kill(pid, signal.SIGCONT)
    views = [running.wait(job) for job in (doubled, lost)]
    assert [view.state for view in views] == [JobState.SUCCEEDED] * 2
    assert [view.attempt for view in views] == [1, 1]
    assert started_after_s(views[1], views[1].created_at) < RENUDGE_MS / 1000 + SWEPT_WITHIN_S
    assert len(running.charged()) == bought + 2
    assert [len(running.results_of(doubled)), len(running.results_of(lost))] == [1, 1]


def is_carried_out(order: Path, pid: int) -> bool:
    """Whether the thread is dying. If not, ask again: a process signs on before all of its threads run."""
    if order.exists():
        os.kill(pid, signal.SIGUSR1)
    return not order.exists()


@pytest.mark.parametrize("part", ["ConsumerThread", "WorkerThread"])
def test_a_process_with_a_dead_thread_ends_and_is_replaced(running: Cluster, folder: Path, part: str) -> None:
    before = set(running.workers())
    victim, order = max(before), folder / "dying"
    order.write_text(part)
    until(lambda: is_carried_out(order, victim), what="the thread's death")
    jobs = [running.submit(LOOK) for _ in range(8)]
    until(lambda: not lives(victim), what="its end")
    assert {running.wait(job).state for job in jobs} == {JobState.SUCCEEDED}
    until(lambda: len(running.workers()) == 2, what="the replacement")
    assert set(running.workers()) & before == before - {victim}
    until(lambda: ExitCode.STUCK in {line["code"] for line in logged(running.log, "supervisor.child_died")}, what="the supervisor's line")
    assert logged(running.log, "watchdog.process_ends")


def test_what_a_killed_worker_had_ends_within_its_lease_and_seconds(running: Cluster) -> None:
    running.sandbox.add_fault("dids", "slow", seconds=2.5, times=8)
    jobs = [running.submit(SearchAndBuy(country="US")) for _ in range(16)]
    until(lambda: sum(running.owner_pid(job) is not None for job in jobs) >= 6, what="both processes at work")
    running.kill_owner(next(job for job in jobs if running.owner_pid(job)))
    killed = datetime.fromtimestamp(running.ledger.now_ms() / 1000, UTC)
    views = [running.wait(job) for job in jobs]
    assert {view.state for view in views} == {JobState.SUCCEEDED}
    assert max(view.finished_at for view in views if view.finished_at) - killed < timedelta(seconds=TAKEN_OVER_WITHIN_S)
    assert len(running.charged()) == len(set(running.charged()))


@pytest.mark.long
def test_a_job_that_kills_its_workers_is_parked_after_a_few(running: Cluster, folder: Path) -> None:
    job = running.submit(reroute(running))
    order = folder / "orders" / "before:claim_routes.kill"
    for _ in range(2 + 2):  # Twice with others, then as often as the setting says alone.
        order.touch()
        until(lambda: not order.exists(), what="the death")
    view = running.wait(job)
    assert view.state is JobState.NEEDS_REVIEW
    assert view.error is not None
    assert view.error.code == "too_many_crashes"
    assert running.ledger.client.hget(running.ledger.keys.job(job.id), "crashes_alone") == "2"


def test_an_outage_while_a_failed_attempt_is_put_back_loses_nothing(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path / "valkey").start()
    orders = tmp_path / "orders"
    try:
        with cluster(tmp_path, processes=1, redis_url=server.url, orders=orders) as running:
            running.sandbox.add_fault("destinations", "status_500_before")
            (orders / "before:suspend.freeze").touch()
            job = running.submit(reroute(running))
            [pid] = running.workers()
            until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", what="the failed attempt")
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            until(lambda: server.died, what="the server's death")
            os.kill(pid, signal.SIGCONT)
            until(lambda: logged(running.log, "job.ledger_unreachable"), what="the put-back that fails")
            server.start()
            back_s = time.monotonic()
            assert running.wait(job).state is JobState.SUCCEEDED
            assert time.monotonic() - back_s < TAKEN_OVER_WITHIN_S
            assert list(running.workers()) == [pid], "the same process goes on"
            assert len(running.results_of(job)) == 1
    finally:
        server.stop()
