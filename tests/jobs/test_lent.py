"""A number that a release has parked may be assigned to a purchase: at any moment exactly one job has it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import redis

from didflow import Didflow
from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job
from didflow.contract.requests import Release, Reroute
from didflow.contract.states import JobState, Outcome, WaitReason
from didflow.ledger.number_holders import held_for
from didflow.ledger.number_pool import handed_out
from producers.churn import Churn
from tests.support.simulation.dying_workers import DyingWorkers
from tests.support.simulation.lent_numbers import ASKED, GRACE, LABEL, PARKING, all_to, ordered, outcomes, parked, play, reused
from tests.support.simulation.simulation import Attempt, Simulation

#: More than the city has: with all or nothing it comes to nothing.
TOO_MANY = 50
#: Each test takes every n-th point; `make long` takes all.
STEP = 16


@pytest.fixture
def simulation_settings() -> dict[str, object]:
    return {"reuse_label": LABEL}


def bought(simulation: Simulation) -> int:
    return len(simulation.sandbox.ledger())


def test_a_parked_number_is_handed_out_and_its_release_says_so(simulation: Simulation) -> None:
    leaving, numbers = parked(simulation)
    order = ordered(simulation)
    simulation.finish(order)
    (mine,) = reused(simulation, order)
    assert bought(simulation) == 0
    play(simulation, leaving)
    (other,) = set(numbers) - {mine}
    assert outcomes(simulation, leaving) == {mine: Outcome.SUPERSEDED, other: Outcome.RELEASED}
    result = simulation.view(leaving).result
    assert result is not None
    assert {one.error.code for one in result.numbers if one.error} == {"handed_out"}
    assert simulation.routes() == {mine: ["pbx@example.net"]}


def test_called_off_afterwards_the_release_brings_back_only_the_others(simulation: Simulation) -> None:
    leaving, numbers = parked(simulation)
    order = ordered(simulation)
    simulation.finish(order)
    (mine,) = reused(simulation, order)
    simulation.cancel(leaving)
    play(simulation, leaving)
    (other,) = set(numbers) - {mine}
    assert simulation.view(leaving).state is JobState.CANCELLED
    assert outcomes(simulation, leaving) == {mine: Outcome.SUPERSEDED, other: Outcome.CONFIRMED}
    assert simulation.routes() == {mine: ["pbx@example.net"], other: ["old@example.net"]}


def test_it_is_lent_only_to_a_purchase_that_its_release_allows(simulation: Simulation) -> None:
    """Not by a release that didn't say so, not without a new route, not with the last customer's callback, not if someone has moved it."""
    parked(simulation, reusable=False)
    one, other = simulation.own(2)
    leaving = simulation.submit(Release(numbers=(one, other), grace=GRACE, parking=PARKING, reusable=True))
    simulation.run(leaving)
    for order in (ordered(simulation, reuse=False), ordered(simulation, destinations=())):
        simulation.finish(order)
        assert not reused(simulation, order)
    simulation.sandbox.order("set_number", number=one[1:], sms_relay_url="https://last-customer.example.net/sms")
    simulation.sandbox.order(
        "set_destinations", number=other[1:], destinations=[{"transport": 1, "destination": "x@example.net", "priority": 1}]
    )
    order = ordered(simulation)
    simulation.finish(order)
    assert not reused(simulation, order)


def test_a_release_that_was_called_off_or_runs_lends_nothing(simulation: Simulation) -> None:
    leaving, _ = parked(simulation)
    order = Attempt(simulation, ordered(simulation))
    order.to("before:hand_out")
    simulation.cancel(leaving)
    order.end()
    assert not reused(simulation, order.job)
    play(simulation, leaving)
    assert set(outcomes(simulation, leaving).values()) == {Outcome.CONFIRMED}
    leaving, numbers = parked(simulation)
    late = Attempt(simulation, ordered(simulation))
    late.to("before:hand_out")
    simulation.clock.pass_ms(int(GRACE.total_seconds() * 1000))
    simulation.make_due(leaving)
    at_it = Attempt(simulation, leaving)
    at_it.to("after:claim")
    late.end()
    assert not reused(simulation, late.job)
    at_it.end()
    assert outcomes(simulation, leaving) == dict.fromkeys(numbers, Outcome.RELEASED)


def test_a_purchase_that_comes_to_nothing_gives_it_back_to_its_release(simulation: Simulation) -> None:
    leaving, numbers = parked(simulation)
    order = ordered(simulation, quantity=TOO_MANY)
    simulation.finish(order)
    assert (simulation.view(order).state, bought(simulation)) == (JobState.FAILED, 0)
    simulation.cancel(leaving)
    play(simulation, leaving)
    assert outcomes(simulation, leaving) == dict.fromkeys(numbers, Outcome.CONFIRMED)
    assert simulation.routes() == all_to("old", numbers)


@pytest.mark.parametrize("called_off", [False, True])
def test_a_release_waits_for_what_a_purchase_may_yet_give_back(simulation: Simulation, called_off: bool) -> None:
    leaving, numbers = parked(simulation)
    order = ordered(simulation, quantity=3)
    simulation.sandbox.order("set_balance", usd="0")
    assert simulation.run(order).reason == WaitReason.FUNDS
    if called_off:
        simulation.cancel(leaving)
    simulation.clock.pass_ms(int(GRACE.total_seconds() * 1000))
    simulation.make_due(leaving)
    assert simulation.run(leaving).reason == WaitReason.DEPENDS
    assert simulation.routes() == all_to("parked", numbers)
    simulation.cancel(order)
    simulation.finish(order)
    assert simulation.view(order).state is JobState.CANCELLED
    play(simulation, leaving)
    assert outcomes(simulation, leaving) == dict.fromkeys(numbers, Outcome.CONFIRMED if called_off else Outcome.RELEASED)
    assert simulation.routes() == (all_to("old", numbers) if called_off else {})


def test_called_off_when_it_has_them_a_purchase_leaves_nothing_parked(simulation: Simulation) -> None:
    leaving, _ = parked(simulation)
    buying = Attempt(simulation, ordered(simulation, quantity=2))
    buying.to("before:claim_routes")
    buying.kill()
    simulation.expire(buying.job)
    simulation.cancel(buying.job)
    simulation.finish(buying.job)
    mine = reused(simulation, buying.job)
    assert len(mine) == 2
    assert simulation.routes() == all_to("pbx", mine)
    play(simulation, leaving)
    assert outcomes(simulation, leaving) == dict.fromkeys(mine, Outcome.SUPERSEDED)


def test_what_was_asked_of_it_before_does_not_take_its_route_away(simulation: Simulation) -> None:
    """The order is older than the release, and than a reroute that hasn't run."""
    order = ordered(simulation)
    buying = Attempt(simulation, order)
    buying.to("after:claim")
    leaving, numbers = parked(simulation)
    old = simulation.submit(Reroute(numbers=tuple(numbers), destinations=(Destination.sip("late@example.net"),)))
    buying.end()
    (mine,) = reused(simulation, order)
    simulation.finish(old)
    assert outcomes(simulation, old)[mine] is Outcome.SUPERSEDED
    assert simulation.routes()[mine] == ["pbx@example.net"]
    simulation.cancel(leaving)
    play(simulation, leaving)
    assert simulation.routes()[mine] == ["pbx@example.net"]


def test_one_that_is_called_while_it_is_looked_at_is_not_lent(simulation: Simulation) -> None:
    """Its release still waits, for the other one."""
    leaving, (called, quiet) = parked(simulation, grace=timedelta(days=7))
    late = Attempt(simulation, ordered(simulation, quantity=2, policy="best_effort"))
    late.to("before:hand_out")
    simulation.sandbox.order("set_number", number=called[1:], seconds=61)
    simulation.clock.pass_ms(int(timedelta(hours=25).total_seconds() * 1000))
    simulation.make_due(leaving)
    assert simulation.run(leaving).reason == WaitReason.GRACE
    late.end()
    assert not reused(simulation, late.job), "its release has read both since"
    assert simulation.routes()[called] == ["old@example.net"]
    order = ordered(simulation)
    simulation.finish(order)
    assert reused(simulation, order) == [quiet]


def test_it_is_the_new_customers_from_then_on(simulation: Simulation) -> None:
    """The last one's next release, or return, doesn't mean it."""
    first = simulation.submit(ASKED.model_copy(update={"reuse": False}), reference="acme")
    simulation.finish(first)
    (number,) = outcomes(simulation, first)
    simulation.ledger.client.delete(simulation.ledger.keys.reserved("default"))  # A day has passed since.
    leaving = simulation.submit(Release(numbers=(number,), grace=GRACE, parking=PARKING, reusable=True), reference="acme")
    assert simulation.run(leaving).reason == WaitReason.SETTLING, "a list may be older than the purchase's route"
    simulation.clock.pass_ms(10_000)
    simulation.make_due(leaving)
    assert simulation.run(leaving).reason == WaitReason.GRACE
    back = simulation.submit(ASKED.model_copy(update={"quantity": TOO_MANY}), reference="nobody")
    simulation.finish(back)
    assert simulation.ledger.perform(held_for(simulation.ledger.keys, "acme")) == (number,), "it came back"
    simulation.run(leaving)
    order = simulation.submit(ASKED, reference="umbrella")
    simulation.finish(order)
    assert reused(simulation, order) == [number]
    assert simulation.ledger.perform(held_for(simulation.ledger.keys, "acme")) == ()
    assert simulation.ledger.perform(held_for(simulation.ledger.keys, "umbrella")) == (number,)
    play(simulation, leaving)
    returned = Churn(Didflow(simulation.ledger.client, simulation.ledger.keys.namespace)).returned("acme")
    assert (returned.outcome, returned.gone) == ("gone", (number,))
    again = simulation.submit(Release(numbers=(number,), expected_reference="acme"))
    simulation.finish(again)
    assert outcomes(simulation, again) == {number: Outcome.PROTECTED}


def settled(simulation: Simulation, order: Job, leaving: Job, numbers: list[str], *, called_off: bool, may_be_late: bool) -> None:
    """Each number is where one job says, whichever worker died. `may_be_late`: the release may have ended before its cancel."""
    reported, mine, routes = outcomes(simulation, leaving), reused(simulation, order), simulation.routes()
    assert simulation.view(order).state in (JobState.SUCCEEDED, JobState.FAILED)
    assert simulation.view(leaving).state is not JobState.NEEDS_REVIEW, simulation.story(leaving)
    for number in numbers:
        if number in mine:
            assert (reported[number], routes[number]) == (Outcome.SUPERSEDED, ["pbx@example.net"])
        elif reported[number] is Outcome.CONFIRMED:
            assert (called_off, routes[number]) == (True, ["old@example.net"])
        else:
            assert reported[number] is Outcome.RELEASED
            assert number not in routes
            assert not called_off or may_be_late
    assert {one.number for one in simulation.ledger.perform(handed_out(simulation.ledger.keys, "default"))} == set(mine)
    assert not simulation.ledger.client.exists(simulation.ledger.keys.offered("default"))


Played = Callable[[Simulation, Job, Job, DyingWorkers], None]


def order_first(simulation: Simulation, order: Job, leaving: Job, workers: DyingWorkers) -> None:
    play(simulation, order, workers=workers)
    play(simulation, leaving)


def order_in_between(simulation: Simulation, order: Job, leaving: Job, workers: DyingWorkers) -> None:
    """The release is at it while the order is: whichever worker dies, the other one continues."""
    play(simulation, order, leaving, workers=workers)


def release_dies(simulation: Simulation, order: Job, leaving: Job, workers: DyingWorkers) -> None:
    play(simulation, order, workers=Workers(None, lambda: workers("after:hand_out")))
    play(simulation, leaving, workers=workers)


class Workers(DyingWorkers):
    """They die at a place; and as soon as a number is assigned something else happens."""

    def __init__(self, place: int | None, then: Callable[[], None]) -> None:
        super().__init__(*([] if place is None else [place]))
        self._then: Callable[[], None] | None = then

    def __call__(self, point: str) -> None:
        if point == "after:hand_out" and self._then:
            then, self._then = self._then, None
            then()
        super().__call__(point)


def played(server: redis.Redis, how: Played, quantity: int, called_off: bool, place: int | None) -> Workers:
    """From the parking to both jobs' ends. What must hold does."""
    simulation = Simulation(server, reuse_label=LABEL)
    leaving, numbers = parked(simulation)
    order = ordered(simulation, quantity=quantity)
    workers = Workers(place, (lambda: simulation.cancel(leaving)) if called_off else lambda: None)
    how(simulation, order, leaving, workers)
    settled(simulation, order, leaving, numbers, called_off=called_off, may_be_late=how is order_in_between)
    simulation.close()
    return workers


@pytest.mark.parametrize(("first", "every"), [(5, STEP), pytest.param(0, 1, marks=pytest.mark.long)])
@pytest.mark.parametrize("called_off", [False, True])
@pytest.mark.parametrize("quantity", [1, 3, TOO_MANY])
@pytest.mark.parametrize("how", [order_first, order_in_between, release_dies])
def test_wherever_a_worker_dies_each_number_is_one_jobs(
    quick_valkey: redis.Redis, how: Played, quantity: int, called_off: bool, first: int, every: int
) -> None:
    undisturbed = played(quick_valkey, how, quantity, called_off, None)
    for place in range((first + quantity) % every, len(undisturbed.reached), every):
        assert played(quick_valkey, how, quantity, called_off, place).died == [undisturbed.reached[place]]
