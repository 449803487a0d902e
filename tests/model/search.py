"""Visits every state that can be reached, breadth first: what holds then holds in every order of events, and counterexamples are short."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

State = TypeVar("State", bound=Hashable)


@dataclass(frozen=True)
class Searched:
    """How many states there are, and the steps that lead to one that may not be; None: there is none."""

    states: int
    counterexample: tuple[str, ...] | None


@dataclass(frozen=True)
class Search(Generic[State]):
    """steps      what can happen in a state, in words, and the state after it
    is_wrong   what may never be
    is_over    nothing wrong can follow, so it needn't be checked further
    """

    start: State
    steps: Callable[[State], Iterable[tuple[str, State]]]
    is_wrong: Callable[[State], bool]
    is_over: Callable[[State], bool] = lambda _: False

    def run(self) -> Searched:
        came_from: dict[State, tuple[State, str] | None] = {self.start: None}
        todo = deque([self.start])
        while todo:
            state = todo.popleft()
            for label, after in self.steps(state):
                if after in came_from:
                    continue
                came_from[after] = (state, label)
                if self.is_wrong(after):
                    return Searched(len(came_from), _way_to(after, came_from))
                if not self.is_over(after):
                    todo.append(after)
        return Searched(len(came_from), None)


def _way_to(state: State, came_from: dict[State, tuple[State, str] | None]) -> tuple[str, ...]:
    labels = []
    while step := came_from[state]:
        state, label = step
        labels.append(label)
    return tuple(reversed(labels))
