"""Two jobs for one number, of which one has parked it: it isn't left there without a job that says so."""

from datetime import timedelta

import pytest
import redis

from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job
from didflow.contract.requests import Release, Reroute
from didflow.contract.states import JobState, WaitReason
from tests.jobs.test_lent import GRACE, LABEL, PARKING, PBX, all_to, ordered, parked, play, reused, scene
from tests.support.simulation.simulation import Attempt, Scene

__all__ = ["scene"]

OTHER = (Destination.sip("other@example.net"),)
A_MINUTE_MS = 60_000


def counting_down(scene: Scene, job: Job) -> None:
    """On until it waits for its time."""
    for _ in range(5):
        if scene.view(job).reason != WaitReason.GRACE and not scene.view(job).state.is_terminal:
            scene.run(job)
            scene.make_due(job)


def refused(scene: Scene, number: str) -> None:
    away = scene.submit(Reroute(numbers=(number,), destinations=PBX))
    scene.sandbox.add_fault("destinations", "refuse")
    scene.finish(away)


def called_off(scene: Scene, number: str) -> None:
    away = Attempt(scene, scene.submit(Reroute(numbers=(number,), destinations=PBX)))
    away.to("after:claim_routes")
    away.kill()
    scene.expire(away.job)
    scene.cancel(away.job)
    scene.finish(away.job)


@pytest.mark.parametrize("newer", [refused, called_off])
@pytest.mark.parametrize("stopped_by", ["a cancel", "calls"])
def test_a_newer_job_that_moved_nothing_leaves_nobody_to_bring_it_back(scene: Scene, newer: object, stopped_by: str) -> None:
    assert callable(newer)
    (number,) = scene.own(1)
    leaving = scene.submit(Release(numbers=(number,), grace=timedelta(days=7), parking=PARKING))
    scene.run(leaving)
    scene.clock.pass_ms(A_MINUTE_MS)
    newer(scene, number)
    if stopped_by == "calls":
        scene.sandbox.order("set_number", number=number[1:], seconds=61)
        scene.clock.pass_ms(25 * 3_600_000)
    else:
        scene.cancel(leaving)
    scene.finish(leaving)
    view = scene.view(leaving)
    assert view.state is JobState.NEEDS_REVIEW
    assert view.error is not None
    assert view.error.code == "still_parked"


def test_a_parking_call_that_acts_late_does_not_take_the_route_of_who_has_it_by_then(scene: Scene) -> None:
    (number,) = scene.own(1)
    leaving = scene.submit(Release(numbers=(number,), grace=GRACE, parking=PARKING, reusable=True))
    scene.sandbox.fly("destinations")
    for _ in range(5):
        if scene.view(leaving).reason != WaitReason.GRACE:
            scene.run(leaving)
            scene.ledger.client.hset(scene.ledger.keys.job(leaving.id), "due_ms", "")
    order = ordered(scene)
    scene.run(order)
    assert scene.view(order).reason == WaitReason.SETTLING
    scene.sandbox.land(0)
    scene.clock.pass_ms(20_000)
    scene.finish(order)
    assert reused(scene, order) == [number]
    assert scene.routes() == all_to("pbx", [number])


@pytest.mark.parametrize("pays", [True, False])
def test_a_release_does_not_park_what_a_purchase_has(scene: Scene, pays: bool) -> None:
    leaving, numbers = parked(scene)
    order = ordered(scene, quantity=3)
    scene.sandbox.order("set_balance", usd="0")
    assert scene.run(order).reason == WaitReason.FUNDS
    other = scene.submit(Release(numbers=tuple(numbers), grace=GRACE / 2, parking=OTHER))
    scene.run(other)
    scene.clock.pass_ms(int(GRACE.total_seconds() * 500))
    scene.finish(other)
    if pays:
        scene.sandbox.order("set_balance", usd="1000")
    else:
        scene.cancel(order)
    scene.finish(order)
    play(scene, leaving)
    assert "other@example.net" not in {place for route in scene.routes().values() for place in route}


def test_a_purchase_whose_attempts_are_over_says_what_is_still_parked(quick_valkey: redis.Redis) -> None:
    scene = Scene(quick_valkey, reuse_label=LABEL, batch_size=1, max_attempts=3)
    (number,) = scene.own(1)
    leaving = scene.submit(Release(numbers=(number,), grace=GRACE, parking=PARKING, reusable=True))
    scene.run(leaving)
    order = Attempt(scene, ordered(scene, quantity=4, policy="best_effort"))
    order.to("after:check_out")
    scene.sandbox.add_fault("cart_put", "drop", times=None)
    order.end()
    scene.finish(order.job)
    view = scene.view(order.job)
    assert scene.routes()[number] == ["parked@example.net"]
    assert view.result is not None
    assert {one.number: one.error.code for one in view.result.numbers if one.error}[number] == "still_parked"
    scene.close()


@pytest.mark.parametrize("second", [PARKING, OTHER])
@pytest.mark.parametrize("first", [0, 1])
def test_of_two_countdowns_the_first_alone_parks_and_brings_back(scene: Scene, second: tuple[Destination, ...], first: int) -> None:
    (number,) = scene.own(1)
    jobs = [scene.submit(Release(numbers=(number,), grace=GRACE, parking=to)) for to in (PARKING, second)]
    for job in jobs:
        counting_down(scene, job)
        scene.clock.pass_ms(A_MINUTE_MS)
    assert scene.routes() == all_to("parked", [number])
    for job in (jobs[first], jobs[1 - first]):
        scene.cancel(job)
        if not scene.view(job).state.is_terminal:
            scene.finish(job)
        scene.clock.pass_ms(A_MINUTE_MS)
    assert scene.routes() == all_to("old", [number])
