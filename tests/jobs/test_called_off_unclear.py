"""A release without an answer that was called off: its calls go where they went before, and whoever decides later finds nothing parked."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis

from didflow import Didflow
from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job
from didflow.contract.requests import Release, SearchAndBuy
from didflow.contract.states import JobState, Outcome
from producers.churn import Churn
from tests.jobs.test_parked_and_routed import PARKING, away, counting_down, goes_to, outcome
from tests.support.simulation.simulation import Attempt, Scene

GRACE = timedelta(hours=1)
SETTLE_LIMIT_MS = 600_000


@pytest.fixture
def scene(quick_valkey: redis.Redis) -> Iterator[Scene]:
    scene = Scene(quick_valkey)
    yield scene
    scene.close()


def due(scene: Scene, *numbers: str) -> Job:
    """A release whose numbers are parked and whose time has come."""
    job = counting_down(scene, Release(numbers=numbers, grace=GRACE, parking=PARKING))
    scene.clock.pass_ms(int(GRACE.total_seconds() * 1000))
    scene.make_due(job)
    return job


def called_off_unclear(scene: Scene, *numbers: str, fault: str = "drop") -> Job:
    job = due(scene, *numbers)
    scene.sandbox.add_fault("release", fault)
    scene.run(job)
    scene.cancel(job)
    scene.finish(job)
    return job


def code(scene: Scene, job: Job) -> str | None:
    error = scene.view(job).error
    return error.code if error else None


def resolve(scene: Scene, job: Job, *gone: str) -> None:
    Didflow(scene.ledger.client, scene.ledger.keys.namespace).resolve(job.id, gone)


def follow_up(scene: Scene, job: Job) -> Job:
    view = scene.ledger.get(f"{job.id}-unpark")
    return Job(view.id, True, view.state)


def test_what_is_still_there_after_the_settle_time_has_its_route_before_the_job_is_parked(scene: Scene) -> None:
    numbers = scene.own(2)
    job = called_off_unclear(scene, *numbers)
    assert (scene.view(job).state, code(scene, job)) == (JobState.NEEDS_REVIEW, "release_unclear")
    assert {outcome(scene, job, number) for number in numbers} == {Outcome.UNCLEAR}
    assert {goes_to(scene, number) for number in numbers} == {"old"}


def test_a_retry_does_not_park_it_again(scene: Scene) -> None:
    (number,) = scene.own(1)
    job = called_off_unclear(scene, number)
    scene.retry(job)
    scene.finish(job)
    assert (scene.view(job).state, goes_to(scene, number)) == (JobState.NEEDS_REVIEW, "old")
    scene.clock.pass_ms(SETTLE_LIMIT_MS)
    scene.retry(job)
    scene.finish(job)
    assert scene.view(job).state is JobState.CANCELLED, "nothing that was sent acts so late"
    assert (outcome(scene, job, number), goes_to(scene, number)) == (Outcome.CONFIRMED, "old")


def test_a_job_that_was_parked_with_its_number_parked_is_unparked_by_a_retry(scene: Scene) -> None:
    """As an older worker left it: the way back was refused when it wound up."""
    (number,) = scene.own(1)
    job = due(scene, number)
    scene.sandbox.add_fault("release", "drop")
    scene.run(job)
    scene.cancel(job)
    scene.sandbox.add_fault("destinations", "refuse", times=None)
    scene.finish(job)
    assert (scene.view(job).state, goes_to(scene, number)) == (JobState.NEEDS_REVIEW, "parked")
    scene.sandbox.clear_faults()
    scene.retry(job)
    scene.finish(job)
    assert (scene.view(job).state, goes_to(scene, number)) == (JobState.NEEDS_REVIEW, "old")


@pytest.mark.parametrize("acts", ["before the way back", "after it"])
def test_a_call_that_acts_late_after_all_is_found(scene: Scene, acts: str) -> None:
    (number,) = scene.own(1)
    job = due(scene, number)
    scene.sandbox.fly("release")
    scene.run(job)
    scene.cancel(job)
    if acts == "before the way back":
        scene.make_due(job)
        winding_up = Attempt(scene, job)
        if winding_up.until(lambda at: at == "before:set_route"):
            scene.sandbox.land(0)
        winding_up.end()
    while scene.view(job).state is not JobState.NEEDS_REVIEW and number in scene.routes():
        scene.make_due(job)
        winding_up = Attempt(scene, job)
        if acts == "before the way back" and winding_up.until(lambda at: at == "before:set_route"):
            scene.sandbox.land(0)
        winding_up.end()
    if acts == "after it":
        assert goes_to(scene, number) == "old"
        scene.sandbox.land(0)
        scene.retry(job)
    scene.finish(job)
    assert scene.view(job).state is JobState.PARTIAL or scene.view(job).state is JobState.SUCCEEDED
    assert outcome(scene, job, number) is Outcome.RELEASED


def test_one_that_is_still_there_is_not_held_back_by_one_that_went(scene: Scene) -> None:
    gone, here = scene.own(2)
    job = due(scene, gone, here)
    scene.sandbox.add_fault("release", "drop")
    scene.run(job)
    record = scene.sandbox.owned()[gone[1:]]["record_id"]
    scene.provider.release([int(record)])
    scene.cancel(job)
    scene.finish(job)
    assert (outcome(scene, job, gone), outcome(scene, job, here)) == (Outcome.RELEASED, Outcome.UNCLEAR)
    assert goes_to(scene, here) == "old"


def test_an_older_failover_moves_it_once_it_is_back(scene: Scene) -> None:
    (number,) = scene.own(1)
    moving = scene.submit(away([number]))
    called_off_unclear(scene, number)
    scene.finish(moving)
    assert goes_to(scene, number) == "backup"


# Nobody called it off: it is parked, and a person decides.


def unclear_and_parked(scene: Scene, *numbers: str) -> Job:
    job = due(scene, *numbers)
    scene.sandbox.add_fault("release", "refuse", status=200, body={"success": True}, times=None)
    scene.finish(job)
    assert scene.view(job).state is JobState.NEEDS_REVIEW
    assert {goes_to(scene, number) for number in numbers} == {"parked"}
    scene.sandbox.clear_faults()
    return job


def test_resolved_as_not_released_it_gets_its_route_back(scene: Scene) -> None:
    numbers = scene.own(2)
    job = unclear_and_parked(scene, *numbers)
    resolve(scene, job)
    assert scene.view(job).state is JobState.FAILED
    back = follow_up(scene, job)
    scene.finish(back)
    assert scene.view(back).state is JobState.SUCCEEDED
    assert {goes_to(scene, number) for number in numbers} == {"old"}
    assert not scene.ledger.client.exists(scene.ledger.keys.parked("default"))


def test_of_two_one_went_the_other_gets_its_route_back(scene: Scene) -> None:
    gone, here = scene.own(2)
    job = unclear_and_parked(scene, gone, here)
    scene.provider.release([int(scene.sandbox.owned()[gone[1:]]["record_id"])])
    resolve(scene, job, gone)
    back = follow_up(scene, job)
    scene.finish(back)
    assert scene.routes() == {here: ["old@example.net"]}


def test_resolved_it_goes_where_a_failover_wanted_it_meanwhile(scene: Scene) -> None:
    (number,) = scene.own(1)
    moving = scene.submit(away([number]))
    job = unclear_and_parked(scene, number)
    scene.finish(moving)
    assert outcome(scene, moving, number) is Outcome.SUPERSEDED
    resolve(scene, job)
    scene.finish(follow_up(scene, job))
    assert goes_to(scene, number) == "backup"


def test_what_somebody_has_routed_since_stays(scene: Scene) -> None:
    (number,) = scene.own(1)
    job = unclear_and_parked(scene, number)
    scene.clock.pass_ms(60_000)
    scene.finish(scene.submit(away([number], (Destination.sip("other@example.net"),))))
    resolve(scene, job)
    scene.finish(follow_up(scene, job))
    assert goes_to(scene, number) == "other"


def test_what_is_back_already_or_was_never_parked_leaves_nothing_behind(scene: Scene) -> None:
    numbers = scene.own(1)
    back = called_off_unclear(scene, *numbers)
    scene.retry(back)
    scene.finish(back)
    resolve(scene, back)
    assert not scene.ledger.client.exists(scene.ledger.keys.job(f"{back.id}-unpark"))
    plain = scene.submit(Release(numbers=tuple(scene.own(1))))
    scene.sandbox.add_fault("release", "refuse", status=200, body={"success": True}, times=None)
    scene.finish(plain)
    resolve(scene, plain)
    assert not scene.ledger.client.exists(scene.ledger.keys.job(f"{plain.id}-unpark"))


def test_another_release_after_it_knows_the_route_that_it_had(scene: Scene) -> None:
    """It begins before the follow-up."""
    (number,) = scene.own(1)
    job = unclear_and_parked(scene, number)
    resolve(scene, job)
    second = counting_down(scene, Release(numbers=(number,), grace=GRACE, parking=PARKING))
    scene.finish(follow_up(scene, job))
    scene.cancel(second)
    scene.finish(second)
    assert goes_to(scene, number) == "old"


# A parked release is called off


def test_a_parked_release_that_is_called_off_is_wound_up(scene: Scene) -> None:
    (number,) = scene.own(1)
    job = unclear_and_parked(scene, number)
    scene.cancel(job)
    scene.retried.append(job.id)
    scene.finish(job)
    assert goes_to(scene, number) == "old"
    scene.clock.pass_ms(SETTLE_LIMIT_MS)
    scene.retry(job)
    scene.finish(job)
    assert scene.view(job).state is JobState.CANCELLED
    assert number in scene.routes()


def test_a_customer_who_comes_back_is_not_told_that_a_number_is_kept_that_may_go(scene: Scene) -> None:
    order = scene.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",)), reference="acme")
    scene.finish(order)
    (number,) = scene.routes()
    churn = Churn(Didflow(scene.ledger.client, scene.ledger.keys.namespace))
    leaving = scene.submit(Release(numbers=(number,), expected_reference="acme"), reference="acme")
    scene.sandbox.fly("release")
    scene.run(leaving)
    found = churn.returned("acme")
    assert (found.outcome, found.kept, found.unclear, found.gone) == ("unclear", (), (number,), ())
    scene.finish(leaving)
    assert churn.returned("acme").unclear == (number,)
    scene.sandbox.land(0)
    scene.finish(leaving)
    found = churn.returned("acme")
    assert (found.outcome, found.kept, found.unclear, found.gone) == ("gone", (), (), (number,))


def test_called_off_it_counts_its_attempts_and_deaths_anew(scene: Scene) -> None:
    (number,) = scene.own(1)
    job = unclear_and_parked(scene, number)
    scene.ledger.client.hset(scene.ledger.keys.job(job.id), mapping={"attempt": "3", "crashes": "2", "deaths": "1|1|worker-1"})
    scene.cancel(job)
    fields = scene.ledger.client.hmget(scene.ledger.keys.job(job.id), ["attempt", "crashes", "crashes_alone", "deaths", "cancel"])
    assert fields == ["0", "0", "0", "", "1"]
