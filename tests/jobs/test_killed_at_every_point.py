"""A worker may die at any point of any job: another one finishes, and it all happens once.

The points are those of an undisturbed run, recorded first: before and after each call to the provider and each write to the ledger.
For each a fresh job is run whose worker dies exactly there, leaving the ledger as kill -9 would.
"""

import random
from collections.abc import Callable

import pytest
import redis

from didflow.contract.destinations import Destination
from didflow.contract.requests import Failback, Release, Reroute, SearchAndBuy
from didflow.contract.states import JobState
from tests.support.simulation.dying_workers import DyingWorkers, Play, play_on
from tests.support.simulation.oracle import Oracle
from tests.support.simulation.simulation import Attempt, Simulation

PBX = (Destination.sip("pbx@example.net"),)
#: Each test takes every n-th point, so that two processes share the work.
SHARES = 4
#: Of the jobs with trouble besides, `make test` takes every fourth point, from another one than its neighbour, and `make long` all.
#: Chosen at random, by a seed that doesn't change.
SAMPLES = 6


def buy(simulation: Simulation) -> Play:
    return Play(simulation, simulation.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=2, destinations=PBX)))


def reroute(simulation: Simulation) -> Play:
    mine = simulation.own(3)
    return Play(simulation, simulation.submit(Reroute(numbers=tuple(mine[:2]), destinations=PBX)))


def failback(simulation: Simulation) -> Play:
    moved = reroute(simulation)
    simulation.finish(moved.job)
    return Play(simulation, simulation.submit(Failback(job_id=moved.job.id)))


def release(simulation: Simulation) -> Play:
    mine = simulation.own(3)
    return Play(simulation, simulation.submit(Release(numbers=tuple(mine[:2]))))


def buy_with_a_lost_answer(simulation: Simulation) -> Play:
    """The checkout is done and its answer lost: what is killed here is the recovery, over several attempts."""
    simulation.sandbox.add_fault("checkout", "act_and_drop")
    return buy(simulation)


def buy_with_a_checkout_under_way(simulation: Simulation) -> Play:
    simulation.sandbox.fly("checkout")
    return buy(simulation)


def buy_with_an_unclear_add(simulation: Simulation) -> Play:
    simulation.sandbox.add_fault("cart_put", "act_then_html")
    return buy(simulation)


def release_with_a_lost_answer(simulation: Simulation) -> Play:
    simulation.sandbox.add_fault("release", "act_and_drop")
    return release(simulation)


def release_that_went_and_was_refused(simulation: Simulation) -> Play:
    simulation.sandbox.add_fault("release", "act_then_refuse", status=404)
    return release(simulation)


def release_where_a_call_takes_one_id(simulation: Simulation) -> Play:
    simulation.sandbox.order("reconfigure", release_ids="last")
    return release(simulation)


PLAIN: tuple[Callable[[Simulation], Play], ...] = (buy, reroute, failback, release)
KINDS = (
    *PLAIN,
    buy_with_a_lost_answer,
    buy_with_a_checkout_under_way,
    buy_with_an_unclear_add,
    release_with_a_lost_answer,
    release_that_went_and_was_refused,
    release_where_a_call_takes_one_id,
)


DEATHS = [
    pytest.param(kind, share, marks=() if kind in PLAIN or share == number % SHARES else pytest.mark.long)
    for number, kind in enumerate(KINDS)
    for share in range(SHARES)
]


def undisturbed_run(quick_valkey: redis.Redis, kind: Callable[[Simulation], Play]) -> tuple[list[str], tuple[object, ...]]:
    """The points that it reaches, in their order, and what comes of it."""
    play, workers = kind(Simulation(quick_valkey)), DyingWorkers()
    play_on(play, workers)
    assert play.simulation.view(play.job).state is JobState.SUCCEEDED
    check(play, seen := play.seen())
    return workers.reached, seen


def check(play: Play, undisturbed: tuple[object, ...]) -> None:
    Oracle(play.simulation).at_end()
    assert play.seen() == undisturbed
    assert play.simulation.cart() == set()


@pytest.mark.parametrize(("kind", "share"), DEATHS)
def test_a_worker_that_dies_at_any_point_leaves_a_job_that_another_finishes(
    quick_valkey: redis.Redis, kind: Callable[[Simulation], Play], share: int
) -> None:
    points, undisturbed = undisturbed_run(quick_valkey, kind)
    assert {"before:claim", "after:claim", "before:finish", "after:finish"} <= set(points)
    for place in range(share, len(points), SHARES):
        play, workers = kind(Simulation(quick_valkey)), DyingWorkers(place)
        play_on(play, workers)
        assert workers.died == [points[place]]
        check(play, undisturbed)
        play.simulation.close()


@pytest.mark.parametrize("kind", KINDS)
def test_and_so_may_those_that_take_over(quick_valkey: redis.Redis, kind: Callable[[Simulation], Play]) -> None:
    points, undisturbed = undisturbed_run(quick_valkey, kind)
    chosen = random.Random(kind.__name__)
    for _ in range(SAMPLES):
        places = [chosen.randrange(2, len(points)), *(chosen.randrange(len(points)) for _ in range(chosen.choice((1, 1, 2))))]
        play, workers = kind(Simulation(quick_valkey)), DyingWorkers(*places)
        play_on(play, workers)
        check(play, undisturbed)
        play.simulation.close()


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("kind", PLAIN)
def test_a_worker_that_sleeps_at_any_point_while_another_finishes_changes_nothing_when_it_wakes(
    quick_valkey: redis.Redis, kind: Callable[[Simulation], Play], share: int
) -> None:
    points, undisturbed = undisturbed_run(quick_valkey, kind)
    for place in range(share, len(points), SHARES):
        play = kind(Simulation(quick_valkey))
        sleeper = Attempt(play.simulation, play.job)
        for point in points[: place + 1]:
            sleeper.step()
            assert sleeper.at == point
        play.simulation.expire(play.job)
        play.simulation.finish(play.job)
        check(play, undisturbed)
        reported = play.simulation.view(play.job)
        sleeper.end()
        Oracle(play.simulation).at_end()
        assert play.seen() == undisturbed
        assert play.simulation.view(play.job) == reported
        assert play.simulation.cart() <= play.simulation.tainted(), "what it put into the cart when it woke is used by nobody for a day"
        play.simulation.close()
