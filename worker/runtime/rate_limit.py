"""Requests to the provider, spaced so that this process stays below a rate per account."""

import threading
import time
from collections.abc import Callable


class Throttle:
    """Lets calls through at most `rate_per_s` times a second, a second's worth at once after a pause.

    A call reserves its moment and sleeps until it, so that waiting threads go in the order in which they came.
    """

    def __init__(
        self, rate_per_s: float, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self._interval_s = 1 / rate_per_s
        self._burst_s = 1.0
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._next_s = clock() - self._burst_s

    def __call__(self) -> None:
        """Wait until the next call may go."""
        with self._lock:
            now = self._clock()
            moment = max(self._next_s, now - self._burst_s) + self._interval_s
            self._next_s = moment
        if moment > now:
            self._sleep(moment - now)
