"""What a dry run of a reroute would do, grouped by where the numbers go now."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from didflow.contract.destinations import Route
from didflow.contract.jobs import JobView
from didflow.contract.results import NumberResult
from didflow.contract.states import Outcome


@dataclass(frozen=True)
class RouteGroup:
    """Numbers with the same present route, and what would become of them. `route` None: it wasn't read."""

    route: Route | None
    outcome: Outcome | None
    numbers: int

    @property
    def moves(self) -> bool:
        return self.outcome is None

    @property
    def verdict(self) -> str:
        if self.outcome is None:
            return "would move"
        return "goes there already" if self.outcome is Outcome.UNCHANGED else self.outcome.value.replace("_", " ")


def grouped(numbers: Iterable[NumberResult]) -> list[RouteGroup]:
    """The largest group first."""
    counts = Counter((number.route_before, number.outcome) for number in numbers)
    return [RouteGroup(route, outcome, count) for (route, outcome), count in counts.most_common()]


def would_move(view: JobView, numbers: Iterable[NumberResult]) -> int:
    """How many the dry run would move. `numbers`: all of them, where the result has no summary."""
    if view.result is not None and view.result.summary is not None:
        return view.result.summary.outcomes.get("would_be_done", 0)
    return sum(number.outcome is None for number in numbers)
