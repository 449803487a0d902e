"""How far a job that moves numbers is, in counts."""

from collections.abc import Mapping
from dataclasses import dataclass

from didflow.contract.states import Outcome

_FAILED = frozenset({Outcome.REFUSED, Outcome.NOT_FOUND, Outcome.FAILED, Outcome.UNCLEAR, Outcome.CHANGED_ELSEWHERE, Outcome.PROTECTED})


@dataclass(frozen=True)
class Tally:
    """`selected` numbers; how many have which outcome. Those without one are still to be sent.

    `inactive` numbers take no calls until their documents are approved, wherever they are routed.

    Of a job of many numbers also its batches: `batches_running` are with a worker, of `batches` that haven't ended.
    """

    selected: int
    outcomes: Mapping[Outcome, int]
    batches: int = 0
    batches_running: int = 0
    inactive: int = 0

    def count(self, *which: Outcome) -> int:
        return sum(self.outcomes.get(outcome, 0) for outcome in which)

    @property
    def decided(self) -> int:
        """They have an outcome."""
        return sum(self.outcomes.values())

    @property
    def to_send(self) -> int:
        return self.selected - self.decided

    @property
    def accepted(self) -> int:
        """The provider said yes to them; confirmed ones among them."""
        return self.count(Outcome.ACCEPTED, Outcome.CONFIRMED)

    @property
    def confirmed(self) -> int:
        """They are where they should be: read back, or so from the start."""
        return self.count(Outcome.CONFIRMED, Outcome.UNCHANGED)

    @property
    def failed(self) -> int:
        return self.count(*_FAILED)
