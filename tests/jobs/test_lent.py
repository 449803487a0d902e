"""A number that a release has parked may be handed out to a purchase: it is one job's at any moment, and nobody's never."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
import redis

from didflow import Didflow
from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job
from didflow.contract.requests import Release, Reroute, SearchAndBuy
from didflow.contract.states import REPORTED, JobState, Outcome, WaitReason
from didflow.ledger.number_holders import held_for
from didflow.ledger.number_pool import handed_out
from producers.churn import Churn
from tests.jobs.test_killed_at_every_point import DyingWorkers
from tests.support.simulation.simulation import Attempt, Killed, Scene

LABEL = "spare"
PARKING, PBX = ((Destination.sip(f"{name}@example.net"),) for name in ("parked", "pbx"))
GRACE = timedelta(hours=1)
ASKED = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), reuse=True, destinations=PBX)
#: More than the city has: with all or nothing it comes to nothing.
TOO_MANY = 50
#: Each test takes every so many-th point; `make long` takes all.
STEP = 16


@pytest.fixture
def scene(quick_valkey: redis.Redis) -> Iterator[Scene]:
    scene = Scene(quick_valkey, reuse_label=LABEL)
    yield scene
    scene.close()


def parked(scene: Scene, **changes: object) -> tuple[Job, list[str]]:
    """A release of two numbers that counts down, and may lend them."""
    numbers = scene.own(2)
    terms = {"numbers": tuple(numbers), "grace": GRACE, "parking": PARKING, "reusable": True}
    leaving = scene.submit(Release.model_validate(terms | changes))
    assert scene.run(leaving).reason == WaitReason.GRACE
    assert {scene.routes()[number][0] for number in numbers} == {"parked@example.net"}
    return leaving, numbers


def ordered(scene: Scene, **changes: object) -> Job:
    return scene.submit(ASKED.model_copy(update=changes))


def play(scene: Scene, *jobs: Job, workers: DyingWorkers | None = None) -> None:
    """All to their ends; the grace period passes, and who dies is replaced."""
    for _ in range(60):
        left = [job for job in jobs if scene.view(job).state not in REPORTED]
        for job in left:
            if scene.view(job).reason == WaitReason.GRACE:
                scene.clock.pass_ms(int(GRACE.total_seconds() * 1000))
            scene.make_due(job)
            with suppress(Killed):
                scene.run(job, workers)
            scene.expire(job)
        if not left:
            return
    raise AssertionError([scene.story(job) for job in jobs])


def outcomes(scene: Scene, job: Job) -> dict[str, Outcome | None]:
    result = scene.view(job).result
    return {one.number: one.outcome for one in result.numbers} if result else {}


def all_to(name: str, numbers: list[str]) -> dict[str, list[str]]:
    return {number: [f"{name}@example.net"] for number in numbers}


def bought(scene: Scene) -> int:
    return len(scene.sandbox.ledger())


def reused(scene: Scene, job: Job) -> list[str]:
    return [number for number, outcome in outcomes(scene, job).items() if outcome is Outcome.REUSED]


def test_a_parked_number_is_handed_out_and_its_release_says_so(scene: Scene) -> None:
    leaving, numbers = parked(scene)
    order = ordered(scene)
    scene.finish(order)
    (mine,) = reused(scene, order)
    assert bought(scene) == 0
    play(scene, leaving)
    (other,) = set(numbers) - {mine}
    assert outcomes(scene, leaving) == {mine: Outcome.SUPERSEDED, other: Outcome.RELEASED}
    result = scene.view(leaving).result
    assert result is not None
    assert {one.error.code for one in result.numbers if one.error} == {"handed_out"}
    assert scene.routes() == {mine: ["pbx@example.net"]}


def test_called_off_afterwards_the_release_brings_back_only_the_others(scene: Scene) -> None:
    leaving, numbers = parked(scene)
    order = ordered(scene)
    scene.finish(order)
    (mine,) = reused(scene, order)
    scene.cancel(leaving)
    play(scene, leaving)
    (other,) = set(numbers) - {mine}
    assert scene.view(leaving).state is JobState.CANCELLED
    assert outcomes(scene, leaving) == {mine: Outcome.SUPERSEDED, other: Outcome.CONFIRMED}
    assert scene.routes() == {mine: ["pbx@example.net"], other: ["old@example.net"]}


def test_it_is_lent_to_nobody_who_is_not_meant(scene: Scene) -> None:
    """Not by a release that didn't say so, not without a new route, not with the last customer's callback, not if somebody has moved it."""
    parked(scene, reusable=False)
    one, other = scene.own(2)
    leaving = scene.submit(Release(numbers=(one, other), grace=GRACE, parking=PARKING, reusable=True))
    scene.run(leaving)
    for order in (ordered(scene, reuse=False), ordered(scene, destinations=())):
        scene.finish(order)
        assert not reused(scene, order)
    scene.sandbox.order("set_number", number=one[1:], sms_relay_url="https://last-customer.example.net/sms")
    scene.sandbox.order(
        "set_destinations", number=other[1:], destinations=[{"transport": 1, "destination": "x@example.net", "priority": 1}]
    )
    order = ordered(scene)
    scene.finish(order)
    assert not reused(scene, order)


def test_a_release_that_was_called_off_or_runs_lends_nothing(scene: Scene) -> None:
    leaving, _ = parked(scene)
    order = Attempt(scene, ordered(scene))
    order.to("before:hand_out")
    scene.cancel(leaving)
    order.end()
    assert not reused(scene, order.job)
    play(scene, leaving)
    assert set(outcomes(scene, leaving).values()) == {Outcome.CONFIRMED}
    leaving, numbers = parked(scene)
    late = Attempt(scene, ordered(scene))
    late.to("before:hand_out")
    scene.clock.pass_ms(int(GRACE.total_seconds() * 1000))
    scene.make_due(leaving)
    at_it = Attempt(scene, leaving)
    at_it.to("after:claim")
    late.end()
    assert not reused(scene, late.job)
    at_it.end()
    assert outcomes(scene, leaving) == dict.fromkeys(numbers, Outcome.RELEASED)


def test_a_purchase_that_comes_to_nothing_gives_it_back_to_its_release(scene: Scene) -> None:
    leaving, numbers = parked(scene)
    order = ordered(scene, quantity=TOO_MANY)
    scene.finish(order)
    assert (scene.view(order).state, bought(scene)) == (JobState.FAILED, 0)
    scene.cancel(leaving)
    play(scene, leaving)
    assert outcomes(scene, leaving) == dict.fromkeys(numbers, Outcome.CONFIRMED)
    assert scene.routes() == all_to("old", numbers)


@pytest.mark.parametrize("called_off", [False, True])
def test_a_release_waits_for_what_a_purchase_may_yet_give_back(scene: Scene, called_off: bool) -> None:
    leaving, numbers = parked(scene)
    order = ordered(scene, quantity=3)
    scene.sandbox.order("set_balance", usd="0")
    assert scene.run(order).reason == WaitReason.FUNDS
    if called_off:
        scene.cancel(leaving)
    scene.clock.pass_ms(int(GRACE.total_seconds() * 1000))
    scene.make_due(leaving)
    assert scene.run(leaving).reason == WaitReason.DEPENDS
    assert scene.routes() == all_to("parked", numbers)
    scene.cancel(order)
    scene.finish(order)
    assert scene.view(order).state is JobState.CANCELLED
    play(scene, leaving)
    assert outcomes(scene, leaving) == dict.fromkeys(numbers, Outcome.CONFIRMED if called_off else Outcome.RELEASED)
    assert scene.routes() == (all_to("old", numbers) if called_off else {})


def test_called_off_when_it_has_them_a_purchase_leaves_nothing_parked(scene: Scene) -> None:
    leaving, _ = parked(scene)
    buying = Attempt(scene, ordered(scene, quantity=2))
    buying.to("before:claim_routes")
    buying.kill()
    scene.expire(buying.job)
    scene.cancel(buying.job)
    scene.finish(buying.job)
    mine = reused(scene, buying.job)
    assert len(mine) == 2
    assert scene.routes() == all_to("pbx", mine)
    play(scene, leaving)
    assert outcomes(scene, leaving) == dict.fromkeys(mine, Outcome.SUPERSEDED)


def test_what_was_asked_of_it_before_does_not_take_its_route_away(scene: Scene) -> None:
    """The order is older than the release, and than a reroute that hasn't run."""
    order = ordered(scene)
    buying = Attempt(scene, order)
    buying.to("after:claim")
    leaving, numbers = parked(scene)
    old = scene.submit(Reroute(numbers=tuple(numbers), destinations=(Destination.sip("late@example.net"),)))
    buying.end()
    (mine,) = reused(scene, order)
    scene.finish(old)
    assert outcomes(scene, old)[mine] is Outcome.SUPERSEDED
    assert scene.routes()[mine] == ["pbx@example.net"]
    scene.cancel(leaving)
    play(scene, leaving)
    assert scene.routes()[mine] == ["pbx@example.net"]


def test_one_that_is_called_while_it_is_looked_at_is_not_lent(scene: Scene) -> None:
    """Its release still waits, for the other one."""
    leaving, (called, quiet) = parked(scene, grace=timedelta(days=7))
    late = Attempt(scene, ordered(scene, quantity=2, policy="best_effort"))
    late.to("before:hand_out")
    scene.sandbox.order("set_number", number=called[1:], seconds=61)
    scene.clock.pass_ms(int(timedelta(hours=25).total_seconds() * 1000))
    scene.make_due(leaving)
    assert scene.run(leaving).reason == WaitReason.GRACE
    late.end()
    assert not reused(scene, late.job), "its release has read both since"
    assert scene.routes()[called] == ["old@example.net"]
    order = ordered(scene)
    scene.finish(order)
    assert reused(scene, order) == [quiet]


def test_it_is_the_new_customers_from_then_on(scene: Scene) -> None:
    """The last one's next release, or return, doesn't mean it."""
    first = scene.submit(ASKED.model_copy(update={"reuse": False}), reference="acme")
    scene.finish(first)
    (number,) = outcomes(scene, first)
    scene.ledger.client.delete(scene.ledger.keys.reserved("default"))  # A day has passed since.
    leaving = scene.submit(Release(numbers=(number,), grace=GRACE, parking=PARKING, reusable=True), reference="acme")
    assert scene.run(leaving).reason == WaitReason.SETTLING, "a list may be older than the purchase's route"
    scene.clock.pass_ms(10_000)
    scene.make_due(leaving)
    assert scene.run(leaving).reason == WaitReason.GRACE
    back = scene.submit(ASKED.model_copy(update={"quantity": TOO_MANY}), reference="nobody")
    scene.finish(back)
    assert scene.ledger.perform(held_for(scene.ledger.keys, "acme")) == (number,), "it came back"
    scene.run(leaving)
    order = scene.submit(ASKED, reference="umbrella")
    scene.finish(order)
    assert reused(scene, order) == [number]
    assert scene.ledger.perform(held_for(scene.ledger.keys, "acme")) == ()
    assert scene.ledger.perform(held_for(scene.ledger.keys, "umbrella")) == (number,)
    play(scene, leaving)
    returned = Churn(Didflow(scene.ledger.client, scene.ledger.keys.namespace)).returned("acme")
    assert (returned.outcome, returned.gone) == ("gone", (number,))
    again = scene.submit(Release(numbers=(number,), expected_reference="acme"))
    scene.finish(again)
    assert outcomes(scene, again) == {number: Outcome.PROTECTED}


def settled(scene: Scene, order: Job, leaving: Job, numbers: list[str], *, called_off: bool, may_be_late: bool) -> None:
    """Whoever died: each number is where one job says that it is. `may_be_late`: the release may have ended before it was called off."""
    told, mine, routes = outcomes(scene, leaving), reused(scene, order), scene.routes()
    assert scene.view(order).state in (JobState.SUCCEEDED, JobState.FAILED)
    assert scene.view(leaving).state is not JobState.NEEDS_REVIEW, scene.story(leaving)
    for number in numbers:
        if number in mine:
            assert (told[number], routes[number]) == (Outcome.SUPERSEDED, ["pbx@example.net"])
        elif told[number] is Outcome.CONFIRMED:
            assert (called_off, routes[number]) == (True, ["old@example.net"])
        else:
            assert told[number] is Outcome.RELEASED
            assert number not in routes
            assert not called_off or may_be_late
    assert {one.number for one in scene.ledger.perform(handed_out(scene.ledger.keys, "default"))} == set(mine)
    assert not scene.ledger.client.exists(scene.ledger.keys.offered("default"))


Played = Callable[[Scene, Job, Job, DyingWorkers], None]


def order_first(scene: Scene, order: Job, leaving: Job, workers: DyingWorkers) -> None:
    play(scene, order, workers=workers)
    play(scene, leaving)


def order_in_between(scene: Scene, order: Job, leaving: Job, workers: DyingWorkers) -> None:
    """The release is at it while the order is: whoever dies, the other one goes on."""
    play(scene, order, leaving, workers=workers)


def release_dies(scene: Scene, order: Job, leaving: Job, workers: DyingWorkers) -> None:
    play(scene, order, workers=Workers(None, lambda: workers("after:hand_out")))
    play(scene, leaving, workers=workers)


class Workers(DyingWorkers):
    """They die at a place; and as soon as a number is handed out something else happens."""

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
    scene = Scene(server, reuse_label=LABEL)
    leaving, numbers = parked(scene)
    order = ordered(scene, quantity=quantity)
    workers = Workers(place, (lambda: scene.cancel(leaving)) if called_off else lambda: None)
    how(scene, order, leaving, workers)
    settled(scene, order, leaving, numbers, called_off=called_off, may_be_late=how is order_in_between)
    scene.close()
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
