"""Schedules of a failover and a release of the same number, which the rules of parking pass and weaker ones don't."""

from collections.abc import Callable

from didflow.contract.jobs import Job
from didflow.contract.states import REPORTED, JobState, Outcome
from tests.support.simulation.parked_releases import (
    BACKUP,
    OTHER,
    away,
    counting_down,
    goes_to,
    leaving,
    outcome,
    reported,
)
from tests.support.simulation.simulation import Attempt, Simulation


def called_off(simulation: Simulation, job: Job) -> None:
    simulation.cancel(job)
    simulation.finish(job)


def held_by_a_503(simulation: Simulation, job: Job) -> None:
    simulation.sandbox.add_fault("destinations", "refuse", status=503)
    assert simulation.run(job).state not in REPORTED


def not_begun(simulation: Simulation, job: Job) -> None:
    """It waits behind a backlog."""


def failover_waits_while_a_release_is_called_off(simulation: Simulation, held: Callable[[Simulation, Job], None], first: str) -> None:
    numbers = simulation.own(3)
    moving = simulation.submit(away(numbers))
    held(simulation, moving)
    simulation.clock.pass_ms(1000)
    release = counting_down(simulation, leaving(numbers[0]))
    assert goes_to(simulation, numbers[0]) == "parked"
    if first == "the reroute ends":
        simulation.finish(moving)
        assert simulation.view(moving).state is JobState.SUCCEEDED
        assert outcome(simulation, moving, numbers[0]) is Outcome.SUPERSEDED
        assert goes_to(simulation, numbers[0]) == "parked", "the release has it"
        error = reported(simulation, moving)[numbers[0]].error
        assert error is not None
        assert error.code == "parked"
        assert simulation.view(moving).error is None
    called_off(simulation, release)
    simulation.finish(moving)
    assert simulation.view(release).state is JobState.CANCELLED
    assert {goes_to(simulation, number) for number in numbers} == {"backup"}


def failover_goes_on_while_the_release_is_wound_up(simulation: Simulation, point: str, dies: bool) -> None:
    (number,) = simulation.own(1)
    moving = simulation.submit(away([number]))
    held_by_a_503(simulation, moving)
    job = counting_down(simulation, leaving(number))
    simulation.clock.pass_ms(60_000)
    simulation.cancel(job)
    release = Attempt(simulation, job)
    release.to(point)
    simulation.finish(moving)
    if dies:
        release.kill()
        simulation.expire(job)
    else:
        release.end()
    simulation.finish(job, moving)
    assert goes_to(simulation, number) == "backup"
    assert simulation.view(job).state is JobState.CANCELLED


def two_failovers_wait(simulation: Simulation) -> None:
    (number,) = simulation.own(1)
    older, newer = (simulation.submit(away([number], to)) for to in (OTHER, BACKUP))
    release = counting_down(simulation, leaving(number))
    simulation.finish(newer)
    simulation.finish(older)
    called_off(simulation, release)
    assert goes_to(simulation, number) == "backup"
