"""A release has a number parked, and other jobs route it meanwhile: what they asked for isn't lost, whatever becomes of the release."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import cast

import pytest
import redis

from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job
from didflow.contract.requests import Failback, Release, Request, Reroute, SearchAndBuy, Selector
from didflow.contract.results import NumberResult
from didflow.contract.states import REPORTED, JobState, Outcome, WaitReason
from didflow.ledger import script_calls
from tests.support.inline_worker import SETTLE_S, Stage
from tests.support.simulation.simulation import Attempt, Scene

PARKING, BACKUP, OTHER = ((Destination.sip(f"{name}@example.net"),) for name in ("parked", "backup", "other"))
GRACE = timedelta(days=2)


@pytest.fixture
def scene(quick_valkey: redis.Redis) -> Iterator[Scene]:
    scene = Scene(quick_valkey)
    yield scene
    scene.close()


def away(numbers: list[str], to: tuple[Destination, ...] = BACKUP) -> Reroute:
    return Reroute(numbers=tuple(numbers), destinations=to)


def leaving(*numbers: str, **more: object) -> Release:
    return Release.model_validate({"numbers": numbers, "grace": GRACE, "parking": PARKING, **more})


def counting_down(scene: Scene, request: Request) -> Job:
    """A release that waits for its numbers' time."""
    job = scene.submit(request)
    on_to_its_grace(scene, job)
    return job


def on_to_its_grace(scene: Scene, job: Job) -> None:
    for _ in range(10):
        if scene.view(job).reason == WaitReason.GRACE:
            return
        scene.make_due(job)
        scene.run(job)
    raise AssertionError(scene.story(job))


def called_off(scene: Scene, job: Job) -> None:
    scene.cancel(job)
    scene.finish(job)


def told(scene: Scene, job: Job) -> dict[str, NumberResult]:
    result = scene.view(job).result
    return {one.number: one for one in result.numbers} if result else {}


def outcome(scene: Scene, job: Job, number: str) -> Outcome | None:
    return told(scene, job)[number].outcome


def goes_to(scene: Scene, number: str) -> str:
    (place,) = scene.routes()[number]
    return place.removesuffix("@example.net")


# An older routing that hasn't ended


def held_by_a_503(scene: Scene, job: Job) -> None:
    scene.sandbox.add_fault("destinations", "refuse", status=503)
    assert scene.run(job).state not in REPORTED


def not_begun(scene: Scene, job: Job) -> None:
    """It waits behind a backlog."""


def unanswered(scene: Scene, job: Job) -> None:
    """Its call is done, and it doesn't know."""
    scene.sandbox.add_fault("destinations", "act_and_drop")
    assert scene.run(job).reason == WaitReason.RETRY


def lost_on_its_way(scene: Scene, job: Job) -> None:
    scene.sandbox.add_fault("destinations", "drop")
    assert scene.run(job).reason == WaitReason.RETRY


HELD: list[Callable[[Scene, Job], None]] = [held_by_a_503, not_begun, unanswered, lost_on_its_way]


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("first", ["the reroute ends", "the release ends"])
def test_a_failover_that_waits_is_not_lost_to_a_release_that_is_called_off(
    scene: Scene, held: Callable[[Scene, Job], None], first: str
) -> None:
    numbers = scene.own(3)
    moving = scene.submit(away(numbers))
    held(scene, moving)
    scene.clock.pass_ms(1000)
    release = counting_down(scene, leaving(numbers[0]))
    assert goes_to(scene, numbers[0]) == "parked"
    if first == "the reroute ends":
        scene.finish(moving)
        assert scene.view(moving).state is JobState.SUCCEEDED
        assert outcome(scene, moving, numbers[0]) is Outcome.SUPERSEDED
        assert goes_to(scene, numbers[0]) == "parked", "the release has it"
        error = told(scene, moving)[numbers[0]].error
        assert error is not None
        assert error.code == "parked"
        assert scene.view(moving).error is None
    called_off(scene, release)
    scene.finish(moving)
    assert scene.view(release).state is JobState.CANCELLED
    assert {goes_to(scene, number) for number in numbers} == {"backup"}


@pytest.mark.parametrize("held", HELD)
def test_what_the_failover_asked_for_keeps_no_number_from_going(scene: Scene, held: Callable[[Scene, Job], None]) -> None:
    numbers = scene.own(2)
    moving = scene.submit(away(numbers))
    held(scene, moving)
    release = counting_down(scene, leaving(numbers[0]))
    scene.finish(moving)
    scene.clock.pass_ms(int(GRACE.total_seconds() * 1000))
    scene.finish(release)
    assert outcome(scene, release, numbers[0]) is Outcome.RELEASED
    assert scene.routes() == {numbers[1]: ["backup@example.net"]}
    assert not scene.ledger.client.exists(scene.ledger.keys.parked("default"))


def test_one_that_stays_because_it_is_called_goes_where_the_failover_wanted_it(scene: Scene) -> None:
    (number,) = scene.own(1)
    moving = scene.submit(away([number]))
    held_by_a_503(scene, moving)
    release = counting_down(scene, leaving(number))
    scene.finish(moving)
    scene.sandbox.order("set_number", number=number[1:], seconds=61)
    scene.clock.pass_ms(25 * 3_600_000)
    scene.finish(release)
    assert outcome(scene, release, number) is Outcome.IN_USE
    assert goes_to(scene, number) == "backup"


POINTS = ["after:claim_routes", "before:save.grace_began", "before:set_route", "before:save.parked"]
WAYS_BACK = ["before:save.called_off", "before:save.ways_back", "before:set_route", "after:set_route", "before:save.stays", "before:finish"]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("dies", [False, True])
def test_the_failover_may_go_on_while_the_numbers_are_being_parked(scene: Scene, point: str, dies: bool) -> None:
    (number,) = scene.own(1)
    moving = scene.submit(away([number]))
    release = Attempt(scene, scene.submit(leaving(number)))
    release.to(point)
    scene.finish(moving)
    if dies:
        release.kill()
        scene.expire(release.job)
    else:
        release.end()
    on_to_its_grace(scene, release.job)
    called_off(scene, release.job)
    assert goes_to(scene, number) == "backup"


@pytest.mark.parametrize("point", WAYS_BACK)
@pytest.mark.parametrize("dies", [False, True])
def test_the_failover_may_go_on_while_the_release_is_wound_up(scene: Scene, point: str, dies: bool) -> None:
    (number,) = scene.own(1)
    moving = scene.submit(away([number]))
    held_by_a_503(scene, moving)
    job = counting_down(scene, leaving(number))
    scene.clock.pass_ms(60_000)
    scene.cancel(job)
    release = Attempt(scene, job)
    release.to(point)
    scene.finish(moving)
    if dies:
        release.kill()
        scene.expire(job)
    else:
        release.end()
    scene.finish(job, moving)
    assert goes_to(scene, number) == "backup"
    assert scene.view(job).state is JobState.CANCELLED


def test_called_off_before_it_is_parked_it_goes_where_the_failover_wants_it(scene: Scene) -> None:
    (number,) = scene.own(1)
    moving = scene.submit(away([number]))
    release = Attempt(scene, scene.submit(leaving(number)))
    release.to("before:save.grace_began")
    scene.finish(moving)
    assert outcome(scene, moving, number) is Outcome.SUPERSEDED
    release.kill()
    scene.expire(release.job)
    called_off(scene, release.job)
    assert goes_to(scene, number) == "backup"


def test_one_that_can_not_be_parked_goes_where_the_failover_wants_it(scene: Scene) -> None:
    (number,) = scene.own(1)
    moving = scene.submit(away([number]))
    release = Attempt(scene, scene.submit(leaving(number)))
    release.to("before:set_route")
    scene.finish(moving)
    scene.sandbox.add_fault("destinations", "refuse")
    release.end()
    scene.finish(release.job)
    assert outcome(scene, release.job, number) is Outcome.REFUSED
    assert goes_to(scene, number) == "backup"


def test_of_two_failovers_that_wait_the_newer_one_is_what_it_gets(scene: Scene) -> None:
    (number,) = scene.own(1)
    older, newer = (scene.submit(away([number], to)) for to in (OTHER, BACKUP))
    release = counting_down(scene, leaving(number))
    scene.finish(newer)
    scene.finish(older)
    called_off(scene, release)
    assert goes_to(scene, number) == "backup"


def test_after_the_release_an_older_failover_than_the_newest_is_still_superseded(scene: Scene) -> None:
    (number,) = scene.own(1)
    older, newer = (scene.submit(away([number], to)) for to in (OTHER, BACKUP))
    scene.finish(newer)
    scene.clock.pass_ms(60_000)
    called_off(scene, counting_down(scene, leaving(number)))
    scene.finish(older)
    assert outcome(scene, older, number) is Outcome.SUPERSEDED
    assert goes_to(scene, number) == "backup"


def test_a_list_that_is_older_than_the_failover_is_not_taken_for_the_old_route(stage: Stage) -> None:
    (number,) = stage.own(1)
    time.sleep(SETTLE_S)
    stage.run(away([number]))
    stage.sandbox.order("reconfigure", read_lag_s=SETTLE_S * 0.9)
    release = stage.submit(leaving(number))
    while stage.attempt(release).reason != WaitReason.GRACE:
        stage.wait_until_due(release)
    assert stage.routes() == {number: ["parked@example.net"]}
    stage.ledger.run(script_calls.cancel(release.id))
    stage.finish(release)
    assert stage.routes() == {number: ["backup@example.net"]}


def test_a_purchase_whose_routing_waits_gives_its_number_its_route_when_the_release_is_called_off(scene: Scene) -> None:
    order = scene.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), destinations=BACKUP))
    buying = Attempt(scene, order)
    buying.to("before:claim_routes")
    (number,) = scene.routes()
    release = counting_down(scene, leaving(number))
    buying.end()
    scene.finish(order)
    assert goes_to(scene, number) == "parked"
    called_off(scene, release)
    assert goes_to(scene, number) == "backup"


# A newer routing


@pytest.mark.parametrize("when", ["still counts down", "is called off in between", "is called off after it"])
def test_the_failback_of_a_parked_number_brings_its_own_route(scene: Scene, when: str) -> None:
    (number,) = scene.own(1)
    release = counting_down(scene, leaving(number))
    scene.clock.pass_ms(60_000)
    moving = scene.submit(away([number]))
    scene.finish(moving)
    assert goes_to(scene, number) == "backup"
    if when == "is called off in between":
        called_off(scene, release)
    back = scene.submit(Failback(job_id=moving.id))
    scene.finish(back)
    if when == "is called off after it":
        called_off(scene, release)
    assert goes_to(scene, number) == "old"
    assert outcome(scene, back, number) is Outcome.CONFIRMED


def test_a_failback_while_it_is_parked_is_what_it_gets_when_it_stays(scene: Scene) -> None:
    numbers = scene.own(2)
    moving = scene.submit(away(numbers))
    scene.finish(moving)
    scene.clock.pass_ms(60_000)
    release = counting_down(scene, leaving(numbers[0]))
    back = scene.submit(Failback(job_id=moving.id))
    scene.finish(back)
    assert scene.view(back).state is JobState.SUCCEEDED
    assert outcome(scene, back, numbers[0]) is Outcome.SUPERSEDED
    assert goes_to(scene, numbers[0]) == "parked"
    called_off(scene, release)
    assert {goes_to(scene, number) for number in numbers} == {"old"}


def test_a_failback_of_what_a_release_only_has_noted(scene: Scene) -> None:
    """The failover's wish is noted, and then taken back."""
    numbers = scene.own(2)
    moving = scene.submit(away(numbers))
    held_by_a_503(scene, moving)
    release = counting_down(scene, leaving(numbers[0]))
    scene.finish(moving)
    scene.clock.pass_ms(60_000)
    back = scene.submit(Failback(job_id=moving.id))
    scene.finish(back)
    called_off(scene, release)
    assert {goes_to(scene, number) for number in numbers} == {"old"}


def test_a_failback_that_meets_a_release_that_lets_go_looks_again(scene: Scene) -> None:
    (number,) = scene.own(1)
    moving = scene.submit(away([number]))
    scene.finish(moving)
    scene.clock.pass_ms(60_000)
    release = counting_down(scene, leaving(number))
    scene.clock.pass_ms(60_000)
    back = Attempt(scene, scene.submit(Failback(job_id=moving.id)))
    back.to("before:want_routes")
    called_off(scene, release)
    assert goes_to(scene, number) == "backup"
    back.end()
    scene.finish(back.job)
    assert goes_to(scene, number) == "old"


OLD = Selector(destination="old@example.net")


def test_a_failover_from_the_dead_route_reaches_what_is_parked_if_it_stays(scene: Scene) -> None:
    numbers = scene.own(3)
    release = counting_down(scene, leaving(*numbers[:2]))
    scene.clock.pass_ms(60_000)
    moving = scene.submit(Reroute(selector=OLD, destinations=BACKUP))
    scene.finish(moving)
    assert {number: outcome(scene, moving, number) for number in numbers} == {
        numbers[0]: Outcome.SUPERSEDED,
        numbers[1]: Outcome.SUPERSEDED,
        numbers[2]: Outcome.CONFIRMED,
    }
    assert [goes_to(scene, number) for number in numbers] == ["parked", "parked", "backup"]
    called_off(scene, release)
    assert {goes_to(scene, number) for number in numbers} == {"backup"}
    back = scene.submit(Failback(job_id=moving.id))
    scene.finish(back)
    assert {goes_to(scene, number) for number in numbers} == {"old"}


def test_a_failback_takes_back_what_such_a_failover_asked_for(scene: Scene) -> None:
    numbers = scene.own(2)
    release = counting_down(scene, leaving(numbers[0]))
    moving = scene.submit(Reroute(selector=OLD, destinations=BACKUP))
    scene.finish(moving)
    scene.clock.pass_ms(60_000)
    scene.finish(scene.submit(Failback(job_id=moving.id)))
    assert [goes_to(scene, number) for number in numbers] == ["parked", "old"]
    called_off(scene, release)
    assert {goes_to(scene, number) for number in numbers} == {"old"}


def test_where_all_are_parked_there_is_something_to_do_all_the_same(scene: Scene) -> None:
    (number,) = scene.own(1)
    release = counting_down(scene, leaving(number))
    moving = scene.submit(Reroute(selector=OLD, destinations=BACKUP))
    scene.finish(moving)
    assert (scene.view(moving).state, outcome(scene, moving, number)) == (JobState.SUCCEEDED, Outcome.SUPERSEDED)
    called_off(scene, release)
    assert goes_to(scene, number) == "backup"


def test_a_failover_that_a_guard_holds_asks_for_nothing(scene: Scene) -> None:
    numbers = scene.own(2)
    release = counting_down(scene, leaving(numbers[0]))
    moving = scene.submit(Reroute(selector=OLD, destinations=BACKUP, expected_count=2))
    scene.finish(moving)
    assert scene.view(moving).state is JobState.FAILED
    called_off(scene, release)
    assert {goes_to(scene, number) for number in numbers} == {"old"}


@pytest.mark.parametrize("point", ["after:owned_many", "before:want_routes"])
def test_one_that_its_release_lets_go_of_meanwhile_is_moved(scene: Scene, point: str) -> None:
    (number,) = scene.own(1)
    release = counting_down(scene, leaving(number))
    scene.clock.pass_ms(60_000)
    moving = Attempt(scene, scene.submit(Reroute(selector=OLD, destinations=BACKUP)))
    moving.to(point)
    called_off(scene, release)
    scene.clock.pass_ms(60_000)
    moving.end()
    scene.finish(moving.job)
    assert goes_to(scene, number) == "backup"


def test_a_large_failover_reaches_what_is_parked_too(quick_valkey: redis.Redis) -> None:
    scene = Scene(quick_valkey, batch_size=2)
    numbers = sorted(scene.own(9))
    release = counting_down(scene, leaving(numbers[4]))
    moving = scene.submit(Reroute(selector=OLD, destinations=BACKUP))
    on_its_way = [moving]
    for _ in range(20):
        on_its_way = [job for job in (moving, *children(scene, moving)) if scene.view(job).state not in REPORTED]
        for job in on_its_way:
            scene.make_due(job)
            scene.run(job)
        if not on_its_way:
            break
    assert scene.view(moving).state is JobState.SUCCEEDED
    called_off(scene, release)
    assert {goes_to(scene, number) for number in numbers} == {"backup"}
    scene.close()


def children(scene: Scene, job: Job) -> list[Job]:
    """Its batches that haven't ended."""
    ids = cast("set[str]", scene.ledger.client.smembers(scene.ledger.keys.children(job.id)))
    return [Job(one, True, scene.ledger.get(one).state) for one in sorted(ids)]


# What an ended release has left


def test_two_countdowns_after_another_bring_back_its_own_route(scene: Scene) -> None:
    (number,) = scene.own(1)
    first = counting_down(scene, leaving(number))
    scene.clock.pass_ms(60_000)
    called_off(scene, first)
    scene.clock.pass_ms(60_000)
    second = counting_down(scene, leaving(number, parking=OTHER))
    assert goes_to(scene, number) == "other"
    called_off(scene, second)
    assert goes_to(scene, number) == "old"
    assert not scene.ledger.client.exists(scene.ledger.keys.parked("default"))


def test_a_ledger_that_has_lost_the_old_route_says_so(scene: Scene) -> None:
    """Redis comes back without its last writes: the number is parked, and nobody knows that a release did it."""
    (number,) = scene.own(1)
    client, keys = scene.ledger.client, scene.ledger.keys
    release = Attempt(scene, scene.submit(leaving(number)))
    release.to("after:save.selected")
    kept = {name: text for name in client.scan_iter(f"{keys.namespace}:*") if (text := client.dump(name))}
    release.to("after:set_route")
    release.kill()
    for name in list(client.scan_iter(f"{keys.namespace}:*")):
        client.delete(name)
    for name, text in kept.items():
        client.restore(name, 0, text)
    scene.expire(release.job)
    on_to_its_grace(scene, release.job)
    called_off(scene, release.job)
    one = told(scene, release.job)[number]
    assert goes_to(scene, number) == "parked"
    assert one.error is not None
    assert (one.outcome, one.error.code) == (Outcome.UNCHANGED, "route_unknown")
