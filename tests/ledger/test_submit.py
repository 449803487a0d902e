"""A job is accepted once, whole or not at all."""

import json
import threading
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.errors import IdempotencyConflict, InvalidRequest, JobNotFound
from didflow.contract.requests import Release, Request, Reroute, SearchAndBuy
from didflow.contract.states import JobState
from didflow.ledger import script_calls
from didflow.ledger.ledger import Ledger
from didflow.ledger.script_calls import Submission
from tests.support.ledger_roles import claimed, finished, states, stream, submitted

PBX = Destination.sip("pbx@example.net")


def test_a_new_job_is_queued_emitted_and_nudged(ledger: Ledger) -> None:
    job = submitted(ledger)
    assert job.is_new
    assert ledger.get(job.id).state is JobState.QUEUED
    assert states(ledger, "events") == ["queued"]
    assert ledger.client.llen(ledger.keys.broker + ":money") == 1


def test_the_same_key_and_request_is_the_same_job(ledger: Ledger) -> None:
    first, second = submitted(ledger, "order-1"), submitted(ledger, "order-1")
    assert (second.id, second.is_new) == (first.id, False)
    assert ledger.client.llen(ledger.keys.broker + ":money") == 1


def test_the_same_key_still_finds_the_job_after_its_end(ledger: Ledger) -> None:
    first = submitted(ledger, "order-1")
    finished(ledger, claimed(ledger, first.id))
    again = submitted(ledger, "order-1")
    assert (again.id, again.is_new, again.state) == (first.id, False, JobState.SUCCEEDED)


def test_the_same_key_with_another_request_is_a_conflict(ledger: Ledger) -> None:
    first = submitted(ledger, "order-1")
    with pytest.raises(IdempotencyConflict) as conflict:
        submitted(ledger, "order-1", country="CA")
    assert conflict.value.job_id == first.id
    assert sum(ledger.counts().values()) == 1


SAME = [
    (SearchAndBuy(country="US", max_monthly_usd=Decimal("2.5")), SearchAndBuy(country="US", max_monthly_usd=Decimal("2.50"))),
    (SearchAndBuy(country="US", max_total_usd=Decimal(10)), SearchAndBuy(country="US", max_total_usd=Decimal("1E1"))),
    (SearchAndBuy(country="US"), SearchAndBuy(country="US", quantity=1, sms=False, destinations=())),
    (
        Reroute(numbers=("+12135550100",), destinations=(PBX,), deadline=datetime(2030, 1, 1, tzinfo=UTC)),
        Reroute(numbers=("12135550100",), destinations=(PBX,), deadline=datetime(2030, 1, 2, tzinfo=UTC)),
    ),
]
OTHER = [
    (SearchAndBuy(country="US", max_monthly_usd=Decimal("2.5")), SearchAndBuy(country="US", max_setup_usd=Decimal("2.5"))),
    (SearchAndBuy(country="US", max_monthly_usd=Decimal(0)), SearchAndBuy(country="US")),
    (SearchAndBuy(country="US"), SearchAndBuy(country="US", dry_run=True)),
    (Reroute(numbers=("+12135550100",), destinations=(PBX,)), Reroute(numbers=("+12135550101",), destinations=(PBX,))),
    (Reroute(record_ids=(1,), destinations=(PBX,)), Release(record_ids=(1,))),
    (Reroute(record_ids=(1,), destinations=(PBX,)), Reroute(record_ids=(1,), destinations=(Destination.trunk(144),))),
]


@pytest.mark.parametrize(("one", "again"), SAME, ids=["cents", "exponent", "defaults", "deadline"])
def test_a_request_is_the_same_however_it_is_written(ledger: Ledger, one: Request, again: Request) -> None:
    first = ledger.submit(Submission(one, idempotency_key="order-1"))
    assert ledger.submit(Submission(again, idempotency_key="order-1")).id == first.id


@pytest.mark.parametrize(("one", "other"), OTHER, ids=["field", "zero", "dry run", "numbers", "kind", "destination"])
def test_a_request_that_asks_for_something_else_is_another(ledger: Ledger, one: Request, other: Request) -> None:
    ledger.submit(Submission(one, idempotency_key="order-1"))
    with pytest.raises(IdempotencyConflict):
        ledger.submit(Submission(other, idempotency_key="order-1"))


def test_the_same_key_for_another_account_is_a_conflict(ledger: Ledger) -> None:
    submitted(ledger, "order-1")
    with pytest.raises(IdempotencyConflict):
        submitted(ledger, "order-1", account="other")


def test_a_submit_whose_reply_was_lost_may_be_sent_again(ledger: Ledger) -> None:
    call = script_calls.submit(Submission(SearchAndBuy(country="US")), job_id="0" * 26)
    assert ledger.run(call) == ledger.run(call)
    assert states(ledger, "events") == ["queued"]


def test_fifty_threads_with_one_key_make_one_job(ledger: Ledger) -> None:
    barrier, jobs = threading.Barrier(50), []

    def submit() -> None:
        barrier.wait()
        jobs.append(submitted(ledger, "order-1"))

    threads = [threading.Thread(target=submit) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(jobs) == 50
    assert len({job.id for job in jobs}) == 1
    assert sum(job.is_new for job in jobs) == 1


def test_many_are_submitted_in_one_pipeline_and_one_conflict_stops_no_other(ledger: Ledger) -> None:
    submitted(ledger, "taken")
    batch = [script_calls.submit(Submission(SearchAndBuy(country="CA"), idempotency_key=key)) for key in ("a", "taken", "b")]
    first, conflict, last = ledger.perform(ledger.commands.run_many(tuple(batch)))
    assert isinstance(conflict, IdempotencyConflict)
    assert not isinstance(first, Exception)
    assert not isinstance(last, Exception)
    assert first.is_new
    assert last.is_new


def test_every_fault_of_a_submit_is_named_at_once(ledger: Ledger) -> None:
    with pytest.raises(InvalidRequest) as invalid:
        submitted(ledger, "k" * 201, reference="a\x1b[31m", priority=11)
    assert [where for where, _ in invalid.value.faults] == ["idempotency_key", "reference", "priority"]
    assert sum(ledger.counts().values()) == 0


def test_a_job_is_found_by_key_by_reference_and_by_state(ledger: Ledger) -> None:
    job = submitted(ledger, "order-1", reference="customer-9")
    submitted(ledger, "order-2", reference="customer-8")
    assert [view.id for view in ledger.perform(ledger.commands.find(idempotency_key="order-1"))] == [job.id]
    assert [view.id for view in ledger.perform(ledger.commands.find(reference="customer-9"))] == [job.id]
    assert len(ledger.perform(ledger.commands.find(state=JobState.QUEUED))) == 2
    assert ledger.perform(ledger.commands.find(state=JobState.FAILED)) == ()


def test_a_job_that_is_not_there_is_said_so(ledger: Ledger) -> None:
    with pytest.raises(JobNotFound):
        ledger.get("nope")


def test_an_event_is_a_cloudevent_with_json_that_needs_no_second_look(ledger: Ledger) -> None:
    job = submitted(ledger, 'order-"1"', reference="Ünïcode ✓")
    event = stream(ledger, "events")[0]
    assert event["id"] == f"{job.id}:1"
    assert event["specversion"] == "1.0"
    body = json.loads(event["data"])
    assert (body["job"], body["idempotency_key"], body["reference"]) == (job.id, 'order-"1"', "Ünïcode ✓")


def test_a_low_priority_number_goes_to_the_front_of_its_lane(ledger: Ledger) -> None:
    submitted(ledger)
    urgent = submitted(ledger, priority=1)
    head = ledger.client.lindex(ledger.keys.broker + ":money", 0)
    assert str(head).startswith(urgent.id)
