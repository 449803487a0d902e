"""Dramatiq on a real server: a nudge wakes an idle thread, and nothing that comes in a message can stop the others."""

import json
import threading
import time
from collections.abc import Sequence
from statistics import median
from types import SimpleNamespace

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.errors import ServiceUnavailable
from didflow.contract.requests import Release, Request, Reroute, SearchAndBuy
from didflow.contract.states import JobState, Lane
from didflow.ledger import script_calls
from didflow.ledger.connection import connect
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.script_calls import Submission, new_job_id
from tests.support.inline_worker import InlineWorker
from tests.support.ledger_roles import copies
from tests.support.queue_workers import ClaimedJobs, Seen, Taken, alive, consuming, until
from worker.attempt import runner
from worker.attempt.fault_points import watched_ledger
from worker.attempt.heartbeat import Leases
from worker.attempt.runner import JobRunner
from worker.broker.arrivals import EMPTY_TAKES, RECENT
from worker.broker.consumer import TOGETHER_S, LaneConsumer
from worker.broker.idle_threads import IdleThreads
from worker.jobs.ports.endings import Ended, LostLease
from worker.local.embedded_valkey import EmbeddedValkey
from worker.process.sweeper import Sweeper

BUY = SearchAndBuy(country="US")
MOVE = Reroute(numbers=("+12135550100",), destinations=(Destination.sip("pbx@example.net"),))
GIVE_BACK = Release(numbers=("+12135550100",))


def connected(valkey: EmbeddedValkey, ledger: Ledger) -> Ledger:
    """The same namespace on a connection of its own, as a consumer needs it."""
    return Ledger(connect(valkey.url), ledger.keys.namespace)


def submit(ledger: Ledger, request: Request = BUY, priority: int = 5) -> str:
    return ledger.submit(Submission(request, priority=priority)).id


def test_every_lane_reaches_its_actor_and_leaves_nothing_behind(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    seen = Seen()
    with consuming(valkey, real_ledger, seen):
        jobs = {submit(real_ledger, request) for request in (BUY, MOVE, GIVE_BACK)}
        seen.wait_for(3)
        assert set(seen.jobs) == jobs
        pattern = f"{real_ledger.keys.broker}:*"
        until(lambda: not list(real_ledger.client.scan_iter(pattern)))


def test_an_idle_thread_starts_a_job_within_milliseconds(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    seen, waits_s = Seen(), []
    with consuming(valkey, real_ledger, seen, Lane.EMERGENCY):
        for count in range(1, 12):
            time.sleep(0.05)  # Until the thread is idle again, which nothing shows.
            began_s = time.monotonic()
            submit(real_ledger, MOVE)
            seen.wait_for(count)
            waits_s.append(seen.moments_s[-1] - began_s)
    assert median(waits_s) < 0.25, "a poll with back-off would take up to a second"


class Held(Seen):
    """Jobs that begin, and end when they are let go."""

    def __init__(self, *, but: frozenset[str] | set[str] = frozenset()) -> None:
        """Those of `but` end at once."""
        super().__init__()
        self.go, self._but = threading.Event(), but

    def __call__(self, job_id: str) -> None:
        super().__call__(job_id)
        assert job_id in self._but or self.go.wait(20.0)


def test_idle_threads_help_with_emergencies_and_keep_half_for_their_own_lanes(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    held = Held()
    with consuming(valkey, real_ledger, held, threads=4):
        emergencies = {submit(real_ledger, MOVE) for _ in range(10)}
        held.wait_for(3)
        own = {submit(real_ledger), submit(real_ledger, GIVE_BACK)}
        held.wait_for(5)
        assert set(held.jobs[:3]) <= emergencies, "the one that is reserved for them, and two that are idle"
        assert set(held.jobs[3:5]) == own, "no thread more for the emergencies, which still wait"
        held.go.set()
        held.wait_for(12)
        assert set(held.jobs) == emergencies | own


def test_an_emergency_starts_at_once_beside_busy_money_threads(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    emergencies: set[str] = set()
    held = Held(but=emergencies)
    with consuming(valkey, real_ledger, held, threads=2):
        for _ in range(5):
            submit(real_ledger)
        held.wait_for(2)
        waits_s = []
        for count in range(3, 10):
            job = new_job_id()
            emergencies.add(job)
            began_s = time.monotonic()
            real_ledger.run(script_calls.submit(Submission(MOVE), job))
            held.wait_for(count)
            waits_s.append(held.moments_s[-1] - began_s)
        assert set(held.jobs[2:]) == emergencies, "money has no thread of theirs, though they are idle in between"
        assert median(waits_s) < 0.05
        held.go.set()
        held.wait_for(12)


def test_emergencies_that_help_leave_no_thread_idle_that_others_wait_for(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    """Of 2 + 1 threads they have both that they may have; as soon as one ends, the reserved one is theirs and the others are not."""
    held = Held()
    with consuming(valkey, real_ledger, held, threads=2):
        for _ in range(4):
            submit(real_ledger, MOVE)
        held.wait_for(2)
        money = {submit(real_ledger), submit(real_ledger)}
        held.wait_for(3)
        assert held.jobs[2] in money
        held.go.set()
        held.wait_for(6)


NOT_OURS = [
    b"",
    b"\xff\xfe garbage",
    b"null",
    b"[]",
    b'{"args": []}',
    b"[" * 5000,
    json.dumps({"queue_name": "elsewhere", "actor_name": "rm", "args": [1], "kwargs": {}, "options": {}}).encode(),
    json.dumps(
        {"queue_name": "money", "actor_name": "run_money", "args": ["a", "b"], "kwargs": {}, "options": {"redis_message_id": "x"}}
    ).encode(),
    json.dumps(
        {"queue_name": "money", "actor_name": "run_money", "args": ["a"], "kwargs": {"x": 1}, "options": {"redis_message_id": "x"}}
    ).encode(),
    json.dumps({"args": ["\ud800"], "kwargs": {}, "options": {"redis_message_id": "x"}}).encode(),
    json.dumps({"args": ["a"], "kwargs": {}, "options": {"redis_message_id": "\ud800"}}).encode(),
    json.dumps({"args": ["a" * 10_000_000], "kwargs": {}, "options": {"redis_message_id": "x"}}).encode(),
    json.dumps({"args": [""], "kwargs": {}, "options": {"redis_message_id": "x"}}).encode(),
]


def test_messages_that_are_not_ours_are_set_aside_and_the_others_run(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    seen, queue = Seen(), f"{real_ledger.keys.broker}:money"
    jobs = []
    for place, body in enumerate(NOT_OURS):
        jobs.append(submit(real_ledger))
        real_ledger.client.hset(f"{queue}.msgs", f"foreign-{place}", body)
        real_ledger.client.rpush(queue, f"foreign-{place}")
    real_ledger.client.rpush(queue, "an id without a message")
    jobs.append(submit(real_ledger))
    with consuming(valkey, real_ledger, seen, Lane.MONEY) as worker:
        seen.wait_for(len(jobs))
        assert sorted(seen.jobs) == sorted(jobs)
        assert alive(worker)
        assert real_ledger.client.llen(real_ledger.keys.undecodable) == len(NOT_OURS)
        until(lambda: real_ledger.client.hlen(f"{queue}.msgs") == 0)


def test_a_message_dressed_up_with_options_is_only_a_nudge(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    seen, queue = Seen(), f"{real_ledger.keys.broker}:money"
    job = submit(real_ledger)
    real_ledger.client.delete(queue, f"{queue}.msgs")
    options = {"redis_message_id": "m1", "eta": 99999999999999, "throws": "x", "pipe_target": {"a": 1}}
    message = {"queue_name": "elsewhere", "actor_name": "rm", "args": [job], "kwargs": {}, "options": options, "message_id": "m1"}
    real_ledger.client.hset(f"{queue}.msgs", "m1", json.dumps(message))
    real_ledger.client.rpush(queue, "m1")
    with consuming(valkey, real_ledger, seen, Lane.MONEY) as worker:
        seen.wait_for(1)
        assert seen.jobs == [job]
        assert alive(worker)


def test_a_job_that_raises_costs_no_thread(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    seen = Seen()

    def run(job_id: str) -> None:
        seen(job_id)
        raise RuntimeError("a bug")

    with consuming(valkey, real_ledger, run, Lane.MONEY) as worker:
        for count in range(1, 6):
            submit(real_ledger)
            seen.wait_for(count)
        assert alive(worker)


def test_cut_connections_and_a_full_server_are_survived(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    seen = Seen()
    with consuming(valkey, real_ledger, seen, Lane.MONEY) as worker:
        submit(real_ledger)
        seen.wait_for(1)
        for _ in range(3):
            real_ledger.client.client_kill_filter(_type="normal", skipme=True)
            time.sleep(0.1)  # So that the consumer has connected again before the next cut.
        submit(real_ledger)
        seen.wait_for(2)
        real_ledger.client.config_set("maxmemory", "1mb")
        try:
            time.sleep(0.5)  # For so long its consumer meets a server that refuses writes.
            assert alive(worker)
        finally:
            real_ledger.client.config_set("maxmemory", "0")
        submit(real_ledger)
        seen.wait_for(3)
        assert alive(worker)


def test_high_priority_goes_first_within_a_lane(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    seen = Seen()
    normal = [submit(real_ledger) for _ in range(3)]
    urgent = submit(real_ledger, priority=0)
    with consuming(valkey, real_ledger, seen, Lane.MONEY, threads=1):
        seen.wait_for(4)
    assert seen.jobs == [urgent, *normal]


@pytest.mark.parametrize("count", [2, 20])
def test_copies_of_a_message_run_a_job_once(valkey: EmbeddedValkey, inline: InlineWorker, count: int) -> None:
    job = inline.submit(BUY)
    copies(inline.ledger, job.id, Lane.MONEY, count)
    with consuming(valkey, inline.ledger, inline.runner, Lane.MONEY, threads=1):
        until(lambda: inline.ledger.client.llen(f"{inline.ledger.keys.broker}:money") == 0)
    assert inline.ledger.get(job.id).state == "succeeded"
    assert len(inline.sandbox.ledger()) == 1
    assert inline.ledger.client.xlen(inline.ledger.keys.results) == 1


def test_no_job_is_taken_for_which_there_is_no_thread(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    """What lies in a busy process's memory is what an idle one could do."""
    busy, idle = Held(), Seen()
    with consuming(valkey, real_ledger, busy, Lane.MONEY, Lane.BULK):
        for _ in range(2):
            submit(real_ledger)
        busy.wait_for(2)
        waiting = {submit(real_ledger), submit(real_ledger, GIVE_BACK)}
        with consuming(valkey, real_ledger, idle, Lane.MONEY, Lane.BULK):
            idle.wait_for(2)
        assert set(idle.jobs) == waiting
        assert len(busy.jobs) == 2
        busy.go.set()


def test_what_a_stopping_process_took_and_did_not_begin_goes_to_others(valkey: EmbeddedValkey, inline: InlineWorker) -> None:
    def handler(*_: object) -> Ended:
        raise AssertionError("begun in a process that stops")

    jobs = [inline.submit(BUY).id for _ in range(3)]
    runner = JobRunner(inline.ledger, inline.settings, inline.provider, inline.leases, inline.stopping, handler)
    consumer = LaneConsumer(runner, connected(valkey, inline.ledger), Lane.MONEY, inline.stopping, IdleThreads(4))
    begun, lying = next(consumer), next(consumer)
    assert begun is not None
    assert lying is not None
    inline.stopping.set()
    consumer.requeue([lying])
    consumer.close()
    runner.attempt(begun.claimed)
    assert {inline.ledger.get(job).state for job in jobs} == {JobState.QUEUED}
    assert {inline.ledger.get(job).attempt for job in jobs} == {0}, "they haven't begun"
    seen = Seen()
    with consuming(valkey, inline.ledger, seen, Lane.MONEY):
        seen.wait_for(3)
    assert set(seen.jobs) == set(jobs)


def test_what_is_taken_while_the_process_stops_is_returned_at_once(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    """Not when all threads have ended: one may be in a call of half a minute, and the job an emergency."""
    stopping = threading.Event()

    class StopsMeanwhile(ClaimedJobs):
        def take(self, lane: Lane, most: int, consumer: str, *, wait_s: float = 0.0) -> tuple[Sequence[Taken], bool]:
            stopping.set()
            return super().take(lane, most, consumer, wait_s=wait_s)

    job, ledger = submit(real_ledger, MOVE), connected(valkey, real_ledger)
    consumer = LaneConsumer(StopsMeanwhile(ledger, lambda _: None), ledger, Lane.EMERGENCY, stopping, IdleThreads(2))
    assert next(consumer) is None
    assert next(consumer) is None
    assert real_ledger.get(job).state is JobState.QUEUED


def test_a_consumer_of_a_stopping_process_that_is_woken_wakes_another_one(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    stopping, ledger = threading.Event(), connected(valkey, real_ledger)
    consumer = LaneConsumer(ClaimedJobs(ledger, lambda _: None), ledger, Lane.EMERGENCY, stopping, IdleThreads(2))
    assert next(consumer) is None, "the lane is empty"
    waiting = threading.Thread(target=next, args=(consumer,))
    waiting.start()
    until(lambda: real_ledger.client.info("clients")["blocked_clients"] > 0)
    stopping.set()
    job = submit(real_ledger, MOVE)
    waiting.join()
    assert real_ledger.get(job).state is JobState.QUEUED
    assert real_ledger.client.llen(real_ledger.keys.wake(Lane.EMERGENCY.value)) == 1


def test_a_lease_counts_from_when_it_was_asked_for(inline: InlineWorker) -> None:
    """A claim that is sent again after a lost reply took effect the first time."""
    moments_s: list[float] = []
    ledger = watched_ledger(inline.ledger, lambda _: moments_s.append(time.monotonic()))
    runner = JobRunner(ledger, inline.settings, inline.provider, inline.leases, inline.stopping)
    inline.submit(BUY)
    (one,), _ = runner.take(Lane.MONEY, 1, "money")
    assert one.flags.valid_until_s - inline.settings.lease_seconds <= moments_s[0]
    runner.hand_back(one)


@pytest.mark.parametrize("lease_s", [30.0, 0.0])
def test_what_was_taken_by_a_call_without_an_answer_is_asked_for_again(inline: InlineWorker, lease_s: float) -> None:
    """As long as its lease is good; later it comes back as any dead worker's does."""
    deaf = [True]

    def reached(point: str) -> None:
        if point == "after:claim" and deaf.pop():
            raise ServiceUnavailable("the answer is lost")

    settings = inline.settings.model_copy(update={"lease_seconds": lease_s}) if lease_s == 0 else inline.settings
    runner = JobRunner(watched_ledger(inline.ledger, reached), settings, inline.provider, inline.leases, inline.stopping)
    jobs = [inline.submit(BUY).id for _ in range(2)]
    with pytest.raises(ServiceUnavailable):
        runner.take(Lane.MONEY, 2, "money")
    deaf.append(False)
    taken, _ = runner.take(Lane.MONEY, 2, "money")
    assert [one.claim.job_id for one in taken] == (jobs if lease_s else [])
    deaf.append(False)
    assert runner.take(Lane.MONEY, 2, "money")[0] == [], "once answered, it isn't asked for again"
    for one in taken:
        runner.hand_back(one)


def test_no_process_runs_an_attempt_in_two_threads(inline: InlineWorker) -> None:
    """Whatever the ledger says."""
    job = inline.submit(BUY)
    one, two = (inline.ledger.claim(job.id, "the same", lease_ms=60_000) for _ in range(2))
    assert isinstance(one, Claim)
    assert isinstance(two, Claim)
    assert one.token == two.token
    assert inline.leases.add(one, time.monotonic()) is not None
    assert inline.leases.add(two, time.monotonic()) is None
    inline.leases.drop(one)


def test_a_worker_that_starts_with_its_machine_has_a_name_at_once(inline: InlineWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of a machine that has just started is near zero. Without a name it would have the jobs of all others that have none."""
    monkeypatch.setattr(runner, "time", SimpleNamespace(monotonic=lambda: 0.5))
    job = inline.submit(BUY).id
    copies(inline.ledger, job, Lane.MONEY, 2)
    runners = [
        JobRunner(inline.ledger, inline.settings, inline.provider, Leases(inline.ledger, lease_s=30, worker=f"worker-{i}"), inline.stopping)
        for i in range(2)
    ]
    first, _ = runners[0].take(Lane.MONEY, 1, "money")
    others, _ = runners[1].take(Lane.MONEY, 2, "money")
    assert [one.claim.job_id for one in first] == [job]
    assert others == []


def test_an_old_lease_stays_lost_though_the_process_has_the_job_again(inline: InlineWorker) -> None:
    """It slept: then the job was taken from it, and it took it itself."""
    job = inline.submit(BUY)
    old = inline.ledger.claim(job.id, "before", lease_ms=1)
    assert isinstance(old, Claim)
    flags = inline.leases.add(old, time.monotonic())
    assert flags is not None
    until(lambda: inline.ledger.sweep(max_crashes=5).recovered > 0)
    new = inline.ledger.claim(job.id, "after", lease_ms=60_000)
    assert isinstance(new, Claim)
    assert inline.leases.add(new, time.monotonic()) is not None
    assert inline.leases.beat()
    with pytest.raises(LostLease):
        flags.check_before_change()
    inline.leases.drop(old)
    inline.leases.drop(new)


def test_a_take_without_an_answer_keeps_its_threads_until_it_has_one(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    """What it claimed is for them, and for nobody who asks meanwhile."""
    deaf = [True]

    class Flaky(ClaimedJobs):
        def take(self, lane: Lane, most: int, consumer: str, *, wait_s: float = 0.0) -> tuple[Sequence[Taken], bool]:
            assert most == 4
            if deaf and deaf.pop():
                raise ServiceUnavailable("no answer")
            return super().take(lane, most, consumer, wait_s=wait_s)

    for _ in range(3):
        submit(real_ledger)
    threads, ledger = IdleThreads(5), connected(valkey, real_ledger)
    consumer = LaneConsumer(Flaky(ledger, lambda _: None), ledger, Lane.MONEY, threading.Event(), threads)
    assert next(consumer) is None
    assert threads.reserve(Lane.BULK, 0.0) == 0, "they may have been given jobs"
    message = next(consumer)
    assert message is not None
    assert threads.reserve(Lane.BULK, 0.0) == 1
    message.begun = True
    for _ in range(3):
        consumer.ack(message)
    assert threads.reserve(Lane.BULK, 0.0) == 3


@pytest.mark.parametrize(
    ("lane", "request_", "pauses"), [(Lane.MONEY, BUY, EMPTY_TAKES), (Lane.BULK, GIVE_BACK, EMPTY_TAKES), (Lane.EMERGENCY, MOVE, 0)]
)
def test_a_consumer_to_which_jobs_come_fast_pauses_before_it_takes(
    valkey: EmbeddedValkey, real_ledger: Ledger, lane: Lane, request_: Request, pauses: int
) -> None:
    """Until its takes find nothing. Not for emergencies."""
    waited_s: list[float | None] = []

    class Stopping(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited_s.append(timeout)
            return super().wait(timeout)

    for job in [submit(real_ledger, request_) for _ in range(RECENT)]:
        real_ledger.client.hset(real_ledger.keys.job(job), "created_ms", 1_000)
    ledger = connected(valkey, real_ledger)
    consumer = LaneConsumer(ClaimedJobs(ledger, lambda _: None), ledger, lane, Stopping(), IdleThreads(5 * RECENT))
    assert all(next(consumer) for _ in range(RECENT))
    for _ in range(pauses):
        assert next(consumer) is None
    assert waited_s == [TOGETHER_S] * pauses
    submit(real_ledger, request_)
    assert next(consumer) is not None
    assert waited_s == [TOGETHER_S] * pauses, "it waits on the server again"


def test_a_server_that_can_not_write_now_ends_no_thread() -> None:
    """It lacks a replica that it is configured to have."""
    with EmbeddedValkey(None) as server:
        ledger = Ledger(connect(server.url), "own")
        leases, sweeper = Leases(ledger, lease_s=30, worker="one"), Sweeper(ledger, max_crashes=5)
        ledger.client.config_set("min-replicas-to-write", 1)
        assert not leases.beat()
        sweeper.sweep()
        with pytest.raises(ServiceUnavailable, match="NOREPLICAS"):
            ledger.submit(Submission(BUY))
        ledger.client.config_set("min-replicas-to-write", 0)
        assert leases.beat()
