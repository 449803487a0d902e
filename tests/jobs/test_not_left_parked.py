"""Two jobs for one number, of which one has parked it: it isn't left there without a job that says so."""

from datetime import timedelta

import pytest
import redis

from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job
from didflow.contract.requests import Release, Reroute
from didflow.contract.states import JobState, WaitReason
from tests.support.simulation.lent_numbers import GRACE, LABEL, PARKING, PBX, all_to, ordered, parked, play, reused
from tests.support.simulation.simulation import Attempt, Simulation

OTHER = (Destination.sip("other@example.net"),)
A_MINUTE_MS = 60_000


@pytest.fixture
def simulation_settings() -> dict[str, object]:
    return {"reuse_label": LABEL}


def counting_down(simulation: Simulation, job: Job) -> None:
    """On until it waits for its time."""
    for _ in range(5):
        if simulation.view(job).reason != WaitReason.GRACE and not simulation.view(job).state.is_terminal:
            simulation.run(job)
            simulation.make_due(job)


def refused(simulation: Simulation, number: str) -> None:
    away = simulation.submit(Reroute(numbers=(number,), destinations=PBX))
    simulation.sandbox.add_fault("destinations", "refuse")
    simulation.finish(away)


def called_off(simulation: Simulation, number: str) -> None:
    away = Attempt(simulation, simulation.submit(Reroute(numbers=(number,), destinations=PBX)))
    away.to("after:claim_routes")
    away.kill()
    simulation.expire(away.job)
    simulation.cancel(away.job)
    simulation.finish(away.job)


@pytest.mark.parametrize("newer", [refused, called_off])
@pytest.mark.parametrize("stopped_by", ["a cancel", "calls"])
def test_a_newer_job_that_rerouted_nothing_still_leaves_a_job_that_brings_it_back(
    simulation: Simulation, newer: object, stopped_by: str
) -> None:
    assert callable(newer)
    (number,) = simulation.own(1)
    leaving = simulation.submit(Release(numbers=(number,), grace=timedelta(days=7), parking=PARKING))
    simulation.run(leaving)
    simulation.clock.pass_ms(A_MINUTE_MS)
    newer(simulation, number)
    if stopped_by == "calls":
        simulation.sandbox.order("set_number", number=number[1:], seconds=61)
        simulation.clock.pass_ms(25 * 3_600_000)
    else:
        simulation.cancel(leaving)
    simulation.finish(leaving)
    view = simulation.view(leaving)
    assert view.state is JobState.NEEDS_REVIEW
    assert view.error is not None
    assert view.error.code == "still_parked"


def test_a_parking_call_that_acts_late_does_not_take_the_route_of_the_next_holder(simulation: Simulation) -> None:
    (number,) = simulation.own(1)
    leaving = simulation.submit(Release(numbers=(number,), grace=GRACE, parking=PARKING, reusable=True))
    simulation.sandbox.fly("destinations")
    for _ in range(5):
        if simulation.view(leaving).reason != WaitReason.GRACE:
            simulation.run(leaving)
            simulation.ledger.client.hset(simulation.ledger.keys.job(leaving.id), "due_ms", "")
    order = ordered(simulation)
    simulation.run(order)
    assert simulation.view(order).reason == WaitReason.SETTLING
    simulation.sandbox.land(0)
    simulation.clock.pass_ms(20_000)
    simulation.finish(order)
    assert reused(simulation, order) == [number]
    assert simulation.routes() == all_to("pbx", [number])


@pytest.mark.parametrize("pays", [True, False])
def test_a_release_does_not_park_what_a_purchase_has(simulation: Simulation, pays: bool) -> None:
    leaving, numbers = parked(simulation)
    order = ordered(simulation, quantity=3)
    simulation.sandbox.order("set_balance", usd="0")
    assert simulation.run(order).reason == WaitReason.FUNDS
    other = simulation.submit(Release(numbers=tuple(numbers), grace=GRACE / 2, parking=OTHER))
    simulation.run(other)
    simulation.clock.pass_ms(int(GRACE.total_seconds() * 500))
    simulation.finish(other)
    if pays:
        simulation.sandbox.order("set_balance", usd="1000")
    else:
        simulation.cancel(order)
    simulation.finish(order)
    play(simulation, leaving)
    assert "other@example.net" not in {place for route in simulation.routes().values() for place in route}


def test_a_purchase_whose_attempts_are_over_says_what_is_still_parked(quick_valkey: redis.Redis) -> None:
    simulation = Simulation(quick_valkey, reuse_label=LABEL, batch_size=1, max_attempts=3)
    (number,) = simulation.own(1)
    leaving = simulation.submit(Release(numbers=(number,), grace=GRACE, parking=PARKING, reusable=True))
    simulation.run(leaving)
    order = Attempt(simulation, ordered(simulation, quantity=4, policy="best_effort"))
    order.to("after:check_out")
    simulation.sandbox.add_fault("cart_put", "drop", times=None)
    order.end()
    simulation.finish(order.job)
    view = simulation.view(order.job)
    assert simulation.routes()[number] == ["parked@example.net"]
    assert view.result is not None
    assert {one.number: one.error.code for one in view.result.numbers if one.error}[number] == "still_parked"
    simulation.close()


@pytest.mark.parametrize("second", [PARKING, OTHER])
@pytest.mark.parametrize("first", [0, 1])
def test_of_two_countdowns_the_first_alone_parks_and_brings_back(
    simulation: Simulation, second: tuple[Destination, ...], first: int
) -> None:
    (number,) = simulation.own(1)
    jobs = [simulation.submit(Release(numbers=(number,), grace=GRACE, parking=to)) for to in (PARKING, second)]
    for job in jobs:
        counting_down(simulation, job)
        simulation.clock.pass_ms(A_MINUTE_MS)
    assert simulation.routes() == all_to("parked", [number])
    for job in (jobs[first], jobs[1 - first]):
        simulation.cancel(job)
        if not simulation.view(job).state.is_terminal:
            simulation.finish(job)
        simulation.clock.pass_ms(A_MINUTE_MS)
    assert simulation.routes() == all_to("old", [number])
