"""Dramatiq workers in this process on a real ledger, with a function in the place of the jobs."""

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import dramatiq

from didflow.contract.states import JobState, Lane
from didflow.ledger.connection import connect
from didflow.ledger.ledger import Claim, Ledger
from worker.actors import declare_actors
from worker.attempt.runner import JobRunner
from worker.broker.broker import LedgerBroker
from worker.broker.idle_threads import IdleThreads
from worker.local.embedded_valkey import EmbeddedValkey


class Seen:
    """Which jobs were run, and when (monotonic)."""

    def __init__(self) -> None:
        self.jobs: list[str] = []
        self.moments_s: list[float] = []
        self._changed = threading.Condition()

    def __call__(self, job_id: str) -> None:
        with self._changed:
            self.jobs.append(job_id)
            self.moments_s.append(time.monotonic())
            self._changed.notify_all()

    def wait_for(self, count: int, within_s: float = 60.0) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.jobs) >= count, within_s), f"{len(self.jobs)} of {count} ran"


@dataclass(frozen=True)
class Taken:
    """A claimed job."""

    claim: Claim


class ClaimedJobs:
    """Jobs that are claimed and passed to `run`, and go no further."""

    def __init__(self, ledger: Ledger, run: Callable[[str], None]) -> None:
        self._ledger, self._run, self._worker = ledger, run, uuid.uuid4().hex

    def take(self, lane: Lane, most: int, consumer: str, *, wait_s: float = 0.0) -> tuple[Sequence[Taken], bool]:
        claimant = uuid.uuid4().hex
        taken = self._ledger.take(lane, most, worker=self._worker, consumer=consumer, claimant=claimant, lease_ms=60_000, wait_s=wait_s)
        return [Taken(claim) for claim in taken.claims], taken.emptied

    def attempt(self, one: Taken) -> None:
        self._run(one.claim.job_id)

    def hand_back(self, one: Taken) -> None:
        self._ledger.suspend(one.claim, JobState.QUEUED, None, delay_ms=0, refund=True)

    def put_off(self, one: Taken) -> None:
        self._ledger.suspend(one.claim, JobState.WAITING, None, delay_ms=60_000, refund=True)


@contextmanager
def consuming(
    valkey: EmbeddedValkey,
    ledger: Ledger,
    run: Callable[[str], None] | JobRunner,
    *lanes: Lane,
    threads: int = 2,
    middleware: Iterable[dramatiq.Middleware] = (),
) -> Iterator[dramatiq.Worker]:
    """A worker of these lanes, or of all: `threads` for money and bulk jobs, and those for emergencies."""
    stopping, jobs = threading.Event(), run if isinstance(run, JobRunner) else ClaimedJobs(ledger, run)
    broker = LedgerBroker(Ledger(connect(valkey.url), ledger.keys.namespace), jobs, stopping, middleware)
    declare_actors(broker, jobs)
    broker.emit_after("process_boot")
    worker = dramatiq.Worker(
        broker, queues={lane.value for lane in lanes}, worker_threads=IdleThreads.count_with(threads), worker_timeout=250
    )
    worker.start()
    yield worker
    stopping.set()
    worker.stop(timeout=5000)


def alive(worker: dramatiq.Worker) -> bool:
    return all(thread.is_alive() for thread in (*worker.consumers.values(), *worker.workers))


def until(met: Callable[[], bool], within_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not met():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
