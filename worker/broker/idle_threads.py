"""Which threads of a worker have nothing to do, shared by the consumers that find them work."""

import threading
from collections import deque


class IdleThreads:
    """Who wants some asks before he takes jobs, so that no job is taken for which there is no thread."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._idle = count
        self._line: deque[object] = deque()
        self._changed = threading.Condition()

    def in_turn(self, most: int, wait_s: float) -> int:
        """Reserve up to this many threads as soon as one is idle; 0 if none was in that time. First come, first served, so that a lane in
        which there is always something doesn't keep the others of its worker waiting."""
        asking = object()
        with self._changed:
            self._line.append(asking)
            mine = self._changed.wait_for(lambda: self._line[0] is asking and self._idle > 0, wait_s)
            self._line.remove(asking)
            self._changed.notify_all()
            return self._have(most) if mine else 0

    def left_over(self, most: int) -> int:
        """Reserve up to this many threads that no caller waits for; mostly 0 while there is work."""
        with self._changed:
            return 0 if self._line else self._have(most)

    def give_back(self, count: int) -> None:
        """Return this many threads."""
        with self._changed:
            self._idle += count
            self._changed.notify_all()

    def _have(self, most: int) -> int:
        count = max(0, min(self._idle, most))
        self._idle -= count
        return count
