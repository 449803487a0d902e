"""What docs/middleware.md says of Dramatiq's actors, messages and middleware, on a real server."""

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import (
    AgeLimit,
    Callbacks,
    CurrentMessage,
    GroupCallbacks,
    MiddlewareError,
    Pipelines,
    Retries,
    ShutdownNotifications,
    SkipMessage,
    TimeLimit,
)
from dramatiq.middleware.prometheus import Prometheus
from dramatiq.rate_limits.backends import StubBackend as StubRateLimits
from dramatiq.results import Results
from dramatiq.results.backends import StubBackend as StubResults

from didflow.contract.destinations import Destination
from didflow.contract.errors import InvalidRequest, InvalidSettings
from didflow.contract.job_kinds import KINDS
from didflow.contract.requests import FollowDocuments, Release, Request, Reroute, SearchAndBuy
from didflow.contract.states import JobState, Lane
from didflow.ledger.ledger import Ledger
from didflow.ledger.script_calls import Submission
from tests.support.inline_worker import InlineWorker
from tests.support.queue_workers import ClaimedJobs, Seen, alive, consuming, until
from worker.actors import declare_actors
from worker.broker.broker import LedgerBroker
from worker.broker.claimed_message import UNKNOWN_KIND, ClaimedMessage
from worker.broker.consumer import LaneConsumer
from worker.broker.idle_threads import IdleThreads
from worker.broker.middleware import load_middleware
from worker.local.embedded_valkey import EmbeddedValkey

PAGE = Path(__file__).parents[2] / "docs/middleware.md"
BUY = SearchAndBuy(country="US", dry_run=True)
REQUESTS: dict[str, Request] = {
    "search_and_buy": BUY,
    "reroute": Reroute(numbers=("+12135550100",), destinations=(Destination.sip("pbx@example.net"),)),
    "release": Release(numbers=("+12135550100",)),
    "follow_documents": FollowDocuments(numbers=("+12135550100",)),
}


def submit(ledger: Ledger, kind: str = "search_and_buy", lane: Lane | None = None) -> str:
    return ledger.submit(Submission(REQUESTS[kind], lane=lane)).id


def broker_of(ledger: Ledger, *middleware: dramatiq.Middleware) -> LedgerBroker:
    """One of which no worker runs."""
    jobs = ClaimedJobs(ledger, lambda _: None)
    broker = LedgerBroker(ledger, jobs, threading.Event(), middleware)
    declare_actors(broker, jobs)
    return broker


def queued(ledger: Ledger, lane: Lane) -> list[dramatiq.Message[Any]]:
    """The messages on the lane's queue, as Dramatiq reads them."""
    bodies = cast("list[str]", ledger.client.hvals(f"{ledger.keys.broker}:{lane.value}.msgs"))
    return [dramatiq.Message.decode(body.encode()) for body in bodies]


class Recorder(dramatiq.Middleware):
    """What was done, under which name, and whether it raised."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str, tuple[Any, ...]]] = []
        self.acknowledged: list[str] = []

    def after_process_message(self, _broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:
        self.messages.append((message.actor_name, message.queue_name, message.args))

    def after_ack(self, _broker: Any, message: Any) -> None:
        self.acknowledged.append(message.message_id)


@pytest.mark.parametrize("kind", REQUESTS)
def test_what_the_scripts_write_is_a_dramatiq_message_for_the_actor_of_the_kind(real_ledger: Ledger, kind: str) -> None:
    job = submit(real_ledger, kind)
    lane = KINDS[kind].lane
    [message] = queued(real_ledger, lane)
    assert (message.queue_name, message.actor_name, message.args, message.kwargs) == (lane.value, kind, (job,), {})
    assert message.message_id.startswith(job)
    assert dramatiq.Message.decode(message.encode()) == message
    real_ledger.client.delete(f"{real_ledger.keys.broker}:{lane.value}", f"{real_ledger.keys.broker}:{lane.value}.msgs")
    assert real_ledger.nudge(job)
    [again] = queued(real_ledger, lane)
    assert (again.actor_name, again.args) == (kind, (job,))


def test_what_a_consumer_hands_out_can_be_encoded_and_its_claim_stays_here(real_ledger: Ledger) -> None:
    job = submit(real_ledger)
    consumer = LaneConsumer(ClaimedJobs(real_ledger, lambda _: None), real_ledger, Lane.MONEY, threading.Event(), IdleThreads(2))
    message = next(consumer)
    assert isinstance(message, ClaimedMessage)
    assert message.claimed.claim.job_id == job
    decoded = dramatiq.Message.decode(message.encode())
    assert decoded == message
    assert (decoded.args, decoded.kwargs, decoded.options) == ((job,), {}, {})
    assert json.loads(message.encode()) == {
        "queue_name": "money",
        "actor_name": "search_and_buy",
        "args": [job],
        "kwargs": {},
        "options": {},
        "message_id": f"{job}:{message.claimed.claim.token}",
        "message_timestamp": message.message_timestamp,
    }


def test_there_is_an_actor_for_each_kind_and_one_for_any_other(real_ledger: Ledger) -> None:
    assert broker_of(real_ledger).get_declared_actors() == {*KINDS, UNKNOWN_KIND}
    assert broker_of(real_ledger).get_declared_queues() == {lane.value for lane in Lane}
    assert not broker_of(real_ledger).get_declared_delay_queues()


def test_middleware_sees_the_kind_the_lane_and_the_job_and_each_message_is_acknowledged_once(
    valkey: EmbeddedValkey, real_ledger: Ledger
) -> None:
    recorder, seen = Recorder(), Seen()
    with consuming(valkey, real_ledger, seen, middleware=[recorder]):
        jobs = {kind: submit(real_ledger, kind) for kind in REQUESTS}
        background = submit(real_ledger, lane=Lane.BULK)
        until(lambda: len(recorder.acknowledged) == 5)
    expected = {(kind, KINDS[kind].lane.value, (job,)) for kind, job in jobs.items()}
    assert set(recorder.messages) == expected | {("search_and_buy", "bulk", (background,))}
    assert len(set(recorder.acknowledged)) == 5


def test_current_message_names_the_job_that_runs(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    found: list[tuple[str, tuple[Any, ...]]] = []
    seen = Seen()

    def run(job_id: str) -> None:
        message = CurrentMessage.get_current_message()
        assert message is not None
        found.append((message.actor_name, message.args))
        seen(job_id)

    with consuming(valkey, real_ledger, run, middleware=[CurrentMessage()]) as worker:
        assert [type(one) for one in worker.broker.middleware].count(CurrentMessage) == 1
        job = submit(real_ledger)
        seen.wait_for(1)
    assert found == [("search_and_buy", (job,))]


@pytest.fixture
def elsewhere() -> Iterator[StubBroker]:
    """A broker of the application."""
    stub = StubBroker(middleware=[])
    yield stub
    stub.close()


def test_a_callback_is_sent_to_the_broker_of_its_actor(valkey: EmbeddedValkey, real_ledger: Ledger, elsewhere: StubBroker) -> None:
    def report(data: dict[str, Any], result: object) -> None: ...

    reporting = dramatiq.actor(broker=elsewhere, actor_name="report", queue_name="reports")(report)

    class ReportPurchases(Callbacks):
        def after_declare_actor(self, broker: dramatiq.Broker, actor: dramatiq.Actor[Any, Any]) -> None:
            if actor.actor_name == "search_and_buy":
                assert isinstance(broker, LedgerBroker)
                broker.declare_callback(reporting)
                actor.options["on_success"] = "report"

    seen = Seen()
    with consuming(valkey, real_ledger, seen, middleware=[ReportPurchases()]):
        job = submit(real_ledger)
        submit(real_ledger, "release")
        until(lambda: len(seen.jobs) == 2 and elsewhere.queues["reports"].qsize() == 1)
    sent = dramatiq.Message.decode(elsewhere.queues["reports"].get_nowait())
    assert (sent.args[0]["actor_name"], sent.args[0]["args"]) == ("search_and_buy", [job])


def test_the_examples_of_the_middleware_page_work(valkey: EmbeddedValkey, real_ledger: Ledger, elsewhere: StubBroker) -> None:
    durations, callbacks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {"Callbacks": Callbacks}
    exec(durations, names)
    names["report"] = dramatiq.actor(broker=elsewhere, actor_name="report", queue_name="reports")(lambda _data, _result: None)
    exec(callbacks, names)
    seen, counting = Seen(), names["Durations"]()
    with consuming(valkey, real_ledger, seen, middleware=[counting, names["ReportReleases"]()]):
        for kind in ("release", "reroute", "release"):
            submit(real_ledger, kind)
        until(lambda: elsewhere.queues["reports"].qsize() == 2 and len(counting.seconds["reroute"]) == 1)
    assert {kind: len(seconds) for kind, seconds in counting.seconds.items()} == {"release": 2, "reroute": 1}


class Stops(dramatiq.Middleware):
    """Lets the actor of the first message not run, in its own way."""

    def __init__(self, how: str) -> None:
        self._how, self.stopped = how, list[str]()

    def before_process_message(self, _broker: Any, message: Any) -> None:
        if self.stopped:
            return
        self.stopped.append(message.args[0])
        if self._how == "fails it":
            message.fail()
            return
        raise SkipMessage if self._how == "skips it" else MiddlewareError("not this one")


@pytest.mark.parametrize("how", ["skips it", "fails it", "raises"])
def test_a_job_that_a_middleware_keeps_from_running_waits_and_has_lost_no_attempt(
    valkey: EmbeddedValkey, inline: InlineWorker, how: str
) -> None:
    """It isn't held by a lease that is renewed for ever, nor taken again and again; its thread is free."""
    stops = Stops(how)
    with consuming(valkey, inline.ledger, inline.runner, threads=1, middleware=[stops]) as worker:
        first = inline.submit(BUY)
        until(lambda: inline.ledger.get(first.id).state is JobState.WAITING)
        second = inline.submit(BUY)
        until(lambda: inline.ledger.get(second.id).state is JobState.SUCCEEDED)
        assert alive(worker)
        view = inline.ledger.get(first.id)
        assert (view.state, view.attempt) == (JobState.WAITING, 0)
        assert view.due_at is not None
        inline.make_due(first)
        assert inline.ledger.nudge(first.id)
        until(lambda: inline.ledger.get(first.id).state is JobState.SUCCEEDED)
    assert stops.stopped == [first.id]
    assert inline.ledger.get(first.id).attempt == 1


class Raises(dramatiq.Middleware):
    """In every method that has to do with a message."""

    def before_ack(self, *_: Any) -> None:
        raise MiddlewareError("before_ack")

    def after_ack(self, *_: Any) -> None:
        raise RuntimeError("after_ack")

    def before_process_message(self, *_: Any) -> None:
        raise RuntimeError("before_process_message")

    def after_process_message(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("after_process_message")


def test_a_middleware_that_raises_costs_no_thread_and_no_job(valkey: EmbeddedValkey, inline: InlineWorker) -> None:
    with consuming(valkey, inline.ledger, inline.runner, threads=1, middleware=[Raises()]) as worker:
        jobs = [inline.submit(BUY) for _ in range(5)]
        until(lambda: all(inline.ledger.get(job.id).state is JobState.SUCCEEDED for job in jobs))
        assert alive(worker)
    assert {inline.ledger.get(job.id).attempt for job in jobs} == {1}


class OwnRetries(Retries):
    """A subclass is no way around."""


@pytest.mark.parametrize(
    ("middleware", "reason"),
    [
        (Retries(), "the ledger counts attempts"),
        (OwnRetries(), "the ledger counts attempts"),
        (AgeLimit(), "`deadline`"),
        (TimeLimit(), "between a money call and its record"),
        (ShutdownNotifications(), "between a money call and its record"),
        (Results(backend=StubResults()), "results stream"),  # type: ignore[no-untyped-call]
        (Pipelines(), "names a job"),
        (GroupCallbacks(StubRateLimits()), "names a job"),  # type: ignore[no-untyped-call]
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, dramatiq.Middleware) else "",
)
def test_middleware_that_would_decide_for_the_ledger_is_refused(real_ledger: Ledger, middleware: dramatiq.Middleware, reason: str) -> None:
    with pytest.raises(InvalidSettings, match=reason):
        broker_of(real_ledger, middleware)
    broker = broker_of(real_ledger)
    with pytest.raises(InvalidSettings, match=reason):
        broker.add_middleware(middleware)


def test_middleware_is_loaded_by_name_and_a_wrong_name_is_refused() -> None:
    assert [type(one) for one in load_middleware(["dramatiq.middleware:CurrentMessage"])] == [CurrentMessage]
    for wrong in ("no.such.module:Thing", "dramatiq.middleware:Nothing", "dramatiq.middleware", "threading:Event", ""):
        with pytest.raises(InvalidSettings, match="DIDFLOW_MIDDLEWARE"):
            load_middleware([wrong])


def test_an_actor_nudges_a_job_by_its_id(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    job, queue, seen = submit(real_ledger), f"{real_ledger.keys.broker}:money", Seen()
    real_ledger.client.delete(queue, f"{queue}.msgs")  # Its message was lost.
    actor = broker_of(real_ledger).get_actor("search_and_buy")
    actor.send(job)
    actor.send(job)
    assert real_ledger.client.llen(queue) == 1, "one message is enough"
    with consuming(valkey, real_ledger, seen):
        seen.wait_for(1)
    assert seen.jobs == [job]
    actor.send("no such job")
    assert real_ledger.client.llen(queue) == 0


def test_a_message_that_is_no_nudge_is_refused(real_ledger: Ledger) -> None:
    actor = broker_of(real_ledger).get_actor("search_and_buy")
    for args in ((), ("a", "b"), (7,), ({"country": "US"},)):
        with pytest.raises(InvalidRequest, match="one job by its id"):
            actor.send(*args)
    with pytest.raises(InvalidRequest, match="not_before"):
        actor.send_with_options(args=(submit(real_ledger),), delay=1000)


def test_an_actor_runs_nothing_that_no_worker_has_claimed(real_ledger: Ledger) -> None:
    job = submit(real_ledger)
    with pytest.raises(RuntimeError, match="submit a job"):
        broker_of(real_ledger).get_actor("search_and_buy")(job)
    assert real_ledger.get(job).state is JobState.QUEUED


def test_a_job_of_an_unknown_kind_is_parked(valkey: EmbeddedValkey, inline: InlineWorker) -> None:
    """Dramatiq would reject a message without an actor, and the job would come back for ever."""
    recorder = Recorder()
    job = inline.submit(BUY)
    inline.ledger.client.hset(inline.ledger.keys.job(job.id), mapping={"kind": "teleport", "request": '{"kind":"teleport"}'})
    with consuming(valkey, inline.ledger, inline.runner, middleware=[recorder]):
        until(lambda: inline.ledger.get(job.id).state is JobState.NEEDS_REVIEW)
        until(lambda: bool(recorder.messages))
    assert recorder.messages == [(UNKNOWN_KIND, "money", (job.id,))]


def test_a_process_with_one_thread_does_not_start(real_ledger: Ledger) -> None:
    broker = broker_of(real_ledger)
    with pytest.raises(MiddlewareError, match="2 threads or more"):
        dramatiq.Worker(broker, worker_threads=1).start()


def test_the_end_of_a_job_does_not_wait_for_its_acknowledgement(valkey: EmbeddedValkey, inline: InlineWorker) -> None:
    """Both are apart: a job has ended when its handler's end is written, whatever comes of the message."""
    held, reached = threading.Event(), threading.Event()

    class Holds(dramatiq.Middleware):
        def before_ack(self, *_: Any) -> None:
            reached.set()
            assert held.wait(20.0)

    with consuming(valkey, inline.ledger, inline.runner, middleware=[Holds()]):
        job = inline.submit(BUY)
        assert reached.wait(20.0)
        assert inline.ledger.get(job.id).state is JobState.SUCCEEDED
        held.set()


def test_prometheus_counts_by_kind(valkey: EmbeddedValkey, real_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):
        monkeypatch.setenv(name, "")  # The middleware sets it, and it is to be gone after this test.
        monkeypatch.delenv(name)
    prometheus, seen = Prometheus(), Seen()
    with consuming(valkey, real_ledger, seen, middleware=[prometheus]):
        for kind in REQUESTS:
            submit(real_ledger, kind)
        until(lambda: all(counted(prometheus.total_messages, KINDS[kind].lane.value, kind) == 1 for kind in REQUESTS))
    assert counted(prometheus.message_durations, "money", "search_and_buy") == 1
    assert counted(prometheus.total_errored_messages, "money", "search_and_buy") is None


def counted(metric: Any, queue: str, actor: str) -> float | None:
    """How many there were; None if none was noted."""
    [family] = metric.collect()
    samples = [one for one in family.samples if one.name.endswith(("_total", "_count"))]
    return next((one.value for one in samples if one.labels == {"queue_name": queue, "actor_name": actor}), None)
