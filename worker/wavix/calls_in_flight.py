"""The provider calls under way in this process, so that slow ones can be detected."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class CallsUnderWay:
    """Filled by the threads that send, read by the watchdog and the heartbeat."""

    def __init__(self) -> None:
        self._since_s: dict[object, float] = {}

    @contextmanager
    def one(self) -> Iterator[None]:
        """While the call is under way."""
        call = object()
        self._since_s[call] = time.monotonic()
        try:
            yield
        finally:
            del self._since_s[call]

    def oldest_s(self) -> float | None:
        """When the oldest began, on the monotonic clock; None if none is under way."""
        return min(list(self._since_s.values()), default=None)
