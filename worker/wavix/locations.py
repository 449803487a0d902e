"""Countries, regions and cities change rarely: remembered for an hour, shared by the threads of a process."""

import threading
import time
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

T = TypeVar("T")

KEPT_S = 3600.0
#: The most places and trunks kept, about 700 bytes each: all of the provider's, with a limit for a broken server.
MOST_KEPT = 100_000


class LocationCache:
    """Remembers what a read returned, by key, until it is too old. A read that fails isn't remembered."""

    def __init__(self, kept_s: float = KEPT_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._kept_s, self._clock = kept_s, clock
        self._lock = threading.Lock()
        self._known: dict[Hashable, tuple[float, object]] = {}

    def get(self, key: Hashable, read: Callable[[], T], *, kept_s: float | None = None) -> T:
        """What is known, and no older than `kept_s` if that is given; else what `read` says now. Two threads may read at once."""
        with self._lock:
            since_s, value = self._known.get(key, (float("-inf"), None))
        if self._clock() - since_s < (self._kept_s if kept_s is None else kept_s):
            return cast("T", value)
        fresh = read()
        with self._lock:
            self._known.pop(key, None)
            self._known[key] = (self._clock(), fresh)
            while len(self._known) > 1 and sum(_count(value) for _, value in self._known.values()) > MOST_KEPT:
                del self._known[next(iter(self._known))]  # What was read first.
        return fresh


def _count(value: object) -> int:
    return len(value) if isinstance(value, tuple) else 1
