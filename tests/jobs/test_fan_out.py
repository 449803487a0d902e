"""A large job and its batches: every number once and exactly reported, whatever is repeated, lost, killed, or ends in another order."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job
from didflow.contract.progress import Tally
from didflow.contract.requests import Failback, Reroute, Selector
from didflow.contract.states import REPORTED, Outcome, WaitReason
from didflow.ledger import script_calls
from didflow.ledger.ledger import Claim
from didflow.ledger.progress import tally
from tests.support.cluster import until
from tests.support.fan_out import batches, fanning, play, run_batch
from tests.support.inline_worker import InlineWorker, outcomes, result_of
from worker.attempt.fault_points import watched_ledger
from worker.attempt.runner import JobRunner

__all__ = ["fanning"]

BACKUP = Destination.sip("backup@example.net")
AWAY = Reroute(selector=Selector(all=True), destinations=(BACKUP,))


@pytest.mark.parametrize("seed", range(5))
def test_batches_in_any_order_reroute_every_number_once_and_back(fanning: InlineWorker, seed: int) -> None:
    one, two = fanning.own(53, "sip:one@example.net"), fanning.own(24, "sip:two@example.net")
    job = fanning.submit(AWAY)
    view = play(fanning, job, order=random.Random(seed))
    assert view.state == "succeeded"
    assert outcomes(view) == dict.fromkeys(one + two, "confirmed")
    assert view.progress == "77 of 77 numbers"
    assert fanning.sandbox.state()["calls"]["destinations"] == 8
    back = play(fanning, fanning.submit(Failback(job_id=job.id)), order=random.Random(seed))
    assert back.state == "succeeded"
    assert fanning.routes() == {number: ["one@example.net"] for number in one} | {number: ["two@example.net"] for number in two}


def test_what_is_repeated_or_comes_late_changes_nothing(fanning: InlineWorker) -> None:
    ours = fanning.own(41)
    job = fanning.submit(AWAY)
    fanning.attempt(job)
    first = batches(fanning, job)
    assert len(first) == 5
    run_batch(fanning, first[0])
    assert run_batch(fanning, first[0]).state == "succeeded", "once more: it has ended, and nothing is sent"
    fanning.make_due(job)
    fanning.attempt(job)
    assert batches(fanning, job) == first[1:], "a parent that looks too early waits on, and submits no batch again"
    assert fanning.ledger.get(job.id).progress == "10 of 41 numbers"
    view = play(fanning, job)
    assert outcomes(view) == dict.fromkeys(ours, "confirmed")
    assert fanning.sandbox.state()["calls"]["destinations"] == 5
    assert [event for event in fanning.event_types() if not event.startswith("didflow.job.")] == []
    assert {job.id} == {found.id for found in fanning.ledger.perform(fanning.ledger.commands.find())}, "batches are in no list"


def test_a_large_job_shows_how_many_of_its_batches_are_in_flight(fanning: InlineWorker) -> None:
    fanning.own(41)
    job = fanning.submit(AWAY)

    def reported() -> Tally:
        return fanning.ledger.perform(tally(fanning.ledger.keys, job.id))

    assert reported() == Tally(0, {})
    fanning.attempt(job)
    assert reported() == Tally(41, {}, batches=5, batches_running=0)
    first, second, *_ = batches(fanning, job)
    run_batch(fanning, first)
    assert isinstance(fanning.ledger.claim(second.id, "a worker", lease_ms=60_000), Claim)
    assert reported() == Tally(41, {Outcome.ACCEPTED: 10}, batches=4, batches_running=1)


def test_the_last_batch_wakes_its_parent(fanning: InlineWorker) -> None:
    fanning.own(41)
    job = fanning.submit(AWAY)
    assert fanning.attempt(job).reason == WaitReason.DEPENDS
    for batch in reversed(batches(fanning, job)):
        assert fanning.attempt(job).due_at is not None, "not due before"
        run_batch(fanning, batch)
    assert fanning.ledger.get(job.id).due_at is None, "due now"
    assert fanning.attempt(job).state == "succeeded"


def test_the_first_batches_are_there_before_the_others_are_gathered(fanning: InlineWorker) -> None:
    fanning.own(61)
    job, there = fanning.submit(AWAY), list[int]()

    def reached(point: str) -> None:
        if point == "after:fan_out":
            there.append(len(batches(fanning, job)))

    ledger = watched_ledger(fanning.ledger, reached)
    JobRunner(ledger, fanning.settings, fanning.provider, fanning.leases, fanning.stopping).run(job.id)
    assert there == [2, 7]


def test_an_unclear_answer_of_a_batch_is_looked_at_and_only_the_rest_repeated(fanning: InlineWorker) -> None:
    ours = fanning.own(41)
    fanning.sandbox.add_fault("destinations", "act_and_drop")
    fanning.sandbox.add_fault("destinations", "drop", skip=1)
    view = play(fanning, fanning.submit(AWAY))
    assert outcomes(view) == dict.fromkeys(ours, "confirmed")
    assert fanning.sandbox.state()["calls"]["destinations"] == 5 + 1


def test_a_batch_that_never_gets_a_clear_answer_parks_the_job_which_looks_again_when_retried(fanning: InlineWorker) -> None:
    ours = fanning.own(41)
    short = InlineWorker(fanning.ledger, fanning.sandbox, batch_size=10, max_attempts=2)
    short.sandbox.add_fault("destinations", "drop", times=2)
    job = short.submit(AWAY)
    short.attempt(job)
    for _ in range(2):
        run_batch(short, batches(short, job)[0])
    view = play(short, job)
    assert view.state == "needs_review"
    assert Counter(outcomes(view).values()) == {"confirmed": 31, "unclear": 10}
    assert view.error is not None
    assert view.error.code == "route_unclear"
    short.ledger.run(script_calls.retry(job.id))
    again = play(short, job)
    short.close()
    assert again.state == "succeeded"
    assert outcomes(again) == dict.fromkeys(ours, "confirmed")


def test_one_bad_id_costs_a_few_calls_and_nothing_else(fanning: InlineWorker) -> None:
    ours = fanning.own(60)
    job = fanning.submit(AWAY)
    fanning.attempt(job)
    fanning.client.release([int(fanning.sandbox.owned()[ours[33][1:]]["record_id"])])
    view = play(fanning, job)
    assert view.state == "partial"
    assert outcomes(view) == dict.fromkeys(ours, "confirmed") | {ours[33]: "not_found"}
    assert fanning.sandbox.state()["calls"]["destinations"] <= 6 + 2 * 4


def test_cancelled_in_the_middle_it_ends_when_its_batches_have(fanning: InlineWorker) -> None:
    ours = fanning.own(50)
    job = fanning.submit(AWAY)
    fanning.attempt(job)
    first, second, *_ = batches(fanning, job)
    run_batch(fanning, first)
    fanning.sandbox.add_fault("destinations", "rate_limit", seconds=0.0)
    run_batch(fanning, second)  # It has begun, and waits.
    fanning.ledger.run(script_calls.cancel(job.id))
    assert [batch.id for batch in batches(fanning, job)] == [second.id], "those that hadn't begun are gone"
    assert fanning.attempt(job).reason == WaitReason.DEPENDS
    view = play(fanning, job)
    assert view.state == "partial"
    assert view.error is not None
    assert view.error.code == "cancelled"
    assert Counter(outcomes(view).values()) == {"confirmed": 10, "failed": 40}
    assert sum(places == ["backup@example.net"] for places in fanning.routes().values()) == 10
    assert len(ours) == 50


def test_a_deadline_stops_batches_that_were_not_sent(fanning: InlineWorker) -> None:
    fanning.own(41)
    soon = datetime.now(UTC) + timedelta(seconds=1.0)
    job = fanning.submit(AWAY.model_copy(update={"deadline": soon}))
    fanning.attempt(job)
    run_batch(fanning, batches(fanning, job)[0])
    until(lambda: datetime.now(UTC) > soon, what="the deadline")
    view = play(fanning, job)
    assert view.state == "partial"
    assert view.error is not None
    assert view.error.code == "deadline_passed"
    assert Counter(outcomes(view).values()) == {"confirmed": 10, "failed": 31}


def test_the_canary_goes_first_and_stops_the_batches(fanning: InlineWorker) -> None:
    fanning.own(41)
    fanning.sandbox.order("reconfigure", apply_late_s=60.0)
    careful = AWAY.model_copy(update={"canary": 5})
    view = play(fanning, fanning.submit(careful))
    assert view.state == "partial"
    assert view.error is not None
    assert view.error.code == "canary_failed"
    assert Counter(outcomes(view).values()) == {"accepted": 5, "failed": 36}
    fanning.sandbox.order("reconfigure", apply_late_s=0.0)
    assert play(fanning, fanning.submit(careful)).state == "succeeded"


def test_a_canary_without_a_clear_answer_parks_the_whole_job(fanning: InlineWorker) -> None:
    fanning.own(41)
    short = InlineWorker(fanning.ledger, fanning.sandbox, batch_size=10, max_attempts=2)
    short.sandbox.add_fault("destinations", "drop", times=2)
    view = play(short, short.submit(AWAY.model_copy(update={"canary": 5})))
    assert view.state == "needs_review"
    assert len(outcomes(view)) == 41
    short.ledger.run(script_calls.retry(view.id))
    assert set(outcomes(play(short, Job(view.id, False, view.state))).values()) == {"confirmed"}
    short.close()


@pytest.mark.parametrize("seed", range(3))
def test_overlapping_reroutes_of_many_numbers_end_at_the_newest(fanning: InlineWorker, seed: int) -> None:
    ours, order = fanning.own(64), random.Random(seed)
    to = [Destination.sip(f"{name}@example.net") for name in ("first", "second", "third")]
    jobs = [fanning.submit(AWAY.model_copy(update={"destinations": (place,)})) for place in to]
    while left := [job for job in jobs if fanning.ledger.get(job.id).state not in REPORTED]:
        job = order.choice(left)
        for one in order.sample(batches(fanning, job), k=min(3, len(batches(fanning, job)))):
            run_batch(fanning, one)
        fanning.make_due(job)
        fanning.attempt(job)
    assert fanning.routes() == {number: ["third@example.net"] for number in ours}
    newest = outcomes(fanning.ledger.get(jobs[2].id))
    assert dict.fromkeys(ours) == dict.fromkeys(newest)
    assert set(newest.values()) <= {"confirmed"}
    for job in jobs[:2]:
        assert set(outcomes(fanning.ledger.get(job.id)).values()) <= {"confirmed", "superseded", "changed_elsewhere"}


def test_guards_refuse_a_large_job_and_leave_nothing_to_fail_back(fanning: InlineWorker) -> None:
    fanning.own(41)
    guards: dict[str, dict[str, object]] = {"unexpected_count": {"expected_count": 40}, "too_large_fraction": {"max_fraction": 0.5}}
    for code, guard in guards.items():
        job = fanning.submit(AWAY.model_copy(update=guard))
        view = fanning.attempt(job)
        assert (view.state, view.error and view.error.code) == ("failed", code)
        assert fanning.ledger.numbers(job.id) == {}
        back = fanning.run(Failback(job_id=job.id))
        assert back.error is not None
        assert back.error.code == "nothing_to_fail_back"
    assert "destinations" not in fanning.sandbox.state()["calls"]


def test_named_numbers_that_are_not_ours_are_reported_among_many(fanning: InlineWorker) -> None:
    ours = fanning.own(41)
    named = Reroute(numbers=(*ours, "+12135550100", "+12135550101"), destinations=(BACKUP,))
    view = play(fanning, fanning.submit(named))
    assert view.state == "partial"
    assert outcomes(view) == dict.fromkeys(ours, "confirmed") | {"+12135550100": "not_found", "+12135550101": "not_found"}
    back = play(fanning, fanning.submit(Failback(job_id=view.id)))
    assert outcomes(back) == dict.fromkeys(ours, "confirmed"), "what was never ours isn't brought back"


@pytest.mark.parametrize("canary", [None, 40])
def test_a_record_that_can_not_be_read_is_named_among_many(fanning: InlineWorker, canary: int | None) -> None:
    bad, *good = fanning.own(34)
    fanning.sandbox.add_fault("owned", "set_field", field="id", value="1e99999999", record=bad.removeprefix("+"), times=None)
    view = play(fanning, fanning.submit(AWAY.model_copy(update={"canary": canary})))
    assert view.state == "partial"
    assert outcomes(view) == dict.fromkeys(good, "confirmed") | {f"{bad} (unreadable)": "not_found"}
    assert view.error is not None
    assert view.error.code == "unreadable_record"
    fanning.sandbox.clear_faults()
    assert outcomes(play(fanning, fanning.submit(Failback(job_id=view.id)))) == dict.fromkeys(good, "confirmed")


def test_a_failback_of_many_leaves_changed_numbers_alone_and_reports_those_that_left(fanning: InlineWorker) -> None:
    ours = fanning.own(41)
    job = fanning.submit(AWAY)
    play(fanning, job)
    by_hand = [{"transport": 1, "destination": "hand@example.net", "priority": 1}]
    fanning.sandbox.order("set_destinations", number=ours[0][1:], destinations=by_hand)
    fanning.client.release([int(fanning.sandbox.owned()[ours[1][1:]]["record_id"])])
    back = play(fanning, fanning.submit(Failback(job_id=job.id)))
    assert outcomes(back) == dict.fromkeys(ours, "confirmed") | {ours[0]: "changed_elsewhere", ours[1]: "not_found"}
    assert fanning.routes()[ours[0]] == ["hand@example.net"]


def test_what_never_shows_is_accepted_and_what_left_meanwhile_is_not_found(fanning: InlineWorker) -> None:
    ours = fanning.own(41)
    fanning.sandbox.order("reconfigure", apply_late_s=60.0)
    job = fanning.submit(AWAY)
    fanning.attempt(job)
    for batch in batches(fanning, job):
        run_batch(fanning, batch)
    fanning.client.release([int(fanning.sandbox.owned()[ours[7][1:]]["record_id"])])
    view = play(fanning, job)
    assert view.state == "partial"
    assert outcomes(view) == dict.fromkeys(ours, "accepted") | {ours[7]: "not_found"}


def test_a_dry_run_of_many_changes_nothing_and_reports_all(fanning: InlineWorker) -> None:
    ours = fanning.own(41)
    job = fanning.submit(AWAY.model_copy(update={"dry_run": True}))
    view = fanning.attempt(job)
    assert view.state == "succeeded"
    quote = result_of(view).quote
    assert quote is not None
    assert {number.number: number.outcome for number in quote.numbers} == dict.fromkeys(ours)
    assert "destinations" not in fanning.sandbox.state()["calls"]


def test_a_provider_that_is_down_costs_no_attempts(fanning: InlineWorker) -> None:
    fanning.own(41)
    fanning.sandbox.add_fault("destinations", "refuse", times=12, status=503, body={"success": False, "message": "maintenance"})
    fanning.sandbox.add_fault("owned", "refuse", times=6, status=503, body={"success": False, "message": "maintenance"})
    job = fanning.submit(AWAY)
    view = play(fanning, job)
    assert view.state == "succeeded"
    assert view.attempt == 1
