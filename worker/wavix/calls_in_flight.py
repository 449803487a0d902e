"""The provider calls under way in this process, so that slow ones can be detected; and how many there were, for metrics."""

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from didflow.contract.metric_counts import bound_of, call_field, call_sum_field

#: A part of a path that is the same for all numbers, countries and documents.
_WORD = re.compile(r"|[a-z][a-z_-]*|v[0-9]")


def path_template(path: str) -> str:
    """The path with ``*`` for each number, country, city and document: the same for all of them."""
    return "/".join(part if _WORD.fullmatch(part) else "*" for part in path.split("/"))


@dataclass(frozen=True)
class CallCounts:
    """What was counted since the batch before: fields as in `didflow.contract.metric_counts`. `batch` counts from 1."""

    batch: int
    counts: Mapping[str, int]


class CallsUnderWay:
    """Filled by the threads that send, read by the watchdog and the heartbeat."""

    def __init__(self) -> None:
        self._since_s: dict[object, float] = {}
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._batch = CallCounts(0, {})

    @contextmanager
    def one(self) -> Iterator[None]:
        """While the call is under way."""
        call = object()
        self._since_s[call] = time.monotonic()
        try:
            yield
        finally:
            del self._since_s[call]

    def count(self, method: str, path: str, answer: str, took_s: float) -> None:
        """A call has ended. `answer`: a status as ``2xx``, or ``none``."""
        call = f"{method} {path_template(path)}"
        took_ms = round(took_s * 1000)
        with self._lock:
            self._counts[call_field(call, answer, bound_of(took_ms))] += 1
            self._counts[call_sum_field(call)] += took_ms

    def batch(self) -> CallCounts:
        """What is to be added to the ledger's counts: the same batch until it is `added`."""
        if not self._batch.counts:
            with self._lock:
                counts, self._counts = self._counts, Counter()
            self._batch = CallCounts(self._batch.batch + 1 if counts else self._batch.batch, counts)
        return self._batch

    def added(self, batch: CallCounts) -> None:
        """The ledger has it."""
        self._batch = CallCounts(batch.batch, {})

    def oldest_s(self) -> float | None:
        """When the oldest began, on the monotonic clock; None if none is under way."""
        return min(list(self._since_s.values()), default=None)
