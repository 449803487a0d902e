"""A failover and a release of the same number, both at it, and workers that die anywhere: the number ends where it should.

Whichever job goes first, dies, or is overtaken: a number that stays goes where the failover wanted it, and one that went was asked to go.
"""

from collections.abc import Callable
from contextlib import suppress

import pytest
import redis

from didflow.contract.jobs import Job
from didflow.contract.requests import Failback
from didflow.contract.states import REPORTED, JobState, Outcome, WaitReason
from tests.support.simulation.dying_workers import DyingWorkers
from tests.support.simulation.parked_releases import GRACE, away, goes_to, leaving, outcome
from tests.support.simulation.simulation import Killed, Simulation

#: Each test takes every n-th point; `make long` takes all.
STEP = 12


class Play:
    """A failover, submitted before the release or after it; `middle` happens as soon as the release has parked the number."""

    def __init__(self, server: redis.Redis, *, older: bool, middle: "Happens", workers: DyingWorkers) -> None:
        self.simulation = Simulation(server)
        (self.number,) = self.simulation.own(1)
        self.workers = workers
        first = self.simulation.submit(away([self.number])) if older else None
        self.release = self.simulation.submit(leaving(self.number))
        self.moving = first or self.simulation.submit(away([self.number]))
        self.back: Job | None = None
        self._middle: Happens | None = middle

    def play(self) -> "Play":
        for _ in range(60):
            jobs = [job for job in (self.release, self.moving, self.back) if job is not None]
            left = [job for job in jobs if self.simulation.view(job).state not in REPORTED]
            if not left:
                return self
            for job in left:
                self._attempt(job)
        raise AssertionError([self.simulation.story(job) for job in jobs])

    def _attempt(self, job: Job) -> None:
        if self.simulation.view(job).reason == WaitReason.GRACE:
            if self._middle is not None:
                happens, self._middle = self._middle, None
                happens(self)
            else:
                self.simulation.clock.pass_ms(int(GRACE.total_seconds() * 1000))
        self.simulation.make_due(job)
        with suppress(Killed):
            self.simulation.run(job, self.workers)
        self.simulation.expire(job)

    def cancel(self) -> None:
        self.simulation.cancel(self.release)

    def fail_back(self) -> None:
        self.back = self.simulation.submit(Failback(job_id=self.moving.id))

    def check(self, route: str | None) -> None:
        """Where the number is to be at the end; None: gone, or left where the newer failover brought it."""
        simulation = self.simulation
        route = route if self._middle is None else None  # A newer failover was quicker, so that the release has parked nothing.
        story = [simulation.story(job) for job in (self.release, self.moving)]
        assert simulation.view(self.release).state is not JobState.NEEDS_REVIEW, story
        assert simulation.view(self.moving).state is JobState.SUCCEEDED, story
        assert not simulation.ledger.client.exists(simulation.ledger.keys.parked("default")), story
        if self.number not in simulation.routes():
            assert outcome(simulation, self.release, self.number) is Outcome.RELEASED
            assert route is None
        else:
            assert goes_to(simulation, self.number) == (route or "backup"), story
        simulation.close()


Happens = Callable[[Play], None]


def nothing(play: Play) -> None:
    """It goes when its time comes."""


def cancelled(play: Play) -> None:
    play.cancel()


def failed_back(play: Play) -> None:
    play.fail_back()


def failed_back_and_cancelled(play: Play) -> None:
    play.fail_back()
    play.cancel()


@pytest.mark.parametrize(("first", "every"), [(3, STEP), pytest.param(0, 1, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("older", "middle", "route"),
    [
        (True, nothing, None),
        (True, cancelled, "backup"),
        (True, failed_back_and_cancelled, "old"),
        (False, nothing, None),
        (False, cancelled, "backup"),
        (False, failed_back, "old"),
        (False, failed_back_and_cancelled, "old"),
    ],
)
def test_wherever_a_worker_dies_the_number_ends_where_it_should(
    quick_valkey: redis.Redis, older: bool, middle: Happens, route: str | None, first: int, every: int
) -> None:
    undisturbed = DyingWorkers()
    Play(quick_valkey, older=older, middle=middle, workers=undisturbed).play().check(route)
    for place in range(first, len(undisturbed.reached), every):
        play = Play(quick_valkey, older=older, middle=middle, workers=DyingWorkers(place)).play()
        assert play.workers.died == [undisturbed.reached[place]]
        play.check(route)
