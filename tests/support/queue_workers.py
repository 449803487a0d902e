"""Dramatiq workers in this process on a real ledger, with a function in the place of the jobs."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import dramatiq

from didflow.contract.states import JobState, Lane
from didflow.ledger.connection import connect
from didflow.ledger.ledger import Claim, Ledger
from worker.attempt.runner import JobRunner
from worker.broker.broker import build_worker
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


class Told:
    """Jobs that are claimed and passed to `run`, and go no further."""

    def __init__(self, ledger: Ledger, run: Callable[[str], None]) -> None:
        self._ledger, self._run, self._worker = ledger, run, uuid.uuid4().hex

    def take(self, lane: Lane, most: int, consumer: str) -> tuple[Sequence[Claim], bool]:
        claimant = uuid.uuid4().hex
        taken = self._ledger.take(lane, most, worker=self._worker, consumer=consumer, claimant=claimant, lease_ms=60_000)
        return taken.claims, taken.emptied

    def attempt(self, one: Claim) -> None:
        self._run(one.job_id)

    def hand_back(self, one: Claim) -> None:
        self._ledger.suspend(one, JobState.QUEUED, None, delay_ms=0, refund=True)


@contextmanager
def consuming(
    valkey: EmbeddedValkey,
    ledger: Ledger,
    run: Callable[[str], None] | JobRunner,
    *lanes: Lane,
    threads: int = 2,
    helping: Sequence[Lane] = (),
) -> Iterator[dramatiq.Worker]:
    stopping, jobs = threading.Event(), run if isinstance(run, JobRunner) else Told(ledger, run)
    worker = build_worker(connect(valkey.url), ledger.keys, lanes or tuple(Lane), threads, jobs, stopping, helping=helping)
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
