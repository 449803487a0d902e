"""Releases with a time before them: nothing goes too early, everything comes back, and who is called stays."""

import json
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.errors import IdempotencyConflict
from didflow.contract.provider import Yes
from didflow.contract.requests import Release, Reroute, SearchAndBuy
from didflow.ledger import script_calls
from didflow.ledger.replies import CancelRequested
from didflow.ledger.script_calls import Submission
from tests.support.inline_worker import InlineWorker, numbers, outcomes
from tests.support.moved_clock import MovedLedger, inline, ledger, settle
from worker.wavix.sandbox import Sandbox

__all__ = ["inline", "ledger"]

PARKING = (Destination.sip("parked@example.net"),)
WEEK, DAY, HOUR = timedelta(days=7), timedelta(days=1), timedelta(hours=1)


def reported(inline: InlineWorker, kind: str) -> list[dict[str, object]]:
    entries = cast("list[tuple[str, dict[str, str]]]", inline.ledger.client.xrange(inline.ledger.keys.events))
    return [json.loads(fields["data"]) for _, fields in entries if fields["type"] == kind]


def test_a_grace_period_parks_the_numbers_and_ends_with_their_release(inline: InlineWorker, ledger: MovedLedger) -> None:
    ours = inline.own(2)
    job = inline.submit(Release(numbers=tuple(ours), grace=WEEK, parking=PARKING))
    view = settle(inline, ledger, job)
    assert (view.state, view.reason, view.attempt) == ("waiting", "grace", 0)
    assert inline.routes() == {number: ["parked@example.net"] for number in ours}
    ledger.pass_time(WEEK - HOUR)
    assert settle(inline, ledger, job).reason == "grace"
    assert inline.owned() == set(ours)
    ledger.pass_time(HOUR)
    view = settle(inline, ledger, job)
    assert view.state == "succeeded"
    assert outcomes(view) == dict.fromkeys(ours, "released")
    assert not inline.owned()


def test_called_off_in_its_grace_period_a_release_gives_back_the_routes_that_were_there(inline: InlineWorker, ledger: MovedLedger) -> None:
    ours, others = inline.own(2), inline.own(1, to="sip:other@example.net")
    before = inline.routes()
    job = inline.submit(Release(numbers=(*ours, *others), grace=WEEK, parking=PARKING))
    settle(inline, ledger, job)
    settled = settle(inline, ledger, inline.submit(Reroute(numbers=(ours[1],), destinations=(Destination.sip("new@example.net"),))))
    assert settled.state == "succeeded"
    assert ledger.run(script_calls.cancel(job.id)) == CancelRequested()
    view = settle(inline, ledger, job)
    assert view.state == "cancelled"
    assert inline.routes() == before | {ours[1]: ["new@example.net"]}
    assert outcomes(view) == {ours[0]: "confirmed", ours[1]: "changed_elsewhere", others[0]: "confirmed"}
    ledger.pass_time(WEEK)
    assert settle(inline, ledger, job).state == "cancelled"
    assert inline.owned() == {*ours, *others}


@pytest.mark.provider
@pytest.mark.parametrize("pages", ["too_few", "first_only"])
@pytest.mark.parametrize("ends_by", ["cancel", "release"])
def test_a_release_parks_numbers_behind_the_end_of_the_list_and_leaves_none_parked(
    inline: InlineWorker, ledger: MovedLedger, pages: str, ends_by: str
) -> None:
    """Its parking call was accepted, and the list never showed it: the job had failed and left the numbers parked."""
    ours = inline.own(130)
    before, going = inline.routes(), [ours[100], ours[115], ours[129]]  # They share no digits that are worth a search.
    inline.sandbox.order("reconfigure", owned_pages=pages)
    job = inline.submit(Release(numbers=tuple(going), grace=WEEK, parking=PARKING, reusable=True))
    assert settle(inline, ledger, job).reason == "grace"
    assert inline.routes() == before | {number: ["parked@example.net"] for number in going}
    if ends_by == "cancel":
        ledger.run(script_calls.cancel(job.id))
        assert outcomes(settle(inline, ledger, job)) == dict.fromkeys(going, "confirmed")
        assert inline.routes() == before
    else:
        ledger.pass_time(WEEK)
        assert outcomes(settle(inline, ledger, job)) == dict.fromkeys(going, "released")
        assert inline.owned() == set(ours) - set(going)


def test_a_number_that_is_called_stays_with_its_route_and_an_event_reports_it(inline: InlineWorker, ledger: MovedLedger) -> None:
    ours = inline.own(2)
    before = inline.routes()
    job = inline.submit(Release(numbers=tuple(ours), grace=WEEK, parking=PARKING), reference="acme")
    settle(inline, ledger, job)
    inline.sandbox.order("set_number", number=ours[0][1:], seconds=61)
    ledger.pass_time(DAY)
    assert settle(inline, ledger, job).reason == "grace", "the other one still counts down"
    assert inline.routes() == before | {ours[1]: ["parked@example.net"]}
    (event,) = reported(inline, "didflow.release.calls_came.v1")
    assert (event["number"], event["reference"], event["seconds_before"], event["seconds_now"]) == (ours[0], "acme", 0, 61)
    ledger.pass_time(WEEK)
    view = settle(inline, ledger, job)
    assert view.state == "partial"
    assert outcomes(view) == {ours[0]: "in_use", ours[1]: "released"}
    assert len(reported(inline, "didflow.release.calls_came.v1")) == 1
    assert inline.owned() == {ours[0]}


def test_calls_that_came_since_the_last_look_are_seen_before_the_number_goes(inline: InlineWorker, ledger: MovedLedger) -> None:
    (ours,) = inline.own(1)
    job = inline.submit(Release(numbers=(ours,), grace=HOUR))
    settle(inline, ledger, job)
    inline.sandbox.order("set_number", number=ours[1:], seconds=1)
    ledger.pass_time(HOUR)
    assert outcomes(settle(inline, ledger, job)) == {ours: "in_use"}


def test_traffic_may_be_ignored(inline: InlineWorker, ledger: MovedLedger) -> None:
    (ours,) = inline.own(1)
    job = inline.submit(Release(numbers=(ours,), grace=HOUR, stop_on_traffic=False))
    settle(inline, ledger, job)
    inline.sandbox.order("set_number", number=ours[1:], seconds=1)
    ledger.pass_time(HOUR)
    assert outcomes(settle(inline, ledger, job)) == {ours: "released"}


def test_at_a_time_the_record_that_was_there_at_the_submit_goes_and_no_other(inline: InlineWorker, ledger: MovedLedger) -> None:
    ours = inline.own(2)
    job = inline.submit(Release(numbers=tuple(ours), at=ledger.now() + WEEK))
    assert settle(inline, ledger, job).reason == "grace"
    assert isinstance(inline.client.release([int(inline.sandbox.owned()[ours[0][1:]]["record_id"])]), Yes)
    assert isinstance(inline.client.put_in_cart(ours[:1]), Yes)
    assert isinstance(inline.client.check_out(ours[:1]), Yes)
    ledger.pass_time(WEEK - HOUR)
    assert inline.attempt(job).reason == "grace"
    ledger.pass_time(HOUR)
    view = settle(inline, ledger, job)
    assert outcomes(view) == {ours[0]: "already_released", ours[1]: "released"}
    assert inline.owned() == {ours[0]}, "the new purchase of the number isn't touched"


def test_before_a_renewal_means_before_its_date_begins_anywhere(inline: InlineWorker, ledger: MovedLedger) -> None:
    (ours,) = inline.own(1)
    renews = datetime.combine((ledger.now() + timedelta(days=20)).date(), datetime.min.time(), UTC)
    inline.sandbox.order("set_number", number=ours[1:], paid_until=renews.date().isoformat())
    job = inline.submit(Release(numbers=(ours,), before_renewal=DAY))
    settle(inline, ledger, job)
    goes = renews - timedelta(hours=14) - DAY
    ledger.pass_until(goes - HOUR)
    assert settle(inline, ledger, job).reason == "grace"
    ledger.pass_until(goes + timedelta(seconds=2))
    assert settle(inline, ledger, job).state == "succeeded"
    assert ledger.now() < renews - timedelta(hours=14)


def test_a_number_that_was_renewed_meanwhile_is_used_until_the_next_renewal(inline: InlineWorker, ledger: MovedLedger) -> None:
    (ours,) = inline.own(1)
    inline.sandbox.order("set_number", number=ours[1:], paid_until=(ledger.now() + timedelta(days=20)).date().isoformat())
    job = inline.submit(Release(numbers=(ours,), before_renewal=DAY))
    settle(inline, ledger, job)
    inline.sandbox.order("set_number", number=ours[1:], paid_until=(ledger.now() + timedelta(days=50)).date().isoformat())
    ledger.pass_time(timedelta(days=30))
    assert settle(inline, ledger, job).reason == "grace", "nobody worked at the time: the month is paid now"
    assert inline.owned() == {ours}
    ledger.pass_time(timedelta(days=20))
    assert settle(inline, ledger, job).state == "succeeded"


def test_a_parked_number_that_a_person_has_rerouted_is_left_alone(inline: InlineWorker, ledger: MovedLedger) -> None:
    (ours,) = inline.own(1)
    job = inline.submit(Release(numbers=(ours,), grace=HOUR, parking=PARKING))
    settle(inline, ledger, job)
    inline.sandbox.order(
        "set_destinations", number=ours[1:], destinations=[{"transport": 1, "destination": "pbx@new.example", "priority": 1}]
    )
    ledger.pass_time(HOUR)
    view = settle(inline, ledger, job)
    assert outcomes(view) == {ours: "changed_elsewhere"}
    assert inline.routes() == {ours: ["pbx@new.example"]}


def test_a_number_that_can_not_be_parked_is_not_given_back(inline: InlineWorker, ledger: MovedLedger) -> None:
    ours = inline.own(2)
    job = inline.submit(Release(numbers=tuple(ours), grace=HOUR, parking=PARKING))
    inline.sandbox.add_fault("destinations", "refuse", times=2)
    view = settle(inline, ledger, job)
    ledger.pass_time(HOUR)
    view = settle(inline, ledger, job)
    assert sorted(cast("list[str]", list(outcomes(view).values()))) == ["refused", "released"]
    (kept,) = [number for number in numbers(view) if number.outcome == "refused"]
    assert kept.error is not None
    assert kept.error.code == "not_parked"


@pytest.mark.parametrize("kind", ["act_and_drop", "drop", "act_and_hang", "act_then_html"])
def test_called_off_while_parking_had_no_clear_answer_the_old_routes_are_there_in_the_end(
    inline: InlineWorker, ledger: MovedLedger, kind: str
) -> None:
    ours = inline.own(2)
    before = inline.routes()
    job = inline.submit(Release(numbers=tuple(ours), grace=WEEK, parking=PARKING))
    inline.sandbox.add_fault("destinations", kind, seconds=0.5)
    assert inline.attempt(job).reason == "retry"
    ledger.run(script_calls.cancel(job.id))
    assert settle(inline, ledger, job).state == "cancelled"
    assert inline.routes() == before


def test_what_was_bought_for_another_reference_is_not_released(inline: InlineWorker, ledger: MovedLedger) -> None:
    mine, theirs = (
        numbers(settle(inline, ledger, inline.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",)), reference=whose)))[0].number
        for whose in ("acme", "umbrella")
    )
    (unassigned,) = inline.own(1)
    job = inline.submit(Release(numbers=(mine, theirs, unassigned), expected_reference="acme"))
    view = settle(inline, ledger, job)
    assert outcomes(view) == {mine: "released", theirs: "protected", unassigned: "protected"}
    errors = {number.number: number.error.code for number in numbers(view) if number.error}
    assert errors == {theirs: "other_reference", unassigned: "unknown_reference"}
    assert inline.owned() == {theirs, unassigned}


def test_where_its_calls_go_is_looked_at_again_when_it_goes(inline: InlineWorker, ledger: MovedLedger) -> None:
    ours = inline.own(2)
    job = inline.submit(Release(numbers=tuple(ours), grace=HOUR, expected_destination="sip:old@example.net"))
    settle(inline, ledger, job)
    inline.sandbox.order(
        "set_destinations", number=ours[0][1:], destinations=[{"transport": 1, "destination": "x@example.net", "priority": 1}]
    )
    ledger.pass_time(HOUR)
    assert outcomes(settle(inline, ledger, job)) == {ours[0]: "changed_elsewhere", ours[1]: "released"}


def test_a_day_gives_back_at_most_its_cap_over_all_jobs_and_the_rest_goes_the_next_day(ledger: MovedLedger, sandbox: Sandbox) -> None:
    inline = InlineWorker(ledger, sandbox, releases_per_day=3)
    ours = inline.own(8)
    one, other = (inline.submit(Release(numbers=tuple(some))) for some in (ours[:2], ours[2:]))
    assert settle(inline, ledger, one).state == "succeeded"
    view = settle(inline, ledger, other)
    assert (view.state, view.reason) == ("waiting", "daily_cap")
    assert len(inline.owned()) == 5
    for left in (2, 0):
        assert view.due_at is not None
        ledger.pass_until(view.due_at)
        view = settle(inline, ledger, other)
        assert len(inline.owned()) == left
    assert view.state == "succeeded"
    inline.close()


def test_a_worker_that_was_off_for_a_day_releases_what_is_due_and_not_what_was_called_off(
    inline: InlineWorker, ledger: MovedLedger
) -> None:
    ours = inline.own(30)
    jobs = [inline.submit(Release(numbers=(number,), grace=HOUR, parking=PARKING)) for number in ours]
    for job in jobs:
        settle(inline, ledger, job)
    for job in jobs[:10]:
        ledger.run(script_calls.cancel(job.id))
    ledger.pass_time(DAY)
    assert ledger.sweep(max_crashes=5, batch=7).nudged <= 7 * 2
    for job in jobs:
        settle(inline, ledger, job)
    assert inline.owned() == set(ours[:10])
    assert all(inline.routes()[number] == ["old@example.net"] for number in ours[:10])


def test_a_submit_with_the_same_key_is_the_same_job_and_another_time_is_a_conflict(ledger: MovedLedger) -> None:
    at = ledger.now() + WEEK
    first = ledger.submit(Submission(Release(numbers=("+12135550100",), at=at, grace=DAY), idempotency_key="k"))
    again = ledger.submit(Submission(Release(numbers=("+12135550100",), at=at.astimezone(), grace="PT24H"), idempotency_key="k"))
    assert again.id == first.id
    with pytest.raises(IdempotencyConflict):
        ledger.submit(Submission(Release(numbers=("+12135550100",), at=at + HOUR, grace=DAY), idempotency_key="k"))
