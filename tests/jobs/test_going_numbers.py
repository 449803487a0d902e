"""A number that a release may have under way is handed to nobody until the release has settled what became of it."""

import pytest

from didflow.contract.requests import Release
from didflow.contract.states import JobState, Outcome
from tests.support.simulation.going_number_schedules import (
    ordered,
    parked_release_keeps_its_number,
    pool_number_with_an_unanswered_release,
    quarantine_is_over,
    spare,
    unanswered,
)
from tests.support.simulation.lent_numbers import GRACE, LABEL, PARKING, PBX, outcomes, parked, play
from tests.support.simulation.simulation import Attempt, Simulation


@pytest.fixture
def simulation_settings() -> dict[str, object]:
    return {"reuse_label": LABEL}


def test_a_pool_number_whose_release_had_no_answer_is_given_to_no_job(simulation: Simulation) -> None:
    pool_number_with_an_unanswered_release(simulation)


def test_a_parked_number_that_another_release_has_under_way_is_not_lent(simulation: Simulation) -> None:
    lender, numbers = parked(simulation)
    gone, other = numbers
    leaving = unanswered(simulation, gone)
    assert ordered(simulation) == [other]
    simulation.sandbox.land(0)
    simulation.finish(leaving)
    assert outcomes(simulation, leaving) == {gone: Outcome.RELEASED}
    play(simulation, lender)
    assert outcomes(simulation, lender) == {gone: Outcome.ALREADY_RELEASED, other: Outcome.SUPERSEDED}


def test_it_is_marked_before_the_call_however_long_the_worker_sleeps_in_between(simulation: Simulation) -> None:
    number = spare(simulation)
    leaving = Attempt(simulation, simulation.submit(Release(numbers=(number,))))
    leaving.to("after:quarantine")
    quarantine_is_over(simulation)
    assert ordered(simulation) == []
    leaving.end()
    assert outcomes(simulation, leaving.job) == {number: Outcome.RELEASED}


def test_a_parked_release_keeps_it_until_a_person_has_looked_at_it(simulation: Simulation) -> None:
    parked_release_keeps_its_number(simulation)


def test_one_that_stays_may_be_given_out_again(simulation: Simulation) -> None:
    number = spare(simulation)
    leaving = simulation.submit(Release(numbers=(number,)))
    simulation.sandbox.add_fault("release", "refuse", times=None)
    simulation.finish(leaving)
    assert outcomes(simulation, leaving) == {number: Outcome.REFUSED}
    quarantine_is_over(simulation)
    assert ordered(simulation) == [number]


def test_one_that_was_called_off_before_its_call_may_be_given_out_again(simulation: Simulation) -> None:
    number = spare(simulation)
    leaving = Attempt(simulation, simulation.submit(Release(numbers=(number,), grace=GRACE, parking=PARKING)))
    leaving.end()
    simulation.clock.pass_ms(int(GRACE.total_seconds() * 1000))
    simulation.make_due(leaving.job)
    leaving = Attempt(simulation, leaving.job)
    leaving.to("after:quarantine")
    simulation.cancel(leaving.job)
    leaving.end()
    simulation.finish(leaving.job)
    assert simulation.view(leaving.job).state is JobState.CANCELLED
    quarantine_is_over(simulation)
    assert ordered(simulation) == [number]
    assert simulation.routes()[number] == [PBX[0].destination]
