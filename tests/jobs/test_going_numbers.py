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
from tests.support.simulation.simulation import Attempt, Scene


@pytest.fixture
def scene(quick_valkey: redis.Redis) -> Iterator[Scene]:
    scene = Scene(quick_valkey, reuse_label=LABEL)
    yield scene
    scene.close()


def spare(scene: Scene) -> str:
    """A number that waits in the pool."""
    (number,) = scene.sandbox.order("seed_owned", count=1, label=LABEL)
    return f"+{number}"


def quarantine_is_over(scene: Scene) -> None:
    """As after a day."""
    key = scene.ledger.keys.reserved("default")
    reserved = cast("dict[str, str]", scene.ledger.client.hgetall(key))
    for number in (number for number, text in reserved.items() if text.startswith("quarantine|")):
        scene.ledger.client.hdel(key, number)


def ordered(scene: Scene) -> list[str]:
    """What an order is given that comes now."""
    order = scene.submit(ASKED)
    scene.finish(order)
    assert scene.view(order).state is JobState.SUCCEEDED
    return reused(scene, order)


def unanswered(scene: Scene, number: str) -> Job:
    """A release whose call is under way and had no answer; a day has passed since."""
    leaving = scene.submit(Release(numbers=(number,)))
    scene.sandbox.fly("release")
    assert scene.run(leaving).reason == WaitReason.RETRY
    quarantine_is_over(scene)
    return leaving


def test_a_number_of_the_pool_whose_release_had_no_answer_is_given_to_nobody(scene: Scene) -> None:
    number = spare(scene)
    leaving = unanswered(scene, number)
    assert ordered(scene) == []
    scene.sandbox.land(0)
    scene.finish(leaving)
    assert outcomes(scene, leaving) == {number: Outcome.RELEASED}


def test_a_parked_number_that_another_release_has_under_way_is_not_lent(scene: Scene) -> None:
    lender, numbers = parked(scene)
    gone, other = numbers
    leaving = unanswered(scene, gone)
    assert ordered(scene) == [other]
    scene.sandbox.land(0)
    scene.finish(leaving)
    assert outcomes(scene, leaving) == {gone: Outcome.RELEASED}
    play(scene, lender)
    assert outcomes(scene, lender) == {gone: Outcome.ALREADY_RELEASED, other: Outcome.SUPERSEDED}


def test_it_is_marked_before_the_call_however_long_the_worker_sleeps_in_between(scene: Scene) -> None:
    number = spare(scene)
    leaving = Attempt(scene, scene.submit(Release(numbers=(number,))))
    leaving.to("after:quarantine")
    quarantine_is_over(scene)
    assert ordered(scene) == []
    leaving.end()
    assert outcomes(scene, leaving.job) == {number: Outcome.RELEASED}


def test_a_parked_release_keeps_it_until_somebody_has_looked_at_it(scene: Scene) -> None:
    number = spare(scene)
    leaving = scene.submit(Release(numbers=(number,)))
    scene.sandbox.add_fault("release", "refuse", status=200, body={"success": True}, times=None)
    scene.finish(leaving)
    assert scene.view(leaving).state is JobState.NEEDS_REVIEW
    quarantine_is_over(scene)
    assert ordered(scene) == []
    Didflow(scene.ledger.client, scene.ledger.keys.namespace).resolve(leaving.id, ())
    assert not scene.ledger.client.exists(f"{scene.ledger.keys.namespace}:going:default")
    assert ordered(scene) == [number]


def test_one_that_stays_may_be_given_out_again(scene: Scene) -> None:
    number = spare(scene)
    leaving = scene.submit(Release(numbers=(number,)))
    scene.sandbox.add_fault("release", "refuse", times=None)
    scene.finish(leaving)
    assert outcomes(scene, leaving) == {number: Outcome.REFUSED}
    quarantine_is_over(scene)
    assert ordered(scene) == [number]


def test_one_that_was_called_off_before_its_call_may_be_given_out_again(scene: Scene) -> None:
    number = spare(scene)
    leaving = Attempt(scene, scene.submit(Release(numbers=(number,), grace=GRACE, parking=PARKING)))
    leaving.end()
    scene.clock.pass_ms(int(GRACE.total_seconds() * 1000))
    scene.make_due(leaving.job)
    leaving = Attempt(scene, leaving.job)
    leaving.to("after:quarantine")
    scene.cancel(leaving.job)
    leaving.end()
    scene.finish(leaving.job)
    assert scene.view(leaving.job).state is JobState.CANCELLED
    quarantine_is_over(scene)
    assert ordered(scene) == [number]
    assert scene.routes()[number] == [PBX[0].destination]
