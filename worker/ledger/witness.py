"""What one worker process knows to have been written, kept in its memory: it can say of a server that came back what is missing.

What a server loses when it dies is the end of what it wrote. So whoever misses none of his own writes answers also for everything that
anybody wrote before his last one.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Before:
    """What was acknowledged in the epoch before. `healthy`: until the server was gone, without a long silence."""

    epoch: int
    count: int
    healthy: bool


class Witness:
    """One process's memory, for all its threads.

    `silence_s`: who hears nothing for longer than this can't answer for what others wrote meanwhile.
    """

    def __init__(self, worker: str, *, silence_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.worker, self._silence_s, self._clock = worker, silence_s, clock
        self._lock = threading.Lock()
        self._epoch = 0
        self._count = 0
        self._acked_s = 0.0
        self._failed_s: float | None = None
        self._before: Before | None = None

    def now_s(self) -> float:
        return self._clock()

    def acknowledged(self, count: int, epoch: int, sent_s: float) -> None:
        """The server made its `count`th write of this process in that epoch; it was asked for at `sent_s`."""
        with self._lock:
            if epoch > self._epoch:
                if self._epoch:
                    gone_s = sent_s if self._failed_s is None else self._failed_s
                    self._before = Before(self._epoch, self._count, healthy=gone_s - self._acked_s <= self._silence_s)
                self._epoch, self._count, self._acked_s, self._failed_s = epoch, 0, sent_s, None
            if epoch == self._epoch:
                self._count = max(self._count, count)
                self._acked_s = max(self._acked_s, sent_s)
                self._failed_s = None

    def failed(self) -> None:
        """The server didn't answer."""
        with self._lock:
            self._failed_s = self._clock() if self._failed_s is None else self._failed_s

    def before(self) -> Before | None:
        """None as long as there was no other server."""
        with self._lock:
            return self._before
