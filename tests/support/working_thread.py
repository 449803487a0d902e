"""A thread that does a worker's work, for tests in which something waits for its job."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from didflow.contract.states import JobState
from tests.support.inline_worker import InlineWorker


@contextmanager
def working(inline: InlineWorker) -> Iterator[None]:
    """Run whatever is queued, and what waits when its time has come, one job at a time."""
    done = threading.Event()

    def work() -> None:
        while not done.wait(0.02):
            for state in (JobState.QUEUED, JobState.WAITING):
                for view in inline.ledger.perform(inline.ledger.commands.find(state=state)):
                    inline.runner.run(view.id)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
