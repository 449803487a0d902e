"""The counts that scripts and workers keep for metrics: names of their fields, and reading them.

The scripts' part is `didflow/ledger/scripts/include/counts.lua`; its bounds are these.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

#: Upper bounds of the histograms, ms.
BOUNDS_MS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 1_800_000, 7_200_000, 86_400_000)
#: In a field's name: there was no such time; it was above the last bound.
NONE, ABOVE = "none", "inf"


def bound_of(took_ms: float) -> str:
    """The bound as it stands in a field's name."""
    return next((str(bound) for bound in BOUNDS_MS if took_ms <= bound), ABOVE)


def call_field(call: str, answer: str, bound: str) -> str:
    """Calls of this name (method and path) with this answer (``2xx``, ``429``, ``none`` …) that took at most `bound` ms."""
    return f"{call}:{answer}:{bound}"


def call_sum_field(call: str) -> str:
    """How long all calls of this name took, ms."""
    return f"{call}:ms"


@dataclass
class Histogram:
    """Durations. `counts`: how many by their bound (ms; infinity above the last); `sum_s` of all of them."""

    counts: Counter[float] = field(default_factory=Counter)
    sum_s: float = 0.0

    def add(self, bound: str, count: int) -> None:
        """Count what stands under a field. `NONE` isn't counted."""
        if bound != NONE:
            self.counts[float(bound)] += count

    def cumulative(self) -> list[tuple[float, int]]:
        """For each bound in seconds how many took at most that long; the last bound is infinity."""
        below, rows = 0, []
        for bound_ms in (*BOUNDS_MS, float("inf")):
            below += self.counts[bound_ms]
            rows.append((bound_ms / 1000, below))
        return rows


@dataclass
class EndedJobs:
    """Jobs that ended or were parked: how many by kind and state, and by kind how long they waited and ran."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    waited: dict[str, Histogram] = field(default_factory=dict)
    ran: dict[str, Histogram] = field(default_factory=dict)


@dataclass
class ProviderCalls:
    """Requests to the provider: how many by call and answer, and by call how long they took."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    took: dict[str, Histogram] = field(default_factory=dict)


def read_ended(fields: Mapping[str, str]) -> EndedJobs:
    """What `include/counts.lua` counted. A field of another form is left out."""
    ended = EndedJobs()
    for parts, count in _split(fields):
        match parts:
            case [kind, "wait_ms"]:
                ended.waited.setdefault(kind, Histogram()).sum_s = count / 1000
            case [kind, "run_ms"]:
                ended.ran.setdefault(kind, Histogram()).sum_s = count / 1000
            case [kind, state, waited, ran] if _is_bound(waited) and _is_bound(ran):
                ended.counts[kind, state] += count
                ended.waited.setdefault(kind, Histogram()).add(waited, count)
                ended.ran.setdefault(kind, Histogram()).add(ran, count)
    return ended


def read_calls(fields: Mapping[str, str]) -> ProviderCalls:
    """What workers counted. A field of another form is left out."""
    calls = ProviderCalls()
    for parts, count in _split(fields):
        match parts:
            case [call, "ms"]:
                calls.took.setdefault(call, Histogram()).sum_s = count / 1000
            case [call, answer, bound] if _is_bound(bound):
                calls.counts[call, answer] += count
                calls.took.setdefault(call, Histogram()).add(bound, count)
    return calls


def _split(fields: Mapping[str, str]) -> Iterable[tuple[list[str], int]]:
    return ((name.split(":"), int(count)) for name, count in fields.items() if count.isdecimal())


def _is_bound(text: str) -> bool:
    return text in (NONE, ABOVE) or text.isdecimal()
