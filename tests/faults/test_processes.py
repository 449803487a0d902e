"""Real worker processes, killed, stopped and starved at the worst moments: one purchase, one result, and the others continue."""

import json
import os
import signal
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.exit_codes import ExitCode
from didflow.contract.requests import Release, Reroute, SearchAndBuy
from didflow.contract.states import JobState, Lane
from didflow.ledger.commands import Entries
from didflow.ledger.connection import connect
from tests.support.cluster import NAMESPACE, Cluster, cluster, lives, until
from tests.support.shell import Shell
from worker.local.embedded_valkey import EmbeddedValkey
from worker.wavix.sandbox.options import SANDBOX_KEY

BUY_TWO = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=2)
PBX = Destination.sip("pbx@example.net")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("plant"), interpreters=True) as running:
        yield running


@pytest.fixture
def running(shared: Cluster) -> Iterator[Cluster]:
    """The shared plant, with all its workers and nothing left of the test before."""
    until(lambda: len(shared.workers()) == 2, what="two workers")
    shared.charged_before = len(shared.sandbox.ledger())
    yield shared
    shared.sandbox.clear_faults()
    shared.sandbox.order("reconfigure", latency_ms=5)
    shared.sandbox.order("set_key_valid", valid=True)


def assert_bought_once(running: Cluster, job_numbers: list[str]) -> None:
    assert len(set(job_numbers)) == 2
    assert running.charged() == sorted(job_numbers), "what was charged is what is reported, each number once"


@pytest.mark.parametrize(
    ("fault", "bought_by_then"),
    [("act_and_hang", True), ("hang", False), ("slow", False)],
    ids=["done, answer lost", "not done, answer lost", "done while the worker is dead"],
)
def test_a_worker_killed_in_the_middle_of_a_checkout_buys_once(running: Cluster, fault: str, bought_by_then: bool) -> None:
    running.sandbox.add_fault("checkout", fault, seconds=1.5)
    job = running.submit(BUY_TWO)
    until(lambda: running.sandbox.state()["faults"].get(f"checkout:{fault}"), what="the checkout")
    assert len(running.charged()) == (2 if bought_by_then else 0)
    killed = running.kill_owner(job)
    view = running.wait(job)
    assert view.state is JobState.SUCCEEDED
    assert view.result is not None
    assert_bought_once(running, [number.number for number in view.result.numbers])
    charged = running.sandbox.ledger()[running.charged_before :]
    assert view.result.totals.charged_usd == sum(Decimal(entry["amount_usd"]) for entry in charged)
    assert len(running.results_of(job)) == 1
    assert not lives(killed)
    assert running.sandbox.state()["accounts"]["default"]["cart"] == []


def test_a_worker_that_sleeps_through_its_lease_buys_nothing_when_it_wakes(running: Cluster) -> None:
    running.sandbox.add_fault("cart_put", "slow", seconds=1.5)
    job = running.submit(BUY_TWO)
    until(lambda: running.sandbox.state()["faults"].get("cart_put:slow"), what="the cart call")
    sleeper = running.kill_owner(job, signal.SIGSTOP)
    try:
        view = running.wait(job)
        assert view.result is not None
        bought = [number.number for number in view.result.numbers]
        assert_bought_once(running, bought)
    finally:
        os.kill(sleeper, signal.SIGCONT)
    until(lambda: sleeper in running.workers(), what="the sleeper's heartbeat")
    other = running.submit(SearchAndBuy(country="CA", city=("TORONTO, ON",)))
    assert running.wait(other).state is JobState.SUCCEEDED
    assert len(running.charged()) == 3
    assert len(running.results_of(job)) + len(running.results_of(other)) == 2


def test_a_killed_child_is_replaced_and_its_neighbour_goes_on(running: Cluster) -> None:
    before = set(running.workers())
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    assert running.wait(running.submit(BUY_TWO)).state is JobState.SUCCEEDED
    until(lambda: len(running.workers()) == 2, what="the replacement")
    assert set(running.workers()) & before == before - {victim}


def test_a_stopped_process_hands_its_jobs_over_at_once(tmp_path: Path) -> None:
    with cluster(tmp_path, DIDFLOW_LEASE_SECONDS="600") as running:
        numbers = running.sandbox.order("seed_owned", count=20)
        running.sandbox.order("reconfigure", latency_ms=250)
        jobs = [running.submit(Reroute(numbers=(f"+{number}",), destinations=(PBX,))) for number in numbers[:8]]
        until(lambda: any(running.owner_pid(job) for job in jobs), what="a running job")
        stopped = next(pid for job in jobs if (pid := running.owner_pid(job)))
        os.kill(stopped, signal.SIGTERM)
        until(lambda: stopped not in {running.owner_pid(job) for job in jobs}, what="the hand-over, long before the lease ends")
        assert all(running.wait(job).state is JobState.SUCCEEDED for job in jobs)
        assert all(running.ledger.get(job.id).attempt <= 2 for job in jobs)
        until(lambda: not lives(stopped), what="its end")


def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    with cluster(tmp_path, interpreters=True) as running:
        children = set(running.workers())
        supervisor = running.stack.children["workers"]
        supervisor.kill()
        supervisor.wait()
        until(lambda: not any(lives(child) for child in children), what="the children's end")


def test_a_stop_ends_all_and_loses_nothing(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path / "valkey") as valkey:
        with cluster(tmp_path, redis_url=valkey.url) as running:
            running.sandbox.order("reconfigure", latency_ms=100)
            jobs = [running.submit(BUY_TWO, f"order-{place}") for place in range(100)]
            until(lambda: running.sandbox.ledger(), what="a first purchase")
        client = connect(valkey.url)
        states = {str(client.hget(f"{NAMESPACE}:job:{job.id}", "state")) for job in jobs}
        assert states <= {"queued", "succeeded", "waiting"}, "nothing is left running"
        assert "queued" in states


def test_what_was_left_is_done_by_the_next_start(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path / "valkey") as valkey, cluster(tmp_path, processes=1, redis_url=valkey.url) as running:
        running.sandbox.add_fault("countries", "slow", seconds=1.0, times=None)
        jobs = [running.submit(BUY_TWO, f"order-{place}") for place in range(6)]
        until(lambda: any(running.owner_pid(job) for job in jobs), what="a running job")
        supervisor = running.stack.children["workers"]
        for pid in [supervisor.pid, *running.workers()]:
            os.kill(pid, signal.SIGKILL)
        supervisor.wait()
        running.sandbox.clear_faults()
        running.stack.start_workers()
        views = [running.wait(job) for job in jobs]
        assert {view.state for view in views} == {JobState.SUCCEEDED}
        assert len(running.charged()) == len(set(running.charged())) == 12


def test_valkey_killed_and_restarted_loses_no_job(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path / "valkey").start()
    try:
        with cluster(tmp_path, redis_url=server.url) as running:
            running.sandbox.order("reconfigure", latency_ms=50)
            jobs = [running.submit(BUY_TWO, f"order-{place}") for place in range(8)]
            until(lambda: running.sandbox.ledger(), what="a first purchase")
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            until(lambda: server.died, what="the server's death")
            time.sleep(1.0)  # An outage of several heartbeats.
            server.start()
            back_s = time.monotonic()
            views = [running.wait(job) for job in jobs]
            assert {view.state for view in views} == {JobState.SUCCEEDED}
            assert sorted(number.number for view in views if view.result for number in view.result.numbers) == running.charged()
            assert time.monotonic() - back_s < 20.0
            assert len(running.workers()) == 2
    finally:
        server.stop()


def test_a_wrong_key_pauses_the_account_with_one_event_and_all_goes_on_when_it_works(running: Cluster) -> None:
    events = running.ledger.client.xlen(running.ledger.keys.events)
    running.sandbox.order("set_key_valid", valid=False)
    jobs = [running.submit(BUY_TWO) for _ in range(6)]
    until(lambda: all(running.ledger.get(job.id).reason == "account_paused" for job in jobs), what="the pause")
    assert running.ledger.account_state("default").paused
    running.sandbox.order("set_key_valid", valid=True)
    assert {running.wait(job).state for job in jobs} == {JobState.SUCCEEDED}
    entries = cast("Entries", running.ledger.client.xrange(running.ledger.keys.events))[events:]
    types = [fields["type"] for _, fields in entries if fields["type"].startswith("didflow.account")]
    assert types == ["didflow.account.paused.v1", "didflow.account.resumed.v1"]
    assert {running.ledger.get(job.id).attempt for job in jobs} == {1}, "a wait costs no attempt"


def test_an_absent_provider_burns_no_attempts(running: Cluster) -> None:
    for call in ("countries", "owned", "cart"):
        running.sandbox.add_fault(call, "drop", times=None)
    jobs = [running.submit(BUY_TWO) for _ in range(3)]
    until(lambda: all(running.ledger.get(job.id).reason == "provider_down" for job in jobs), what="the wait")
    running.sandbox.clear_faults()
    assert {running.wait(job).state for job in jobs} == {JobState.SUCCEEDED}
    assert {running.ledger.get(job.id).attempt for job in jobs} == {1}


def test_the_key_is_nowhere(running: Cluster) -> None:
    """Neither in a command line, nor in Redis, nor in a log at its most talkative, whatever went wrong."""
    running.sandbox.add_fault("checkout", "html_error")
    running.sandbox.add_fault("countries", "status_500_before")
    running.sandbox.add_fault("owned", "drop")
    buying = running.submit(BUY_TWO)
    view = running.wait(buying)
    assert view.result is not None
    running.wait(running.submit(Release(numbers=tuple(number.number for number in view.result.numbers))))
    running.sandbox.order("set_key_valid", valid=False)
    refused = running.submit(BUY_TWO)
    until(lambda: running.ledger.get(refused.id).reason == "account_paused", what="the pause")
    running.sandbox.order("set_key_valid", valid=True)
    running.wait(refused)
    pids = [*running.workers(), *(child.pid for child in running.stack.children.values())]
    assert not any(SANDBOX_KEY.encode() in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids)
    client = running.ledger.client
    valkey_folder = Path(cast("dict[str, str]", client.config_get("dir"))["dir"])
    stored = b"".join(path.read_bytes() for path in valkey_folder.rglob("*.aof"))
    assert buying.id.encode() in stored, "the whole history was read"
    assert SANDBOX_KEY.encode() not in stored
    log = running.log.read_text()
    assert "job." in log
    assert SANDBOX_KEY not in log
    loggers = {json.loads(line)["logger"].partition(".")[0] for line in log.splitlines()}
    assert {"didflow", "dramatiq"} <= loggers, "every line is data, Dramatiq's too"


@pytest.mark.parametrize(("module", "code"), [("worker.process.worker_process", ExitCode.MISCONFIGURED), ("worker.process.supervisor", 2)])
def test_a_redis_that_could_forget_is_refused(tmp_path: Path, module: str, code: int) -> None:
    with EmbeddedValkey(tmp_path) as forgetful:
        connect(forgetful.url).config_set("appendfsync", "everysec")
        settings = {"DIDFLOW_REDIS_URL": forgetful.url, "WAVIX_API_KEY": "k", "DIDFLOW_LOG_FORMAT": "json"}
        ended = Shell(tmp_path, settings)(module=module)
    assert ended.code == code
    assert "appendfsync always" in ended.err


def test_every_lane_is_served(running: Cluster) -> None:
    numbers = running.sandbox.order("seed_owned", count=2)
    moving = running.submit(Reroute(numbers=(f"+{numbers[0]}",), destinations=(PBX,)))
    giving = running.submit(Release(numbers=(f"+{numbers[1]}",)))
    buying = running.submit(BUY_TWO)
    assert {running.ledger.get(job.id).lane for job in (moving, giving, buying)} == set(Lane)
    assert {running.wait(job).state for job in (moving, giving, buying)} == {JobState.SUCCEEDED}


@pytest.mark.parametrize("module", ["worker.process.worker_process", "worker.process.supervisor"])
@pytest.mark.parametrize(
    "wrong",
    [{"DIDFLOW_REDIS_URL": "redis://host:port/0"}, {"DIDFLOW_THREADS": "many"}],
    ids=["a port that is none", "a count that is none"],
)
def test_settings_that_no_restart_can_help_end_the_supervisor(
    tmp_path: Path, valkey: EmbeddedValkey, module: str, wrong: dict[str, str]
) -> None:
    settings = {"DIDFLOW_REDIS_URL": valkey.url, "WAVIX_API_KEY": "k", "DIDFLOW_NAMESPACE": "wrong-settings"} | wrong
    assert Shell(tmp_path, settings)(module=module).code == (ExitCode.MISCONFIGURED if module.endswith("process") else 2)
