"""A value that remembers what it was, so that a list can show the past, and a change can be due in the future."""

from bisect import bisect_right, insort
from typing import Generic, TypeVar

T = TypeVar("T")

#: What lies further back than this is forgotten.
MEMORY_S = 120.0


class Timeline(Generic[T]):
    """Values by the moment (monotonic seconds) from which they hold."""

    __slots__ = ("_moments", "_values")

    def __init__(self, value: T, since_s: float = float("-inf")) -> None:
        self._moments = [since_s]
        self._values = [value]

    def at(self, moment_s: float) -> T:
        """The value at that moment; the first one for any moment before it."""
        if moment_s >= self._moments[-1]:
            return self._values[-1]
        return self._values[max(0, bisect_right(self._moments, moment_s) - 1)]

    def set(self, moment_s: float, value: T) -> None:
        """Let the value hold from that moment on; of two for one moment the later call wins."""
        place = bisect_right(self._moments, moment_s)
        insort(self._moments, moment_s)
        self._values.insert(place, value)
        while len(self._moments) > 2 and self._moments[1] < moment_s - MEMORY_S:
            del self._moments[0], self._values[0]
