"""Schedules of a number that may be going, which nobody else may get meanwhile."""

from typing import cast

from didflow import Didflow
from didflow.contract.jobs import Job
from didflow.contract.requests import Release
from didflow.contract.states import JobState, Outcome, WaitReason
from didflow.ledger.reservations import Reservation
from tests.support.simulation.lent_numbers import ASKED, LABEL, outcomes, reused
from tests.support.simulation.simulation import Simulation


def spare(simulation: Simulation) -> str:
    """A number that waits in the pool."""
    (number,) = simulation.sandbox.order("seed_owned", count=1, label=LABEL)
    return f"+{number}"


def quarantine_is_over(simulation: Simulation) -> None:
    """As after a day."""
    key = simulation.ledger.keys.reserved("default")
    reserved = cast("dict[str, str]", simulation.ledger.client.hgetall(key))
    for number in (number for number, text in reserved.items() if Reservation.model_validate_json(text).holder == "quarantine"):
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


def pool_number_with_an_unanswered_release(simulation: Simulation) -> None:
    number = spare(simulation)
    leaving = unanswered(simulation, number)
    assert ordered(simulation) == []
    simulation.sandbox.land(0)
    simulation.finish(leaving)
    assert outcomes(simulation, leaving) == {number: Outcome.RELEASED}


def parked_release_keeps_its_number(simulation: Simulation) -> None:
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
