"""A failover by selector from the inventory: nothing is listed before the first batch, and what the inventory lacked is moved, too."""

import random

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job, JobView
from didflow.contract.requests import Failback, Reroute, SearchAndBuy, Selector
from didflow.contract.states import JobState, WaitReason
from didflow.ledger import script_calls
from didflow.ledger.progress import tally
from tests.support.fan_out import StopsAfter, batches, fanning, play, run_batch
from tests.support.inline_worker import InlineWorker, numbers, outcomes, result_of
from tests.support.sweeping import sweep
from worker.wavix.reads import READ_ATTEMPTS

__all__ = ["fanning"]

NEW = (Destination.sip("backup@example.net"),)
AWAY = Reroute(selector=Selector(destination="sip:old@example.net"), destinations=NEW)


def listed(inline: InlineWorker) -> int:
    """How often owned numbers were requested."""
    calls = inline.sandbox.state()["calls"]
    return int(calls.get("owned", 0)) + int(calls.get("owned_one", 0))


def begun(inline: InlineWorker, request: Reroute = AWAY) -> tuple[Job, int]:
    """The job after its first attempt, and how often the owned list was read in it."""
    before = listed(inline)
    job = inline.submit(request)
    inline.attempt(job)
    return job, listed(inline) - before


def routes(inline: InlineWorker) -> set[tuple[str, ...]]:
    return set(map(tuple, inline.routes().values()))


def test_nothing_is_listed_before_the_batches_and_the_result_says_how_old_the_inventory_was(fanning: InlineWorker) -> None:
    ours, others = fanning.own(34), fanning.own(9, "sip:other@example.net")
    sweep(fanning)
    job, read = begun(fanning)
    assert (read, fanning.ledger.get(job.id).reason) == (0, WaitReason.DEPENDS)
    view = play(fanning, job)
    assert outcomes(view) == dict.fromkeys(ours, "confirmed")
    age_s = result_of(view).inventory_age_s
    assert age_s is not None
    assert 0 <= age_s < 60
    play(fanning, fanning.submit(Failback(job_id=job.id)))
    assert fanning.routes() == {key: ["old@example.net"] for key in ours} | {key: ["other@example.net"] for key in others}


def test_numbers_that_the_inventory_lacked_are_moved_behind_the_others(fanning: InlineWorker) -> None:
    ours = fanning.own(34)
    sweep(fanning)
    late = fanning.own(13)
    job, read = begun(fanning)
    assert read == 0
    view = play(fanning, job, order=random.Random(7))
    assert outcomes(view) == dict.fromkeys(ours + late, "confirmed")
    assert "13 numbers that the inventory lacked" in [step.detail for step in fanning.story(job) if step.name == "swept"]
    play(fanning, fanning.submit(Failback(job_id=job.id)))
    assert routes(fanning) == {("old@example.net",)}


def test_numbers_without_calls_are_counted_also_those_of_an_earlier_attempt(fanning: InlineWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.jobs.reroute.inventory_snapshot.TOGETHER", 10)
    fanning.own(34)
    fanning.own(12, approved=False)
    sweep(fanning)
    fanning.own(3, approved=False)
    job = fanning.submit(AWAY)
    stopping = InlineWorker(fanning.ledger, fanning.sandbox, batch_size=10)
    stopping.runner._stopping = StopsAfter(4)
    stopping.attempt(job)
    assert 0 < len(batches(fanning, job)) < 5, fanning.steps(job)
    play(fanning, job)
    assert fanning.ledger.perform(tally(fanning.ledger.keys, job.id)).inactive == 15
    stopping.close()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"read_routes": True}, "it was asked for"),
        ({"expected_count": 34}, "the inventory may lack some, which would be moved as well"),
        ({"max_fraction": 0.5}, "a guard would refuse, so the list decides"),
        ({"dry_run": True}, "a dry run shows what is"),
    ],
)
def test_the_list_is_read_where_the_inventory_does_not_do(fanning: InlineWorker, change: dict[str, object], why: str) -> None:
    fanning.own(34)
    sweep(fanning)
    _, read = begun(fanning, AWAY.model_copy(update=change))
    assert read > 0, why


def test_the_list_is_read_where_the_inventory_is_too_old_or_was_never_complete(fanning: InlineWorker) -> None:
    fanning.own(34)
    assert begun(fanning)[1] > 0, "never complete"
    strict = InlineWorker(fanning.ledger, fanning.sandbox, batch_size=10, failover_inventory_seconds=0)
    sweep(fanning)
    assert begun(strict, AWAY.model_copy(update={"selector": Selector(all=True)}))[1] > 0, "too old"
    strict.close()


def test_a_guard_that_the_list_upholds_refuses_as_ever(fanning: InlineWorker) -> None:
    fanning.own(34)
    sweep(fanning)
    view = play(fanning, fanning.submit(AWAY.model_copy(update={"expected_count": 35})))
    error = result_of(view).error
    assert error is not None
    assert (view.state, error.code) == (JobState.FAILED, "unexpected_count")
    assert routes(fanning) == {("old@example.net",)}


def test_not_one_number_more_than_expected_is_moved_where_the_inventory_lacks_some(fanning: InlineWorker) -> None:
    fanning.own(34)
    sweep(fanning)
    fanning.own(13)
    view = play(fanning, fanning.submit(AWAY.model_copy(update={"expected_count": 34})))
    error = result_of(view).error
    assert error is not None
    assert (view.state, error.code) == (JobState.FAILED, "unexpected_count")
    assert routes(fanning) == {("old@example.net",)}


def held(view: JobView) -> set[str]:
    """The numbers that a guard left alone."""
    return {one.number for one in numbers(view) if one.outcome == "protected" and one.error and one.error.code == "too_large_fraction"}


@pytest.mark.parametrize(("share", "moved_late"), [(0.85, 11), (0.9, 13)])
def test_numbers_that_the_inventory_lacked_are_moved_only_as_far_as_max_fraction_allows(
    fanning: InlineWorker, share: float, moved_late: int
) -> None:
    """34 of the 40 that the inventory shows are meant, and 47 of the 53 that there are."""
    ours = fanning.own(34)
    fanning.own(6, "sip:other@example.net")
    sweep(fanning)
    late = fanning.own(13)
    job, read = begun(fanning, AWAY.model_copy(update={"max_fraction": share}))
    assert read == 0
    view = play(fanning, job, order=random.Random(3))
    left = held(view)
    assert (len(left), left <= set(late)) == (13 - moved_late, True)
    assert {number: outcome for number, outcome in outcomes(view).items() if number not in left} == dict.fromkeys(
        {*ours, *late} - left, "confirmed"
    )
    assert {number for number, route in fanning.routes().items() if route == ["old@example.net"]} == left
    assert view.state is (JobState.PARTIAL if left else JobState.SUCCEEDED)
    back = play(fanning, fanning.submit(Failback(job_id=job.id)))
    assert set(outcomes(back)) == {*ours, *late} - left, "what was held wasn't moved"


def test_numbers_that_an_earlier_attempt_added_count_for_max_fraction(fanning: InlineWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list breaks behind the first ten late numbers, which are written by then."""
    monkeypatch.setattr("worker.jobs.reroute.snapshot.CHUNK", 1)
    fanning.own(34)
    fanning.own(6, "sip:other@example.net")
    sweep(fanning)
    fanning.own(13)
    job, _ = begun(fanning, AWAY.model_copy(update={"max_fraction": 0.85}))
    for batch in batches(fanning, job):
        run_batch(fanning, batch)
    fanning.sandbox.order("reconfigure", most_per_page=10)
    fanning.sandbox.add_fault("owned", "status_500_before", skip=6, times=READ_ATTEMPTS)
    fanning.make_due(job)
    assert fanning.attempt(job).state is JobState.WAITING
    assert len(fanning.ledger.numbers(job.id)) == 34 + 10, fanning.steps(job)
    view = play(fanning, job)
    assert len(held(view)) == 2
    assert sum(route == ["backup@example.net"] for route in fanning.routes().values()) == 45


def test_a_canary_goes_first_and_nothing_follows_one_that_fails(fanning: InlineWorker) -> None:
    ours = fanning.own(34)
    sweep(fanning)
    job, _ = begun(fanning, AWAY.model_copy(update={"canary": 3}))
    assert not [batch for batch in batches(fanning, job) if fanning.ledger.get(batch.id).state is not JobState.QUEUED]
    view = play(fanning, job)
    assert outcomes(view) == dict.fromkeys(ours, "confirmed")


def test_an_attempt_that_ends_amid_the_snapshot_is_continued_and_loses_no_previous_route(
    fanning: InlineWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The numbers of the first pages are on their way by then: were they read again, a failback would restore the new route."""
    monkeypatch.setattr("worker.jobs.reroute.inventory_snapshot.TOGETHER", 10)
    ours = fanning.own(47)
    sweep(fanning)
    job = fanning.submit(AWAY)
    stopping = InlineWorker(fanning.ledger, fanning.sandbox, batch_size=10)
    stopping.runner._stopping = StopsAfter(4)
    stopping.attempt(job)
    sent = batches(fanning, job)
    assert 0 < len(sent) < 5, fanning.steps(job)
    for batch in sent:
        run_batch(fanning, batch)
    sweep(fanning)  # The inventory shows the new routes.
    view = play(fanning, job)
    assert outcomes(view) == dict.fromkeys(ours, "confirmed")
    play(fanning, fanning.submit(Failback(job_id=job.id)))
    assert routes(fanning) == {("old@example.net",)}
    stopping.close()


def test_a_cancel_amid_the_batches_stops_what_is_left_and_says_what_was_moved(fanning: InlineWorker) -> None:
    fanning.own(47)
    sweep(fanning)
    job, _ = begun(fanning)
    run_batch(fanning, batches(fanning, job)[0])
    fanning.ledger.run(script_calls.cancel(job.id))
    view = play(fanning, job)
    moved = sum(route == ["backup@example.net"] for route in fanning.routes().values())
    assert (view.state, moved, result_of(view).totals.done) == (JobState.PARTIAL, 10, 10)
    assert "swept" not in fanning.steps(job), "who calls a failover off wants no more numbers moved"


def moved_without_an_answer(inline: InlineWorker, number: str) -> None:
    inline.sandbox.add_fault("destinations", "act_and_drop")
    request = Reroute(numbers=(number,), destinations=(Destination.sip("elsewhere@example.net"),))
    assert inline.attempt(inline.submit(request)).state == "waiting"


def test_a_number_that_another_job_may_have_moved_meanwhile_is_left_to_the_list(fanning: InlineWorker) -> None:
    ours = fanning.own(47)
    sweep(fanning)
    moved_without_an_answer(fanning, ours[5])
    job, read = begun(fanning)
    assert read == 0
    assert ours[5] not in fanning.ledger.numbers(job.id)
    view = play(fanning, job)
    assert outcomes(view) == {number: "confirmed" for number in ours if number != ours[5]}, "it goes elsewhere, so it isn't meant"


def test_a_number_that_a_job_moved_and_confirmed_since_the_sweep_is_where_that_job_says(fanning: InlineWorker) -> None:
    ours = fanning.own(47)
    sweep(fanning)
    play(fanning, fanning.submit(Reroute(numbers=(ours[5],), destinations=(Destination.sip("elsewhere@example.net"),))))
    job, read = begun(fanning)
    assert read == 0
    assert outcomes(play(fanning, job)) == {number: "confirmed" for number in ours if number != ours[5]}


def test_the_same_incident_twice_goes_by_the_inventory_both_times(fanning: InlineWorker) -> None:
    """What the first one moved and confirmed is known: it isn't what may have changed."""
    ours = fanning.own(47)
    sweep(fanning)
    first = play(fanning, begun(fanning)[0])
    play(fanning, fanning.submit(Failback(job_id=first.id)))
    job, read = begun(fanning)
    assert read == 0
    assert len(fanning.ledger.numbers(job.id)) == 47
    assert outcomes(play(fanning, job)) == dict.fromkeys(ours, "confirmed")


@pytest.mark.parametrize(("field", "named"), [("id", {}), ("number", {"a record (unreadable)": "not_found"})])
def test_a_record_that_cannot_be_read_any_more_is_named_and_the_job_ends(fanning: InlineWorker, field: str, named: dict[str, str]) -> None:
    """It was sent its new route, by what the inventory shows. A record without a number may also be one that the inventory lacked."""
    bad, *good = fanning.own(34)
    sweep(fanning)
    fanning.sandbox.add_fault("owned", "set_field", field=field, value="1e99999999", record=bad.removeprefix("+"), times=None)
    view = play(fanning, begun(fanning)[0])
    assert view.state is JobState.PARTIAL
    assert outcomes(view) == dict.fromkeys(good, "confirmed") | {bad: "accepted"} | named
    assert {one.error.code for one in numbers(view) if one.error} == {"unreadable_record"}
    assert routes(fanning) == {("backup@example.net",)}


def test_a_number_that_was_refused_alone_and_cannot_be_read_is_left_to_a_person(fanning: InlineWorker) -> None:
    """A refusal is no proof, and nothing shows where its calls go."""
    bad, *good = fanning.own(34)
    sweep(fanning)
    digits = bad.removeprefix("+")
    record_id = str(fanning.sandbox.owned()[digits]["record_id"])
    fanning.sandbox.add_fault("destinations", "refuse", number=record_id, status=422, times=None)
    fanning.sandbox.add_fault("owned", "set_field", field="id", value="1e99999999", record=digits, times=None)
    view = play(fanning, begun(fanning)[0])
    assert view.state is JobState.NEEDS_REVIEW
    assert outcomes(view) == dict.fromkeys(good, "confirmed") | {bad: "unclear"}


def test_a_selector_with_filters_of_the_inventory_lists_nothing_first_and_moves_only_what_has_them(fanning: InlineWorker) -> None:
    ours, texted = fanning.own(34), fanning.own(3)
    with_callback = {"sms_enabled": True, "sms_relay_url": "https://example.net/sms"}
    for number in texted:
        fanning.sandbox.order("set_number", number=number.removeprefix("+"), **with_callback)
    sweep(fanning)
    late = fanning.own(5)
    fanning.sandbox.order("set_number", number=late[4].removeprefix("+"), **with_callback)
    job, read = begun(
        fanning, AWAY.model_copy(update={"selector": Selector(destination="sip:old@example.net", without=("sms_relay_url",))})
    )
    assert read == 0
    assert outcomes(play(fanning, job)) == dict.fromkeys(ours + late[:4], "confirmed")


def test_numbers_bought_for_a_reference_are_moved_as_the_inventory_shows_them(fanning: InlineWorker) -> None:
    bought = fanning.finish(fanning.submit(SearchAndBuy(country="US", quantity=32), reference="acme"))
    others = fanning.own(3)
    sweep(fanning)
    job, read = begun(fanning, AWAY.model_copy(update={"selector": Selector(reference="acme")}))
    assert read == 0
    assert outcomes(play(fanning, job)) == dict.fromkeys(outcomes(bought), "confirmed")
    assert {number for number, route in fanning.routes().items() if route == ["old@example.net"]} == set(others)


@pytest.mark.parametrize("condition", [{"seconds_max": 0}, {"unused_for": "1s"}, {"status": "active"}, {"renewal_within": "100d"}], ids=str)
def test_what_changes_by_itself_is_read_at_the_provider_first(fanning: InlineWorker, condition: dict[str, object]) -> None:
    ours = fanning.own(34)
    sweep(fanning)
    selector = Selector.model_validate({"destination": "sip:old@example.net", **condition})
    job, read = begun(fanning, AWAY.model_copy(update={"selector": selector}))
    assert read > 0
    assert set(outcomes(play(fanning, job))) <= set(ours)
