"""A thread that writes what other threads leave for it, a moment later and together. Best effort."""

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

#: What is left within this time is written together.
GATHERED_S = 1.0


class Gathering(threading.Thread, Generic[T]):
    """At most `most` things wait; of more the oldest are dropped."""

    def __init__(self, name: str, most: int) -> None:
        super().__init__(name=name, daemon=True)
        self._waiting: deque[T] = deque(maxlen=most)
        self._stop_event, self._left = threading.Event(), threading.Event()

    def leave(self, one: T) -> None:
        self._waiting.append(one)
        self._left.set()

    def taken(self) -> list[T]:
        """What was left so far, oldest first."""
        found = []
        while self._waiting:
            found.append(self._waiting.popleft())
        return found

    def write(self) -> None:
        """Write what was left so far. What can't be written is dropped; it never raises."""
        raise NotImplementedError

    def run(self) -> None:
        while self._left.wait() and not self._stop_event.wait(GATHERED_S):
            self._left.clear()
            self.write()

    def stop(self) -> None:
        self._stop_event.set()
        self._left.set()
