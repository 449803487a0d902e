"""The messages that wait for a thread of this process, for `dramatiq.Worker`."""

import threading
import time
from queue import Empty, PriorityQueue
from typing import Any


class WorkQueue(PriorityQueue[Any]):
    """A priority queue that wakes one thread at a time: the one that waits for the shortest time, which wakes the next if it finds more.

    The standard one wakes a thread for each message, and the longest idle one. Of short jobs the first thread has then run many before the
    others come to run, and each of those has woken up for nothing, or with all that it needs gone from the processor's caches.
    """

    def __init__(self) -> None:
        super().__init__()
        self._idle: list[threading.Lock] = []  #: of each thread that waits the lock that it waits for, the last one last
        self._waking = False  #: one was woken, and hasn't come to run

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002 - it is never full
        with self.mutex:
            self._put(item)
            self.unfinished_tasks += 1
            self._wake()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Raises Empty."""
        until_s = float("inf") if timeout is None else time.monotonic() + timeout
        with self.mutex:
            while not self._qsize():
                left_s = until_s - time.monotonic()
                if not block or left_s <= 0:
                    raise Empty
                self._wait(-1 if timeout is None else left_s)
            item = self._get()
            self._wake()
            return item

    def _wait(self, most_s: float) -> None:
        """Called and returns with the mutex, which others have meanwhile. Returns when woken, or after this time; -1: however long."""
        mine = threading.Lock()
        mine.acquire()
        self._idle.append(mine)
        self.mutex.release()
        try:
            mine.acquire(timeout=most_s)
        finally:
            self.mutex.acquire()
            if mine in self._idle:
                self._idle.remove(mine)
            else:
                self._waking = False

    def _wake(self) -> None:
        if self._qsize() and self._idle and not self._waking:
            self._waking = True
            self._idle.pop().release()
