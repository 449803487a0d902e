"""An incident: the jobs that moved its numbers away, and those that brought them back, as one thing."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from didflow.contract.states import REPORTED, JobState


class IncidentState(StrEnum):
    """Where an incident is. Public: others match on these words."""

    MOVING = "moving"  #: numbers are being moved away
    BRINGING_BACK = "bringing_back"  #: a failback is under way
    NEEDS_REVIEW = "needs_review"  #: one of its jobs waits for a person
    MOVED = "moved"  #: all that it means are where they should be
    PARTLY_MOVED = "partly_moved"  #: some are not
    NOTHING_MOVED = "nothing_moved"  #: none were moved


Part = Literal["move", "sweep", "failback"]
FailedBack = Literal["no", "running", "partly", "yes"]


@dataclass(frozen=True)
class IncidentJob:
    """One job of an incident, in counts of numbers.

    part        ``move``, the ``sweep`` after it, or a ``failback``
    undoes      the job that a failback brings back
    moved       went where the job sends them; of a failback: are back
    unchanged   were there already
    left_alone  they were changed since, a newer job has them, or they are gone
    failed      the provider refused them, or never showed the change
    left        have not been sent
    batches, batches_running   of a large job that hasn't ended
    rate_per_s  numbers that got an outcome, since the job began; 0 once it has ended
    """

    id: str
    part: Part
    undoes: str | None
    account: str
    state: JobState
    reason: str | None
    actor: str | None
    submitted: datetime
    numbers: int
    moved: int
    unchanged: int
    left_alone: int
    failed: int
    left: int
    batches: int = 0
    batches_running: int = 0
    rate_per_s: float = 0.0
    called_off: bool = False
    error: str | None = None

    @property
    def goes_on(self) -> bool:
        """Whether it has neither ended nor been parked."""
        return self.state not in REPORTED

    @property
    def is_done_with(self) -> bool:
        """Of a failback: whether nothing is left that another one could bring back."""
        if self.state is JobState.SUCCEEDED or self.error == "nothing_to_fail_back":
            return True
        return self.state.is_terminal and self.numbers > 0 and not self.failed and not self.left


@dataclass(frozen=True)
class Incident:
    """An incident as a whole. Counts are of its moves and sweeps, or, while it is brought back, `back` of `moved`.

    began      when its first job was submitted
    left       numbers that the present jobs have still to send; `left_s`: about how long that takes, None if that can't be said
    back       numbers that a failback has brought back
    """

    name: str
    began: datetime
    state: IncidentState
    failed_back: FailedBack
    numbers: int
    moved: int
    failed: int
    left: int
    back: int
    rate_per_s: float
    left_s: float | None
    jobs: tuple[IncidentJob, ...]

    @property
    def goes_on(self) -> bool:
        """Whether any of its jobs does."""
        return any(job.goes_on for job in self.jobs)
