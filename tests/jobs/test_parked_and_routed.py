"""A release has a number parked, and other jobs route it meanwhile: what they requested isn't lost, whatever becomes of the release."""

import time
from collections.abc import Callable
from typing import cast

import pytest
import redis

from didflow.contract.jobs import Job
from didflow.contract.requests import Failback, Reroute, SearchAndBuy, Selector
from didflow.contract.states import REPORTED, JobState, Outcome, WaitReason
from didflow.ledger import script_calls
from tests.support.inline_worker import SETTLE_S, InlineWorker
from tests.support.simulation.parked_and_routed_schedules import (
    called_off,
    failover_goes_on_while_the_release_is_wound_up,
    failover_waits_while_a_release_is_called_off,
    held_by_a_503,
    not_begun,
    two_failovers_wait,
)
from tests.support.simulation.parked_releases import (
    BACKUP,
    GRACE,
    OTHER,
    away,
    counting_down,
    goes_to,
    leaving,
    on_to_its_grace,
    outcome,
    reported,
)
from tests.support.simulation.simulation import Attempt, Simulation

# An older routing that hasn't ended


def unanswered(simulation: Simulation, job: Job) -> None:
    """Its call is done, and it doesn't know."""
    simulation.sandbox.add_fault("destinations", "act_and_drop")
    assert simulation.run(job).reason == WaitReason.RETRY


def lost_on_its_way(simulation: Simulation, job: Job) -> None:
    simulation.sandbox.add_fault("destinations", "drop")
    assert simulation.run(job).reason == WaitReason.RETRY


HELD: list[Callable[[Simulation, Job], None]] = [held_by_a_503, not_begun, unanswered, lost_on_its_way]


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("first", ["the reroute ends", "the release ends"])
def test_a_failover_that_waits_is_not_lost_to_a_release_that_is_called_off(
    simulation: Simulation, held: Callable[[Simulation, Job], None], first: str
) -> None:
    failover_waits_while_a_release_is_called_off(simulation, held, first)


@pytest.mark.parametrize("held", HELD)
def test_what_the_failover_asked_for_keeps_no_number_from_going(simulation: Simulation, held: Callable[[Simulation, Job], None]) -> None:
    numbers = simulation.own(2)
    moving = simulation.submit(away(numbers))
    held(simulation, moving)
    release = counting_down(simulation, leaving(numbers[0]))
    simulation.finish(moving)
    simulation.clock.pass_ms(int(GRACE.total_seconds() * 1000))
    simulation.finish(release)
    assert outcome(simulation, release, numbers[0]) is Outcome.RELEASED
    assert simulation.routes() == {numbers[1]: ["backup@example.net"]}
    assert not simulation.ledger.client.exists(simulation.ledger.keys.parked("default"))


def test_one_that_stays_because_it_is_called_goes_where_the_failover_wanted_it(simulation: Simulation) -> None:
    (number,) = simulation.own(1)
    moving = simulation.submit(away([number]))
    held_by_a_503(simulation, moving)
    release = counting_down(simulation, leaving(number))
    simulation.finish(moving)
    simulation.sandbox.order("set_number", number=number[1:], seconds=61)
    simulation.clock.pass_ms(25 * 3_600_000)
    simulation.finish(release)
    assert outcome(simulation, release, number) is Outcome.IN_USE
    assert goes_to(simulation, number) == "backup"


POINTS = ["after:claim_routes", "before:save.grace_began", "before:set_route", "before:save.parked"]
WAYS_BACK = ["before:save.called_off", "before:save.ways_back", "before:set_route", "after:set_route", "before:save.stays", "before:finish"]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("dies", [False, True])
def test_the_failover_may_go_on_while_the_numbers_are_being_parked(simulation: Simulation, point: str, dies: bool) -> None:
    (number,) = simulation.own(1)
    moving = simulation.submit(away([number]))
    release = Attempt(simulation, simulation.submit(leaving(number)))
    release.to(point)
    simulation.finish(moving)
    if dies:
        release.kill()
        simulation.expire(release.job)
    else:
        release.end()
    on_to_its_grace(simulation, release.job)
    called_off(simulation, release.job)
    assert goes_to(simulation, number) == "backup"


@pytest.mark.parametrize("point", WAYS_BACK)
@pytest.mark.parametrize("dies", [False, True])
def test_the_failover_may_go_on_while_the_release_is_wound_up(simulation: Simulation, point: str, dies: bool) -> None:
    failover_goes_on_while_the_release_is_wound_up(simulation, point, dies)


def test_called_off_before_it_is_parked_it_goes_where_the_failover_wants_it(simulation: Simulation) -> None:
    (number,) = simulation.own(1)
    moving = simulation.submit(away([number]))
    release = Attempt(simulation, simulation.submit(leaving(number)))
    release.to("before:save.grace_began")
    simulation.finish(moving)
    assert outcome(simulation, moving, number) is Outcome.SUPERSEDED
    release.kill()
    simulation.expire(release.job)
    called_off(simulation, release.job)
    assert goes_to(simulation, number) == "backup"


def test_one_that_can_not_be_parked_goes_where_the_failover_wants_it(simulation: Simulation) -> None:
    (number,) = simulation.own(1)
    moving = simulation.submit(away([number]))
    release = Attempt(simulation, simulation.submit(leaving(number)))
    release.to("before:set_route")
    simulation.finish(moving)
    simulation.sandbox.add_fault("destinations", "refuse")
    release.end()
    simulation.finish(release.job)
    assert outcome(simulation, release.job, number) is Outcome.REFUSED
    assert goes_to(simulation, number) == "backup"


def test_of_two_failovers_that_wait_the_newer_one_is_what_it_gets(simulation: Simulation) -> None:
    two_failovers_wait(simulation)


def test_after_the_release_an_older_failover_than_the_newest_is_still_superseded(simulation: Simulation) -> None:
    (number,) = simulation.own(1)
    older, newer = (simulation.submit(away([number], to)) for to in (OTHER, BACKUP))
    simulation.finish(newer)
    simulation.clock.pass_ms(60_000)
    called_off(simulation, counting_down(simulation, leaving(number)))
    simulation.finish(older)
    assert outcome(simulation, older, number) is Outcome.SUPERSEDED
    assert goes_to(simulation, number) == "backup"


def test_a_list_that_is_older_than_the_failover_is_not_taken_for_the_old_route(inline: InlineWorker) -> None:
    (number,) = inline.own(1)
    time.sleep(SETTLE_S)  # The number must be older than the lag below.
    inline.run(away([number]))
    inline.sandbox.order("reconfigure", read_lag_s=SETTLE_S * 0.9)
    release = inline.submit(leaving(number))
    while inline.attempt(release).reason != WaitReason.GRACE:
        inline.wait_until_due(release)
    assert inline.routes() == {number: ["parked@example.net"]}
    inline.ledger.run(script_calls.cancel(release.id))
    inline.finish(release)
    assert inline.routes() == {number: ["backup@example.net"]}


def test_a_purchase_whose_routing_waits_gives_its_number_its_route_when_the_release_is_called_off(simulation: Simulation) -> None:
    order = simulation.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), destinations=BACKUP))
    buying = Attempt(simulation, order)
    buying.to("before:claim_routes")
    (number,) = simulation.routes()
    release = counting_down(simulation, leaving(number))
    buying.end()
    simulation.finish(order)
    assert goes_to(simulation, number) == "parked"
    called_off(simulation, release)
    assert goes_to(simulation, number) == "backup"


# A newer routing


@pytest.mark.parametrize("when", ["still counts down", "is called off in between", "is called off after it"])
def test_the_failback_of_a_parked_number_brings_its_own_route(simulation: Simulation, when: str) -> None:
    (number,) = simulation.own(1)
    release = counting_down(simulation, leaving(number))
    simulation.clock.pass_ms(60_000)
    moving = simulation.submit(away([number]))
    simulation.finish(moving)
    assert goes_to(simulation, number) == "backup"
    if when == "is called off in between":
        called_off(simulation, release)
    back = simulation.submit(Failback(job_id=moving.id))
    simulation.finish(back)
    if when == "is called off after it":
        called_off(simulation, release)
    assert goes_to(simulation, number) == "old"
    assert outcome(simulation, back, number) is Outcome.CONFIRMED


def test_a_failback_while_it_is_parked_is_what_it_gets_when_it_stays(simulation: Simulation) -> None:
    numbers = simulation.own(2)
    moving = simulation.submit(away(numbers))
    simulation.finish(moving)
    simulation.clock.pass_ms(60_000)
    release = counting_down(simulation, leaving(numbers[0]))
    back = simulation.submit(Failback(job_id=moving.id))
    simulation.finish(back)
    assert simulation.view(back).state is JobState.SUCCEEDED
    assert outcome(simulation, back, numbers[0]) is Outcome.SUPERSEDED
    assert goes_to(simulation, numbers[0]) == "parked"
    called_off(simulation, release)
    assert {goes_to(simulation, number) for number in numbers} == {"old"}


def test_a_failback_of_what_a_release_only_has_noted(simulation: Simulation) -> None:
    """The failover's wish is noted, and then taken back."""
    numbers = simulation.own(2)
    moving = simulation.submit(away(numbers))
    held_by_a_503(simulation, moving)
    release = counting_down(simulation, leaving(numbers[0]))
    simulation.finish(moving)
    simulation.clock.pass_ms(60_000)
    back = simulation.submit(Failback(job_id=moving.id))
    simulation.finish(back)
    called_off(simulation, release)
    assert {goes_to(simulation, number) for number in numbers} == {"old"}


def test_a_failback_that_meets_a_release_that_lets_go_looks_again(simulation: Simulation) -> None:
    (number,) = simulation.own(1)
    moving = simulation.submit(away([number]))
    simulation.finish(moving)
    simulation.clock.pass_ms(60_000)
    release = counting_down(simulation, leaving(number))
    simulation.clock.pass_ms(60_000)
    back = Attempt(simulation, simulation.submit(Failback(job_id=moving.id)))
    back.to("before:want_routes")
    called_off(simulation, release)
    assert goes_to(simulation, number) == "backup"
    back.end()
    simulation.finish(back.job)
    assert goes_to(simulation, number) == "old"


OLD = Selector(destination="old@example.net")


def test_a_failover_from_the_dead_route_reaches_what_is_parked_if_it_stays(simulation: Simulation) -> None:
    numbers = simulation.own(3)
    release = counting_down(simulation, leaving(*numbers[:2]))
    simulation.clock.pass_ms(60_000)
    moving = simulation.submit(Reroute(selector=OLD, destinations=BACKUP))
    simulation.finish(moving)
    assert {number: outcome(simulation, moving, number) for number in numbers} == {
        numbers[0]: Outcome.SUPERSEDED,
        numbers[1]: Outcome.SUPERSEDED,
        numbers[2]: Outcome.CONFIRMED,
    }
    assert [goes_to(simulation, number) for number in numbers] == ["parked", "parked", "backup"]
    called_off(simulation, release)
    assert {goes_to(simulation, number) for number in numbers} == {"backup"}
    back = simulation.submit(Failback(job_id=moving.id))
    simulation.finish(back)
    assert {goes_to(simulation, number) for number in numbers} == {"old"}


def test_a_failback_takes_back_what_such_a_failover_asked_for(simulation: Simulation) -> None:
    numbers = simulation.own(2)
    release = counting_down(simulation, leaving(numbers[0]))
    moving = simulation.submit(Reroute(selector=OLD, destinations=BACKUP))
    simulation.finish(moving)
    simulation.clock.pass_ms(60_000)
    simulation.finish(simulation.submit(Failback(job_id=moving.id)))
    assert [goes_to(simulation, number) for number in numbers] == ["parked", "old"]
    called_off(simulation, release)
    assert {goes_to(simulation, number) for number in numbers} == {"old"}


def test_where_all_are_parked_there_is_something_to_do_all_the_same(simulation: Simulation) -> None:
    (number,) = simulation.own(1)
    release = counting_down(simulation, leaving(number))
    moving = simulation.submit(Reroute(selector=OLD, destinations=BACKUP))
    simulation.finish(moving)
    assert (simulation.view(moving).state, outcome(simulation, moving, number)) == (JobState.SUCCEEDED, Outcome.SUPERSEDED)
    called_off(simulation, release)
    assert goes_to(simulation, number) == "backup"


def test_a_failover_that_a_guard_holds_asks_for_nothing(simulation: Simulation) -> None:
    numbers = simulation.own(2)
    release = counting_down(simulation, leaving(numbers[0]))
    moving = simulation.submit(Reroute(selector=OLD, destinations=BACKUP, expected_count=2))
    simulation.finish(moving)
    assert simulation.view(moving).state is JobState.FAILED
    called_off(simulation, release)
    assert {goes_to(simulation, number) for number in numbers} == {"old"}


@pytest.mark.parametrize("point", ["after:owned_many", "before:want_routes"])
def test_a_number_that_its_release_drops_meanwhile_is_rerouted(simulation: Simulation, point: str) -> None:
    (number,) = simulation.own(1)
    release = counting_down(simulation, leaving(number))
    simulation.clock.pass_ms(60_000)
    moving = Attempt(simulation, simulation.submit(Reroute(selector=OLD, destinations=BACKUP)))
    moving.to(point)
    called_off(simulation, release)
    simulation.clock.pass_ms(60_000)
    moving.end()
    simulation.finish(moving.job)
    assert goes_to(simulation, number) == "backup"


def test_a_large_failover_reaches_what_is_parked_too(quick_valkey: redis.Redis) -> None:
    simulation = Simulation(quick_valkey, batch_size=2)
    numbers = sorted(simulation.own(9))
    release = counting_down(simulation, leaving(numbers[4]))
    moving = simulation.submit(Reroute(selector=OLD, destinations=BACKUP))
    on_its_way = [moving]
    for _ in range(20):
        on_its_way = [job for job in (moving, *children(simulation, moving)) if simulation.view(job).state not in REPORTED]
        for job in on_its_way:
            simulation.make_due(job)
            simulation.run(job)
        if not on_its_way:
            break
    assert simulation.view(moving).state is JobState.SUCCEEDED
    called_off(simulation, release)
    assert {goes_to(simulation, number) for number in numbers} == {"backup"}
    simulation.close()


def children(simulation: Simulation, job: Job) -> list[Job]:
    """Its batches that haven't ended."""
    ids = cast("set[str]", simulation.ledger.client.smembers(simulation.ledger.keys.children(job.id)))
    return [Job(one, True, simulation.ledger.get(one).state) for one in sorted(ids)]


# What an ended release has left


def test_two_countdowns_after_another_bring_back_its_own_route(simulation: Simulation) -> None:
    (number,) = simulation.own(1)
    first = counting_down(simulation, leaving(number))
    simulation.clock.pass_ms(60_000)
    called_off(simulation, first)
    simulation.clock.pass_ms(60_000)
    second = counting_down(simulation, leaving(number, parking=OTHER))
    assert goes_to(simulation, number) == "other"
    called_off(simulation, second)
    assert goes_to(simulation, number) == "old"
    assert not simulation.ledger.client.exists(simulation.ledger.keys.parked("default"))


def test_a_ledger_that_has_lost_the_old_route_says_so(simulation: Simulation) -> None:
    """Redis comes back without its last writes: the number is parked, and nobody knows that a release did it."""
    (number,) = simulation.own(1)
    client, keys = simulation.ledger.client, simulation.ledger.keys
    release = Attempt(simulation, simulation.submit(leaving(number)))
    release.to("after:save.selected")
    kept = {name: text for name in client.scan_iter(f"{keys.namespace}:*") if (text := client.dump(name))}
    release.to("after:set_route")
    release.kill()
    for name in list(client.scan_iter(f"{keys.namespace}:*")):
        client.delete(name)
    for name, text in kept.items():
        client.restore(name, 0, text)
    simulation.expire(release.job)
    on_to_its_grace(simulation, release.job)
    called_off(simulation, release.job)
    one = reported(simulation, release.job)[number]
    assert goes_to(simulation, number) == "parked"
    assert one.error is not None
    assert (one.outcome, one.error.code) == (Outcome.UNCHANGED, "route_unknown")
