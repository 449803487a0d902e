"""Writes how attempts end: what ends while a write is under way is written together by the next one, in one pipeline and with one fsync."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from didflow.ledger.ledger import Ledger
from didflow.ledger.script_calls import Call

#: Ends that may wait for the write that is under way. A thread with one more waits until it is written.
MOST_WAITING = 64

#: How long a first end waits for others. Long enough to let the other threads of the interpreter go first: what is short ends before one of
#: them waits for anything, and only then this thread goes on.
GATHER_S = 0.00005

#: What came of it: False if a newer attempt has the job.
Outcome = bool | BaseException


@dataclass(frozen=True)
class End:
    """The last write of an attempt. `written` is called once with what came of it, perhaps in another thread; it raises nothing."""

    call: Call[bool]
    written: Callable[[Outcome], None]


class EndWriter:
    """A thread whose attempt ends writes that end, and then all that have come meanwhile; the others leave theirs here and go on.

    So an end that comes alone is written at once, by its own thread, and there is no thread more. The thread that writes returns when no
    end waits: once all threads that run attempts have ended, everything is written.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: deque[End] = deque()
        self._changed = threading.Condition()
        self._writing = False
        self._came = self._done = 0  #: how many ends ever; they are written in their order

    def write(self, end: End, *, wait: bool, gather: bool = False) -> None:
        """Write the end, or leave it to the thread that writes now. `wait`: return when it is written.

        `gather`: other attempts are under way here, and those that are short may end with this one.
        """
        with self._changed:
            self._waiting.append(end)
            self._came += 1
            place = self._came
            if self._writing:
                if not wait and len(self._waiting) <= MOST_WAITING:
                    return
                self._changed.wait_for(lambda: self._done >= place or not self._writing)
                if self._done >= place:
                    return
            self._writing = True
        if gather:
            time.sleep(GATHER_S)
        self._write_all()

    def _write_all(self) -> None:
        while ends := self._next():
            try:
                self._write(ends)
            except BaseException:
                with self._changed:
                    self._writing = False
                    self._changed.notify_all()
                raise

    def _next(self) -> list[End]:
        """All that wait now. None: from this moment on the next one is written by its own thread."""
        with self._changed:
            ends = list(self._waiting)
            self._waiting.clear()
            self._writing = bool(ends)
            return ends

    def _write(self, ends: list[End]) -> None:
        outcomes: list[Outcome] = []
        try:
            outcomes += self._ledger.end_together([end.call for end in ends])
        except BaseException as error:
            outcomes += [error] * len(ends)
            if not isinstance(error, Exception):
                raise
        finally:
            for end, outcome in zip(ends, outcomes, strict=True):
                end.written(outcome)
            with self._changed:
                self._done += len(ends)
                self._changed.notify_all()
