"""A process whose threads are dead or stuck ends, loudly, so that a supervisor can start another one."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import cast

import pytest
import structlog.testing

from didflow.checks.ledger import check_calls
from didflow.contract.destinations import Destination
from didflow.contract.exit_codes import ExitCode
from didflow.contract.requests import Reroute, SearchAndBuy
from didflow.ledger.connection import connect
from didflow.ledger.gate import Gate
from didflow.ledger.ledger import Ledger
from didflow.ledger.script_calls import Submission
from didflow.ledger.witness import Witness
from didflow.ledger.worker_settings import running_with
from tests.support.cluster import until
from tests.support.inline_worker import settings_for
from worker.jobs.ports.provider import Provider
from worker.local.embedded_valkey import EmbeddedValkey
from worker.process.busy_threads import BusyThreads
from worker.process.names import PREDECESSOR_VARIABLE
from worker.process.watchdog import END_WITHIN_S, STUCK_AFTER_S, Watchdog
from worker.process.worker_process import WorkerProcess
from worker.reconcile.gatekeeper import Gatekeeper
from worker.wavix.sandbox import Sandbox, SandboxOptions


def thread(run: Callable[[], object], name: str) -> threading.Thread:
    started = threading.Thread(target=run, name=name, daemon=True)
    started.start()
    return started


def test_dead_threads_and_missed_beats_are_named() -> None:
    release = threading.Event()
    alive, dead = thread(release.wait, "alive"), thread(lambda: None, "dead")
    dead.join()
    watchdog = Watchdog(lambda: [alive, dead], {"fresh": lambda: 100.0, "stuck": lambda: 99.0 - STUCK_AFTER_S})
    assert watchdog.ill(100.0) == ["dead", "stuck"]
    assert watchdog.ill(99.0) == ["dead"]
    release.set()


def test_the_process_ends_with_the_stacks_of_all_threads_in_the_log() -> None:
    died: list[int] = []
    alarms: list[float] = []
    dead = thread(lambda: None, "consumer")
    dead.join()
    with structlog.testing.capture_logs() as lines:
        watchdog = Watchdog(lambda: [dead], {}, die=died.append, set_alarm=alarms.append)
        watchdog.start()
        watchdog.join(10)
    assert died == [ExitCode.STUCK]
    assert alarms == [END_WITHIN_S]
    assert lines[0]["because"] == ["consumer"]
    assert any(name.startswith("MainThread") for name in lines[0]["stacks"])


def test_a_process_that_is_not_alone_moves_money_only_after_another_one_has_written(valkey: EmbeddedValkey, namespace: str) -> None:
    """So whatever a dying server forgets of it, the other one misses something, too. What moves no money doesn't wait."""
    with Sandbox(SandboxOptions()) as sandbox:
        settings = settings_for(sandbox.url, namespace, redis_url=valkey.url, threads=2, lease_seconds=30.0)
        process = WorkerProcess(settings)
        ledger, another = process._ledger, "another"
        ledger.worker_alive(another)
        process.start()
        buying = ledger.submit(Submission(SearchAndBuy(country="CA")))
        moving = ledger.submit(Submission(Reroute(numbers=("+12135550100",), destinations=(Destination.sip("pbx@example.net"),))))
        until(lambda: ledger.get(buying.id).state == "running" and ledger.get(moving.id).state.is_terminal, what="both jobs")
        assert not sandbox.state()["calls"].get("cart_put"), "it hasn't begun to buy"
        ledger.worker_alive(another)
        until(lambda: ledger.get(buying.id).state == "succeeded", what="the purchase")
        process.stop()


def test_a_process_signs_off_only_the_process_it_replaces(valkey: EmbeddedValkey, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name that its supervisor gave: where containers share a host's name, another process may have the same pid."""
    monkeypatch.setenv(PREDECESSOR_VARIABLE, "dead-one")
    process = WorkerProcess(settings_for("http://127.0.0.1:1", namespace, redis_url=valkey.url, threads=2))
    for worker in ("host:7:dead-one", "host:7:living"):
        process._ledger.worker_alive(worker)
    process.start()
    assert set(process._ledger.workers()) == {"host:7:living", process.worker_id}
    process.stop()


def test_one_word_of_a_process_opens_the_gates_of_all_accounts_that_it_looks_after(valkey: EmbeddedValkey, namespace: str) -> None:
    """One process knows two accounts, another one of them; whichever worker speaks first has to speak for the second gate again."""
    ledgers = [Ledger(connect(valkey.url), namespace) for _ in range(2)]
    keepers: list[list[Gatekeeper]] = []
    for name, ledger, accounts in zip(("both", "one"), ledgers, (("a", "b"), ("a",)), strict=True):
        ledger.witness = Witness(name)
        ledger.worker_alive(name)
        unused = cast("Provider", None)  # A gate that is opened by word of mouth asks the provider nothing.
        keepers.append([Gatekeeper(ledger, account, unused, settle_s=60.0, worker=name, witness=ledger.witness) for account in accounts])
    ledgers[0].submit(Submission(SearchAndBuy(country="CA")))
    ledgers[0].client.hset(ledgers[0].keys.epoch, "server", "another")
    for ledger, name in zip(ledgers, ("both", "one"), strict=True):
        ledger.worker_alive(name)
    for keeper in (*keepers[0], *keepers[1], *keepers[0]):
        keeper.look()
    assert not any(Gate(ledgers[0]).closed(account) for account in ("a", "b"))
    for ledger in ledgers:
        ledger.client.close()


@pytest.mark.parametrize("part", ["ConsumerThread", "WorkerThread", "Leases heartbeat", "Sweeper sweeper"])
def test_every_thread_that_jobs_depend_on_is_watched(valkey: EmbeddedValkey, namespace: str, part: str) -> None:
    process = WorkerProcess(settings_for("http://127.0.0.1:1", namespace, redis_url=valkey.url, threads=2))
    process.start()
    try:
        watched = [type(one).__name__ + " " + one.name for one in process._threads()]
        assert any(part in name for name in watched), watched
        assert all(one.is_alive() for one in process._threads())
    finally:
        process.stop()


def test_a_process_ends_also_where_nothing_can_be_logged() -> None:
    """The kernel ends it, whatever holds up the line that says why."""
    code = (
        "import threading, structlog; from worker.process.watchdog import Watchdog\n"
        "structlog.configure(processors=[lambda *_: threading.Event().wait()])\n"
        "dead = threading.Thread(target=int); dead.start(); dead.join()\n"
        "Watchdog(lambda: [dead], {}).start(); threading.Event().wait()"
    )
    ended = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    assert ended.returncode == -signal.SIGALRM


def test_a_computation_that_holds_the_interpreter_ends_the_process() -> None:
    """No thread runs then, and no signal is handled; such a process outlived its supervisor."""
    code = (
        "import threading, time; from decimal import Decimal; from worker.process.watchdog import Watchdog; "
        "Watchdog(lambda: [], {}, held_after_s=1.5).start(); time.sleep(4); print('alive', flush=True); int(Decimal('1e99999999'))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"alive\n", "the alarm is put off while threads run"
        assert process.wait(60) == -signal.SIGALRM


def test_a_process_that_stops_has_a_limited_time_for_it() -> None:
    code = (
        "import threading; from worker.process.watchdog import Watchdog; "
        "watchdog = Watchdog(lambda: [], {}, held_after_s=60); watchdog.start(); watchdog.stop(0.5); threading.Event().wait()"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == -signal.SIGALRM


def test_a_thread_that_computes_without_a_word_to_redis_is_named() -> None:
    asked_s, enough = dict[int, float](), threading.Event()

    def compute() -> None:
        while not enough.is_set():
            pass

    threads = [thread(compute, "computes"), thread(enough.wait, "waits")]
    busy = BusyThreads(lambda: threads, lambda native_id: asked_s.get(native_id, 0.0), max_cpu_s=0.3)
    try:
        until(lambda: busy.names() == ["computes computes without end"], what="the thread is named")
        native_id = threads[0].native_id
        assert native_id is not None
        asked_s[native_id] = 1.0
        assert busy.names() == [], "it has asked Redis since"
        until(lambda: busy.names() == ["computes computes without end"], what="the thread is named once more")
    finally:
        enough.set()


def test_the_age_of_the_oldest_provider_call_reaches_the_watchdog_and_doctor(valkey: EmbeddedValkey, namespace: str) -> None:
    with Sandbox(SandboxOptions()) as sandbox:
        settings = settings_for(sandbox.url, namespace, redis_url=valkey.url, threads=2, lease_seconds=30.0, http_timeout=20.0)
        process = WorkerProcess(settings)
        ledger = process._ledger
        sandbox.add_fault("countries", "hang", seconds=20, times=None)
        process.start()
        try:
            check = check_calls(ledger, running_with(settings))
            assert (check.verdict, check.message) == ("ok", "none is under way")
            ledger.submit(Submission(SearchAndBuy(country="CA")))
            until(lambda: process.worker_id in ledger.oldest_calls_ms(), what="a heartbeat with the call's age")
            assert "s old" in check_calls(ledger, running_with(settings)).message
            now_s = time.monotonic()
            assert process._watchdog.ill(now_s + 20) == []
            beats = process._watchdog.ill(now_s + 20 + STUCK_AFTER_S + 1)
            assert "provider call" in beats
            ledger.call_under_way(process.worker_id, 26_000)
            assert check_calls(ledger, running_with(settings)).verdict == "warn"
        finally:
            sandbox.stop()
            process.stop()
