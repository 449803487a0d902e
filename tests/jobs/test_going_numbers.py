"""A number that a release may have under way is handed to nobody until the release has settled what became of it."""

from collections.abc import Iterator
from typing import cast

import pytest
import redis

from didflow import Didflow
from didflow.contract.jobs import Job
from didflow.contract.requests import Release
from didflow.contract.states import JobState, Outcome, WaitReason
from tests.jobs.test_lent import ASKED, GRACE, LABEL, PARKING, PBX, outcomes, parked, play, reused
from tests.support.simulation.simulation import Attempt, Simulation


@pytest.fixture
def simulation(quick_valkey: redis.Redis) -> Iterator[Simulation]:
    simulation = Simulation(quick_valkey, reuse_label=LABEL)
    yield simulation
    simulation.close()


def spare(simulation: Simulation) -> str:
    """A number that waits in the pool."""
    (number,) = simulation.sandbox.order("seed_owned", count=1, label=LABEL)
    return f"+{number}"


def quarantine_is_over(simulation: Simulation) -> None:
    """As after a day."""
    key = simulation.ledger.keys.reserved("default")
    reserved = cast("dict[str, str]", simulation.ledger.client.hgetall(key))
    for number in (number for number, text in reserved.items() if text.startswith("quarantine|")):
        simulation.ledger.client.hdel(key, number)


def ordered(simulation: Simulation) -> list[str]:
    """What an order is given that comes now."""
    order = simulation.submit(ASKED)
    simulation.finish(order)
    assert simulation.view(order).state is JobState.SUCCEEDED
    return reused(simulation, order)


def unanswered(simulation: Simulation, number: str) -> Job:
    """A release whose call is under way and had no answer; a day has passed since."""
    leaving = simulation.submit(Release(numbers=(number,)))
    simulation.sandbox.fly("release")
    assert simulation.run(leaving).reason == WaitReason.RETRY
    quarantine_is_over(simulation)
    return leaving


def test_a_number_of_the_pool_whose_release_had_no_answer_is_given_to_nobody(simulation: Simulation) -> None:
    number = spare(simulation)
    leaving = unanswered(simulation, number)
    assert ordered(simulation) == []
    simulation.sandbox.land(0)
    simulation.finish(leaving)
    assert outcomes(simulation, leaving) == {number: Outcome.RELEASED}


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


def test_a_parked_release_keeps_it_until_somebody_has_looked_at_it(simulation: Simulation) -> None:
    number = spare(simulation)
    leaving = simulation.submit(Release(numbers=(number,)))
    simulation.sandbox.add_fault("release", "refuse", status=200, body={"success": True}, times=None)
    simulation.finish(leaving)
    assert simulation.view(leaving).state is JobState.NEEDS_REVIEW
    quarantine_is_over(simulation)
    assert ordered(simulation) == []
    Didflow(simulation.ledger.client, simulation.ledger.keys.namespace).resolve(leaving.id, ())
    assert not simulation.ledger.client.exists(f"{simulation.ledger.keys.namespace}:going:default")
    assert ordered(simulation) == [number]


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
