"""A worker process's own writes, counted in memory: it can report which of them a restarted server has lost.

A server that dies loses only the end of its writes. So a process that misses none of its own writes vouches also for everything that
anybody wrote before his last one. That reaches a process of which all is lost, even that it ever was, and which is dead by then, only if
every other one that can answer has written after that process began; so a new one moves no money before (`Life`). Each rule of this, and
what would happen without it: `tests/model/vouching_protocol.py`.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

#: Who knows of no write of his for longer than this can't answer for what others wrote meanwhile. For all processes the same, whatever
#: their leases: signs of life come every two seconds at most, and one more may be on its way.
SILENCE_S = 5.0


@dataclass(frozen=True)
class Before:
    """What was acknowledged in the epoch before. `after`: the epoch that ended it, in which alone this may be said: one that comes later
    may know nothing of that one, and of what was written in it. `healthy`: signs of life until shortly before its first answer came."""

    epoch: int
    count: int
    healthy: bool
    after: int


@dataclass(frozen=True)
class Life:
    """A time in which a process lives without a long silence. `others`: how many writes of each other process that may yet vouch had
    been made when it began; `ends_s`: none of them can vouch any more that hasn't written by then (monotonic, s)."""

    name: str
    others: Mapping[str, int]
    ends_s: float


class Witness:
    """One process's memory, for all its threads."""

    def __init__(self, worker: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.worker, self._clock = worker, clock
        self._lock = threading.Lock()
        self._epoch = 0
        self._count = 0
        self._beat_s = float("-inf")  #: when the last sign of life was sent that was answered in this epoch
        self._before: Before | None = None
        self._out: Counter[int] = Counter()  #: calls without an answer, by the epoch in which they were sent
        self._life: Life | None = None
        self._seen = False

    @property
    def told(self) -> tuple[int, int]:
        """How many writes it knows of, and in which epoch."""
        with self._lock:
            return self._count, self._epoch

    @property
    def life(self) -> Life | None:
        """None until the first sign of life has been answered."""
        with self._lock:
            return self._life

    @contextmanager
    def call(self, *, sign_of_life: bool = False) -> Iterator[Callable[[int, int], None]]:
        """Around a counted write: call what is given with its count and epoch when it is answered."""
        with self._lock:
            sent_s, sent_in = self._clock(), self._epoch
            self._out[sent_in] += 1
        try:
            yield lambda count, epoch: self._acknowledged(count, epoch, sent_s, sign_of_life=sign_of_life)
        finally:
            with self._lock:
                self._out[sent_in] -= 1

    def _acknowledged(self, count: int, epoch: int, sent_s: float, *, sign_of_life: bool) -> None:
        with self._lock:
            if epoch > self._epoch:
                if self._epoch:
                    # Until now, however long ago this call was sent: others may have taken it for dead while it was under way.
                    self._before = Before(self._epoch, self._count, self._clock() - self._beat_s <= SILENCE_S, after=epoch)
                self._epoch, self._count, self._beat_s = epoch, 0, float("-inf")
            if epoch == self._epoch:
                self._count = max(self._count, count)
                self._beat_s = max(self._beat_s, sent_s) if sign_of_life else self._beat_s
            elif self._before and epoch == self._before.epoch:
                self._before = replace(self._before, count=max(count, self._before.count))

    def before(self) -> Before | None:
        """None as long as there was no other server, or an answer of it may yet come."""
        with self._lock:
            return self._before if self._before and self._out[self._before.epoch] <= 0 else None

    # A life, and who has seen it

    def began(self, life: str, others: Sequence[str | int]) -> None:
        """The server's word with each sign of life: in which life it is, and, where that is news, who the others are."""
        with self._lock:
            if self._life is not None and self._life.name == life:
                return
            # Counted from the answer: the life began before it, but maybe long after the call was sent. And by this process's clock: who
            # has been silent by the server's may have written a moment before that was set forward.
            counts = {str(worker): int(count) for worker, count in zip(others[::2], others[1::2], strict=True)}
            self._life, self._seen = Life(life, counts, self._clock() + SILENCE_S + 1.0), not counts

    def seen_by(self, life: Life, acked: Mapping[str, int | None]) -> None:
        """`acked`: how many of its writes each of the others knows of (None: it signed off). Enough of them, or of time, and it is seen."""
        waits = any(count is not None and count <= life.others[worker] for worker, count in acked.items())
        with self._lock:
            if self._life is life and (not waits or self._clock() >= life.ends_s):
                self._seen = True

    @property
    def seen(self) -> str:
        """The epoch in which numbers may be bound and money may move; empty while no other process would notice its lost writes."""
        with self._lock:
            return self._life.name if self._life and self._seen else ""
