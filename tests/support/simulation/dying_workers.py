"""Workers that die at chosen points of an attempt, as `kill -9` would, and what came of the job that others finished."""

from contextlib import suppress
from dataclasses import dataclass

from didflow.contract.history import Happening
from didflow.contract.jobs import Job
from didflow.contract.states import REPORTED, JobState
from tests.support.simulation.simulation import ATTEMPTS_AT_MOST, Killed, Simulation


@dataclass
class Play:
    """A job in a fresh simulation."""

    simulation: Simulation
    job: Job

    def seen(self) -> tuple[object, ...]:
        """What came of it, for a comparison with an undisturbed run: how it ended, what is ours, where it goes, and what its history says.

        A number that an unclear checkout left behind is one more, with a history of its own.
        """
        ended, bought = self.simulation.view(self.job).state, len(self.simulation.sandbox.ledger())
        stories = ([entry.happened.what for entry in history.entries] for history in self.simulation.histories().values())
        return (
            ended,
            bought,
            sorted(self.simulation.routes().values()),
            sorted(story for story in stories if story != [Happening.NOT_BOUGHT]),
        )


class DyingWorkers:
    """Called at each point of every attempt, it lets the worker die at the points of these places, counted on after each death."""

    def __init__(self, *places: int) -> None:
        self._left = list(places)
        self.died: list[str] = []
        self.reached: list[str] = []

    def __call__(self, point: str) -> None:
        self.reached.append(point)
        if not self._left:
            return
        self._left[0] -= 1
        if self._left[0] < 0:
            del self._left[0]
            self.died.append(point)
            raise Killed(point)


def play_on(play: Play, workers: DyingWorkers) -> None:
    """Attempt after attempt until the job is reported; where a worker dies, its lease runs out and a sweeper sees it."""
    simulation, job, attempts = play.simulation, play.job, 0
    while simulation.view(job).state not in REPORTED:
        attempts += 1
        assert attempts < ATTEMPTS_AT_MOST, simulation.story(job)
        simulation.make_due(job)
        deaths = len(workers.died)
        with suppress(Killed):
            simulation.run(job, workers)
        if len(workers.died) > deaths:
            as_by_kill(play, workers.died[-1])


def as_by_kill(play: Play, point: str) -> None:
    """The ledger is as the last write left it: nobody caught the death and wrote it down."""
    state, name = play.simulation.view(play.job).state, point.partition(":")[2]
    if point == "before:claim":
        assert state in (JobState.QUEUED, JobState.WAITING)
    elif point in ("after:finish", "after:suspend"):
        assert state is not JobState.RUNNING
    else:
        assert state is JobState.RUNNING
        assert name.partition(".")[0] != "save" or play.simulation.story(play.job)[-1].count(f" {name.partition('.')[2]}:") == (
            point[0] == "a"
        )
    play.simulation.expire(play.job)
