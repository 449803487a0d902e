"""A cancelled release without an answer: its calls go where they went before, and a person who decides later finds nothing parked."""

from datetime import timedelta

import pytest

from didflow import Didflow
from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job
from didflow.contract.requests import Release, SearchAndBuy
from didflow.contract.states import JobState, Outcome
from producers.churn import Churn
from tests.support.simulation.parked_releases import PARKING, away, counting_down, goes_to, outcome
from tests.support.simulation.simulation import Attempt, Simulation

GRACE = timedelta(hours=1)
SETTLE_LIMIT_MS = 600_000


def due(simulation: Simulation, *numbers: str) -> Job:
    """A release whose numbers are parked and whose time has come."""
    job = counting_down(simulation, Release(numbers=numbers, grace=GRACE, parking=PARKING))
    simulation.clock.pass_ms(int(GRACE.total_seconds() * 1000))
    simulation.make_due(job)
    return job


def called_off_unclear(simulation: Simulation, *numbers: str, fault: str = "drop") -> Job:
    job = due(simulation, *numbers)
    simulation.sandbox.add_fault("release", fault)
    simulation.run(job)
    simulation.cancel(job)
    simulation.finish(job)
    return job


def code(simulation: Simulation, job: Job) -> str | None:
    error = simulation.view(job).error
    return error.code if error else None


def resolve(simulation: Simulation, job: Job, *gone: str) -> None:
    Didflow(simulation.ledger.client, simulation.ledger.keys.namespace).resolve(job.id, gone)


def follow_up(simulation: Simulation, job: Job) -> Job:
    view = simulation.ledger.get(f"{job.id}-unpark")
    return Job(view.id, True, view.state)


def test_what_is_still_there_after_the_settle_time_has_its_route_before_the_job_is_parked(simulation: Simulation) -> None:
    numbers = simulation.own(2)
    job = called_off_unclear(simulation, *numbers)
    assert (simulation.view(job).state, code(simulation, job)) == (JobState.NEEDS_REVIEW, "release_unclear")
    assert {outcome(simulation, job, number) for number in numbers} == {Outcome.UNCLEAR}
    assert {goes_to(simulation, number) for number in numbers} == {"old"}


def test_a_retry_does_not_park_it_again(simulation: Simulation) -> None:
    (number,) = simulation.own(1)
    job = called_off_unclear(simulation, number)
    simulation.retry(job)
    simulation.finish(job)
    assert (simulation.view(job).state, goes_to(simulation, number)) == (JobState.NEEDS_REVIEW, "old")
    simulation.clock.pass_ms(SETTLE_LIMIT_MS)
    simulation.retry(job)
    simulation.finish(job)
    assert simulation.view(job).state is JobState.CANCELLED, "nothing that was sent acts so late"
    assert (outcome(simulation, job, number), goes_to(simulation, number)) == (Outcome.CONFIRMED, "old")


def test_a_job_that_was_parked_with_its_number_parked_is_unparked_by_a_retry(simulation: Simulation) -> None:
    """As an older worker left it: the way back was refused when it ended."""
    (number,) = simulation.own(1)
    job = due(simulation, number)
    simulation.sandbox.add_fault("release", "drop")
    simulation.run(job)
    simulation.cancel(job)
    simulation.sandbox.add_fault("destinations", "refuse", times=None)
    simulation.finish(job)
    assert (simulation.view(job).state, goes_to(simulation, number)) == (JobState.NEEDS_REVIEW, "parked")
    simulation.sandbox.clear_faults()
    simulation.retry(job)
    simulation.finish(job)
    assert (simulation.view(job).state, goes_to(simulation, number)) == (JobState.NEEDS_REVIEW, "old")


@pytest.mark.parametrize("acts", ["before the way back", "after it"])
def test_a_call_that_acts_late_after_all_is_found(simulation: Simulation, acts: str) -> None:
    (number,) = simulation.own(1)
    job = due(simulation, number)
    simulation.sandbox.fly("release")
    simulation.run(job)
    simulation.cancel(job)
    if acts == "before the way back":
        simulation.make_due(job)
        winding_up = Attempt(simulation, job)
        if winding_up.until(lambda at: at == "before:set_route"):
            simulation.sandbox.land(0)
        winding_up.end()
    while simulation.view(job).state is not JobState.NEEDS_REVIEW and number in simulation.routes():
        simulation.make_due(job)
        winding_up = Attempt(simulation, job)
        if acts == "before the way back" and winding_up.until(lambda at: at == "before:set_route"):
            simulation.sandbox.land(0)
        winding_up.end()
    if acts == "after it":
        assert goes_to(simulation, number) == "old"
        simulation.sandbox.land(0)
        simulation.retry(job)
    simulation.finish(job)
    assert simulation.view(job).state is JobState.PARTIAL or simulation.view(job).state is JobState.SUCCEEDED
    assert outcome(simulation, job, number) is Outcome.RELEASED


def test_one_that_is_still_there_is_not_held_back_by_one_that_went(simulation: Simulation) -> None:
    gone, here = simulation.own(2)
    job = due(simulation, gone, here)
    simulation.sandbox.add_fault("release", "drop")
    simulation.run(job)
    record = simulation.sandbox.owned()[gone[1:]]["record_id"]
    simulation.provider.release([int(record)])
    simulation.cancel(job)
    simulation.finish(job)
    assert (outcome(simulation, job, gone), outcome(simulation, job, here)) == (Outcome.RELEASED, Outcome.UNCLEAR)
    assert goes_to(simulation, here) == "old"


def test_an_older_failover_reroutes_it_once_it_is_back(simulation: Simulation) -> None:
    (number,) = simulation.own(1)
    moving = simulation.submit(away([number]))
    called_off_unclear(simulation, number)
    simulation.finish(moving)
    assert goes_to(simulation, number) == "backup"


# Nobody cancelled it: it is parked, and a person decides.


def unclear_and_parked(simulation: Simulation, *numbers: str) -> Job:
    job = due(simulation, *numbers)
    simulation.sandbox.add_fault("release", "refuse", status=200, body={"success": True}, times=None)
    simulation.finish(job)
    assert simulation.view(job).state is JobState.NEEDS_REVIEW
    assert {goes_to(simulation, number) for number in numbers} == {"parked"}
    simulation.sandbox.clear_faults()
    return job


def test_resolved_as_not_released_it_gets_its_route_back(simulation: Simulation) -> None:
    numbers = simulation.own(2)
    job = unclear_and_parked(simulation, *numbers)
    resolve(simulation, job)
    assert simulation.view(job).state is JobState.FAILED
    back = follow_up(simulation, job)
    simulation.finish(back)
    assert simulation.view(back).state is JobState.SUCCEEDED
    assert {goes_to(simulation, number) for number in numbers} == {"old"}
    assert not simulation.ledger.client.exists(simulation.ledger.keys.parked("default"))


def test_of_two_one_went_the_other_gets_its_route_back(simulation: Simulation) -> None:
    gone, here = simulation.own(2)
    job = unclear_and_parked(simulation, gone, here)
    simulation.provider.release([int(simulation.sandbox.owned()[gone[1:]]["record_id"])])
    resolve(simulation, job, gone)
    back = follow_up(simulation, job)
    simulation.finish(back)
    assert simulation.routes() == {here: ["old@example.net"]}


def test_resolved_it_goes_where_a_failover_wanted_it_meanwhile(simulation: Simulation) -> None:
    (number,) = simulation.own(1)
    moving = simulation.submit(away([number]))
    job = unclear_and_parked(simulation, number)
    simulation.finish(moving)
    assert outcome(simulation, moving, number) is Outcome.SUPERSEDED
    resolve(simulation, job)
    simulation.finish(follow_up(simulation, job))
    assert goes_to(simulation, number) == "backup"


def test_a_route_that_a_person_has_changed_since_stays(simulation: Simulation) -> None:
    (number,) = simulation.own(1)
    job = unclear_and_parked(simulation, number)
    simulation.clock.pass_ms(60_000)
    simulation.finish(simulation.submit(away([number], (Destination.sip("other@example.net"),))))
    resolve(simulation, job)
    simulation.finish(follow_up(simulation, job))
    assert goes_to(simulation, number) == "other"


def test_what_is_back_already_or_was_never_parked_leaves_nothing_behind(simulation: Simulation) -> None:
    numbers = simulation.own(1)
    back = called_off_unclear(simulation, *numbers)
    simulation.retry(back)
    simulation.finish(back)
    resolve(simulation, back)
    assert not simulation.ledger.client.exists(simulation.ledger.keys.job(f"{back.id}-unpark"))
    plain = simulation.submit(Release(numbers=tuple(simulation.own(1))))
    simulation.sandbox.add_fault("release", "refuse", status=200, body={"success": True}, times=None)
    simulation.finish(plain)
    resolve(simulation, plain)
    assert not simulation.ledger.client.exists(simulation.ledger.keys.job(f"{plain.id}-unpark"))


def test_another_release_after_it_knows_the_route_that_it_had(simulation: Simulation) -> None:
    """It begins before the follow-up."""
    (number,) = simulation.own(1)
    job = unclear_and_parked(simulation, number)
    resolve(simulation, job)
    second = counting_down(simulation, Release(numbers=(number,), grace=GRACE, parking=PARKING))
    simulation.finish(follow_up(simulation, job))
    simulation.cancel(second)
    simulation.finish(second)
    assert goes_to(simulation, number) == "old"


# A parked release is cancelled


def test_a_parked_release_that_is_called_off_is_wound_up(simulation: Simulation) -> None:
    (number,) = simulation.own(1)
    job = unclear_and_parked(simulation, number)
    simulation.cancel(job)
    simulation.retried.append(job.id)
    simulation.finish(job)
    assert goes_to(simulation, number) == "old"
    simulation.clock.pass_ms(SETTLE_LIMIT_MS)
    simulation.retry(job)
    simulation.finish(job)
    assert simulation.view(job).state is JobState.CANCELLED
    assert number in simulation.routes()


def test_a_returning_customer_gets_no_promise_of_a_number_that_may_go(simulation: Simulation) -> None:
    order = simulation.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",)), reference="acme")
    simulation.finish(order)
    (number,) = simulation.routes()
    churn = Churn(Didflow(simulation.ledger.client, simulation.ledger.keys.namespace))
    leaving = simulation.submit(Release(numbers=(number,), expected_reference="acme"), reference="acme")
    simulation.sandbox.fly("release")
    simulation.run(leaving)
    found = churn.returned("acme")
    assert (found.outcome, found.kept, found.unclear, found.gone) == ("unclear", (), (number,), ())
    simulation.finish(leaving)
    assert churn.returned("acme").unclear == (number,)
    simulation.sandbox.land(0)
    simulation.finish(leaving)
    found = churn.returned("acme")
    assert (found.outcome, found.kept, found.unclear, found.gone) == ("gone", (), (), (number,))


def test_a_cancel_restarts_its_count_of_attempts_and_deaths(simulation: Simulation) -> None:
    (number,) = simulation.own(1)
    job = unclear_and_parked(simulation, number)
    simulation.ledger.client.hset(
        simulation.ledger.keys.job(job.id),
        mapping={"attempt": "3", "crashes": "2", "deaths": '[{"alone":true,"lease_ended_ms":1,"worker":"worker-1"}]'},
    )
    simulation.cancel(job)
    fields = simulation.ledger.client.hmget(simulation.ledger.keys.job(job.id), ["attempt", "crashes", "crashes_alone", "deaths", "cancel"])
    assert fields == ["0", "0", "0", "", "1"]
