"""Messages wait for a thread: they come in their order, no thread is woken for nothing, and none is left asleep beside one that waits."""

import threading
from queue import Empty

import pytest

from worker.broker.work_queue import WorkQueue


def test_what_was_put_comes_out_in_its_order_and_an_empty_queue_says_so() -> None:
    queue = WorkQueue()
    for item in (3, 1, 2):
        queue.put(item)
    assert [queue.get(timeout=0.0) for _ in range(3)] == [1, 2, 3]
    for how in ({"block": False}, {"timeout": 0.01}):
        with pytest.raises(Empty):
            queue.get(**how)
    assert queue.unfinished_tasks == 3
    assert not queue._idle


class Watched(WorkQueue):
    """Signals each time that a thread begins to wait. The thread has the mutex then, so what is put afterwards finds it asleep."""

    def __init__(self) -> None:
        super().__init__()
        self._begins_to_wait = threading.Semaphore(0)

    def _wait(self, most_s: float) -> None:
        self._begins_to_wait.release()
        super()._wait(most_s)

    def until_waits(self, threads: int) -> None:
        for _ in range(threads):
            assert self._begins_to_wait.acquire(timeout=60.0)

    def waits_until_now(self) -> int:
        """How often one began to wait, other than those that `until_waits` has seen."""
        count = 0
        while self._begins_to_wait.acquire(blocking=False):
            count += 1
        return count


def test_each_message_has_a_thread_though_one_is_woken_at_a_time() -> None:
    """Each of them ends only when all have begun."""
    queue, all_begun = Watched(), threading.Barrier(4)

    def run() -> None:
        queue.get(timeout=60.0)
        all_begun.wait(60.0)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    queue.until_waits(4)
    for item in range(4):
        queue.put(item)
    for thread in threads:
        thread.join()
    assert not all_begun.broken


def test_a_thread_that_gave_up_is_not_counted_on() -> None:
    queue, had, gave_up = Watched(), list[int](), 0
    while gave_up < 2:
        with pytest.raises(Empty):
            queue.get(timeout=0.001)
        gave_up += queue.waits_until_now()
    thread = threading.Thread(target=lambda: had.append(queue.get()))
    thread.start()
    queue.until_waits(1)
    queue.put(7)
    thread.join()
    assert had == [7]


def test_the_thread_that_ran_last_runs_the_next_message() -> None:
    """What it needs is in the processor's caches."""
    queue, ran, done = Watched(), list[int](), threading.Semaphore(0)

    def run(name: int) -> None:
        while queue.get() > 0:
            ran.append(name)
            done.release()

    threads = [threading.Thread(target=run, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
        queue.until_waits(1)
    for _ in range(5):
        queue.put(1)
        done.acquire()
        queue.until_waits(1)
    assert set(ran) == {2}
    for _ in threads:
        queue.put(0)
    for thread in threads:
        thread.join()
