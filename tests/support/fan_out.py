"""A large job and its batches, played by hand: the test says who runs when."""

import random
import threading
import time
from collections.abc import Iterator
from typing import cast

import pytest

from didflow.contract.jobs import Job, JobView
from didflow.contract.states import REPORTED, WaitReason
from didflow.ledger.ledger import Ledger
from tests.support.inline_worker import InlineWorker

#: So few numbers fit into a call that forty make a large job.
BATCH = 10


def names_of_batches(ledger: Ledger, job: Job) -> list[str]:
    """The batches that haven't ended, in the order of their pages."""
    names = cast("set[str]", ledger.client.smembers(ledger.keys.children(job.id)))
    return sorted(names, key=lambda name: float(name.rpartition(":")[2]))


def batches(inline: InlineWorker, job: Job) -> list[Job]:
    return [Job(name, False, inline.ledger.get(name).state) for name in names_of_batches(inline.ledger, job)]


def run_batch(inline: InlineWorker, batch: Job) -> JobView:
    """An attempt of it, now."""
    inline.make_due(batch)
    return inline.attempt(batch)


def play(inline: InlineWorker, job: Job, *, order: random.Random | None = None, within_s: float = 60.0) -> JobView:
    """Attempt after attempt of the job and its batches, in any order, until the job is reported."""
    deadline_s = time.monotonic() + within_s
    while (view := inline.ledger.get(job.id)).state not in REPORTED:
        assert time.monotonic() < deadline_s, (view, inline.steps(job))
        waiting = batches(inline, job)
        if order:
            order.shuffle(waiting)
        for batch in waiting[: 1 + len(waiting) // 2]:
            run_batch(inline, batch)
        if view.reason != WaitReason.DEPENDS or not waiting:
            if view.reason == WaitReason.SETTLING and view.due_at is not None:
                time.sleep(max(0.0, view.due_at.timestamp() - inline.ledger.now_ms() / 1000))
            inline.make_due(job)
            inline.attempt(job)
    return view


class StopsAfter(threading.Event):
    """Set from the n-th question on."""

    def __init__(self, questions: int) -> None:
        super().__init__()
        self._left = questions

    def is_set(self) -> bool:
        self._left -= 1
        return self._left < 0


@pytest.fixture
def fanning(inline: InlineWorker) -> Iterator[InlineWorker]:
    """The inline worker, with small calls."""
    small = InlineWorker(inline.ledger, inline.sandbox, batch_size=BATCH)
    yield small
    small.close()
