"""Threads that compute and do nothing else: no job works for a minute without a word to Redis. Seen on Linux only."""

import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

#: Processor time that a thread may use between two commands to Redis. Work on a hundred thousand numbers takes a few seconds of it.
MAX_CPU_S = 60.0


@dataclass(frozen=True)
class _Mark:
    """When a thread last asked Redis, and how much processor time it had used when that was first seen."""

    asked_s: float
    cpu_s: float


class BusyThreads:
    """`asked_s` returns when a thread, by its native id, last sent a command to Redis (monotonic; 0: never)."""

    def __init__(
        self, threads: Callable[[], Iterable[threading.Thread]], asked_s: Callable[[int], float], *, max_cpu_s: float = MAX_CPU_S
    ) -> None:
        self._threads, self._asked_s, self._max_cpu_s = threads, asked_s, max_cpu_s
        self._marks: dict[int, _Mark] = {}

    def names(self) -> list[str]:
        """Those that have computed for too long since."""
        marks, found = dict[int, _Mark](), []
        for thread in self._threads():
            if thread.native_id is None or (cpu_s := cpu_of(thread.native_id)) is None:
                continue
            mark, asked_s = self._marks.get(thread.native_id), self._asked_s(thread.native_id)
            if mark is None or mark.asked_s != asked_s:
                mark = _Mark(asked_s, cpu_s)
            marks[thread.native_id] = mark
            if cpu_s - mark.cpu_s > self._max_cpu_s:
                found.append(f"{thread.name} computes without end")
        self._marks = marks
        return found


def cpu_of(native_id: int) -> float | None:
    """Processor time of a thread of this process, in seconds; None if it is gone, or the system doesn't report it."""
    try:
        line = Path(f"/proc/self/task/{native_id}/stat").read_text()
    except OSError:
        return None
    user, system = line.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
