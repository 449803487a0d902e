"""Which threads of a worker process have nothing to do, and which lanes may have them."""

import threading
from collections import deque

from didflow.contract.states import Lane


class IdleThreads:
    """A lane reserves threads before it takes jobs, so that no job is taken for which there is no thread.

    A fifth of all threads, at least one, is reserved for emergencies. The lanes of money and bulk jobs share the others in turn.
    Emergencies may also have half of those, at least one, while no other lane waits for them: what comes to the other lanes meanwhile
    finds the rest. A lane without jobs may keep one thread for the next job, for a second at a time, while none of the others needs it.
    """

    def __init__(self, count: int) -> None:
        """Raises ValueError for less than 2."""
        if count < 2:
            raise ValueError(f"a worker process needs 2 threads or more, one of them for emergencies; it has {count}")
        self.reserved = max(1, count // 5)
        self.shared = count - self.reserved
        self._emergencies = self._others = 0  #: threads that are in use, or reserved for a take
        self._line: deque[object] = deque()
        self._changed = threading.Condition()

    @staticmethod
    def count_with(shared: int) -> int:
        """All threads of a process with that many for money and bulk jobs: a quarter as many again serve emergencies."""
        return shared + max(1, shared // 4)

    def reserve(self, lane: Lane, wait_s: float) -> int:
        """Reserve all threads that the lane may have now, as soon as there is one; 0 if there was none in that time."""
        with self._changed:
            if lane is Lane.EMERGENCY:
                self._changed.wait_for(lambda: self._for_emergencies() > 0, wait_s)
                count = self._for_emergencies()
                self._emergencies += count
            else:
                count = self._in_turn(wait_s)
                self._others += count
            return count

    def reserve_spare(self, lane: Lane) -> bool:
        """Reserve one thread for a job that is yet to come, if nobody waits for it and another one is left for the other lanes.

        Not for emergencies: a job is claimed for it as soon as it is submitted, even if this process stands still just then, and would wait
        for the end of its lease.
        """
        with self._changed:
            spare = lane is not Lane.EMERGENCY and not self._line and self._for_others() > 1
            self._others += spare
            return spare

    def give_back(self, lane: Lane, count: int) -> None:
        """Return this many threads."""
        with self._changed:
            if lane is Lane.EMERGENCY:
                self._emergencies -= count
            else:
                self._others -= count
            self._changed.notify_all()

    def _in_turn(self, wait_s: float) -> int:
        """First come, first served, so that a lane in which there is always something doesn't keep the other one waiting."""
        asking = object()
        self._line.append(asking)
        mine = self._changed.wait_for(lambda: self._line[0] is asking and self._for_others() > 0, wait_s)
        self._line.remove(asking)
        self._changed.notify_all()
        return self._for_others() if mine else 0

    def _for_others(self) -> int:
        return self.shared - self._others - self._helping()

    def _for_emergencies(self) -> int:
        free = max(0, self.reserved - self._emergencies)
        if self._line:
            return free
        return free + max(0, min(max(1, self.shared // 2) - self._helping(), self._for_others()))

    def _helping(self) -> int:
        """How many of the shared threads emergencies have."""
        return max(0, self._emergencies - self.reserved)
