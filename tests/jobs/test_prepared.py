"""A reroute of what a dry run has read: nothing is listed before the first number moves, and what isn't sure is read again."""

import time
from collections.abc import Callable

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job, JobView
from didflow.contract.requests import Failback, Reroute, Selector
from didflow.contract.states import WaitReason
from tests.support.fan_out import StopsAfter, batches, fanning, play, run_batch
from tests.support.inline_worker import SETTLE_S, InlineWorker, outcomes

__all__ = ["fanning"]

AWAY = Reroute(selector=Selector(all=True), destinations=(Destination.sip("backup@example.net"),))
ELSEWHERE = Destination.sip("elsewhere@example.net")


def read(inline: InlineWorker) -> JobView:
    """A dry run of the whole account, to its end."""
    return play(inline, inline.submit(AWAY.model_copy(update={"dry_run": True})))


def prepared(seen: JobView, **more: object) -> Reroute:
    assert seen.result is not None
    assert seen.result.quote is not None
    ids = tuple(number.record_id for number in seen.result.quote.numbers)
    return Reroute.model_validate({"record_ids": ids, "destinations": AWAY.destinations, "snapshot_of": seen.id} | more)


def listed(inline: InlineWorker) -> int:
    """How often owned numbers were requested."""
    calls = inline.sandbox.state()["calls"]
    return int(calls.get("owned", 0)) + int(calls.get("owned_one", 0))


def test_nothing_is_listed_before_the_first_number_is_rerouted_and_all_come_back(fanning: InlineWorker) -> None:
    one, two = fanning.own(33, "sip:one@example.net"), fanning.own(14, "sip:two@example.net")
    seen = read(fanning)
    before = listed(fanning)
    job = fanning.submit(prepared(seen))
    assert fanning.attempt(job).reason == WaitReason.DEPENDS
    for batch in batches(fanning, job):
        run_batch(fanning, batch)
    assert listed(fanning) == before
    assert set(map(tuple, fanning.routes().values())) == {("backup@example.net",)}
    assert outcomes(play(fanning, job)) == dict.fromkeys(one + two, "confirmed")
    play(fanning, fanning.submit(Failback(job_id=job.id)))
    assert fanning.routes() == {number: ["one@example.net"] for number in one} | {number: ["two@example.net"] for number in two}


def moved_back_and_forth(inline: InlineWorker, number: str) -> None:
    play(inline, inline.submit(Reroute(numbers=(number,), destinations=(ELSEWHERE,))))


def moved_without_an_answer(inline: InlineWorker, number: str) -> None:
    """Its call may still act when the prepared job comes."""
    inline.sandbox.add_fault("destinations", "act_and_drop")
    assert inline.attempt(inline.submit(Reroute(numbers=(number,), destinations=(ELSEWHERE,)))).state == "waiting"


@pytest.mark.parametrize("meanwhile", [moved_back_and_forth, moved_without_an_answer])
def test_a_number_that_another_job_rerouted_since_is_read_again(
    fanning: InlineWorker, meanwhile: Callable[[InlineWorker, str], None]
) -> None:
    """Else a failback would bring it where it was long ago."""
    ours = fanning.own(41)
    seen = read(fanning)
    meanwhile(fanning, ours[7])
    before = listed(fanning)
    job = fanning.submit(prepared(seen))
    fanning.attempt(job)
    assert listed(fanning) > before
    assert outcomes(play(fanning, job)) == dict.fromkeys(ours, "confirmed")
    play(fanning, fanning.submit(Failback(job_id=job.id)))
    assert fanning.routes() == {key: ["old@example.net"] for key in ours} | {ours[7]: ["elsewhere@example.net"]}


def test_a_reroute_long_before_the_dry_run_is_no_reason_to_read_again(fanning: InlineWorker) -> None:
    ours = fanning.own(41)
    play(fanning, fanning.submit(AWAY))
    time.sleep(SETTLE_S)  # What was answered within it may not be in the list (A3).
    seen = read(fanning)
    before = listed(fanning)
    job = fanning.submit(prepared(seen, destinations=(ELSEWHERE,)))
    fanning.attempt(job)
    assert listed(fanning) == before
    assert outcomes(play(fanning, job)) == dict.fromkeys(ours, "confirmed")


def test_what_went_there_already_is_sent_again_because_that_may_have_changed(fanning: InlineWorker) -> None:
    there, others = fanning.own(11, "sip:backup@example.net"), fanning.own(30)
    seen = read(fanning)
    fanning.sandbox.order(
        "set_destinations", number=there[0][1:], destinations=[{"transport": 1, "destination": "hand@example.net", "priority": 1}]
    )
    view = play(fanning, fanning.submit(prepared(seen)))
    assert outcomes(view) == dict.fromkeys(there + others, "confirmed")
    assert set(map(tuple, fanning.routes().values())) == {("backup@example.net",)}


def test_a_number_that_was_released_since_is_reported_and_blocks_no_other(fanning: InlineWorker) -> None:
    ours = fanning.own(41)
    seen = read(fanning)
    fanning.client.release([int(fanning.sandbox.owned()[ours[5][1:]]["record_id"])])
    view = play(fanning, fanning.submit(prepared(seen)))
    assert outcomes(view) == dict.fromkeys(ours, "confirmed") | {ours[5]: "not_found"}


def gone(inline: InlineWorker, seen: JobView) -> Reroute:
    keys = inline.ledger.keys
    inline.ledger.client.delete(keys.job(seen.id), keys.numbers(seen.id), keys.pages(seen.id))
    return prepared(seen)


def never_there(_: InlineWorker, seen: JobView) -> Reroute:
    return prepared(seen, snapshot_of="another")


def no_dry_run(inline: InlineWorker, seen: JobView) -> Reroute:
    moved = play(inline, inline.submit(AWAY))
    return prepared(seen, snapshot_of=moved.id)


def another_one_too(inline: InlineWorker, seen: JobView) -> Reroute:
    """A number that the dry run didn't read."""
    (more,) = inline.own(1)
    known = prepared(seen)
    record_id = int(inline.sandbox.owned()[more[1:]]["record_id"])
    return known.model_copy(update={"record_ids": (*known.record_ids, record_id)})


@pytest.mark.parametrize("spoiled", [gone, never_there, no_dry_run, another_one_too])
def test_without_a_good_snapshot_the_routes_are_read(fanning: InlineWorker, spoiled: Callable[[InlineWorker, JobView], Reroute]) -> None:
    fanning.own(41)
    request = spoiled(fanning, read(fanning))
    before = listed(fanning)
    job = fanning.submit(request)
    view = play(fanning, job)
    assert view.state == "succeeded"
    assert listed(fanning) > before
    assert set(map(tuple, fanning.routes().values())) == {("backup@example.net",)}
    assert "snapshot_begun" in fanning.steps(job)


def test_only_those_that_are_named_are_rerouted(fanning: InlineWorker) -> None:
    ours = fanning.own(41)
    seen = read(fanning)
    some = prepared(seen)
    view = play(fanning, fanning.submit(some.model_copy(update={"record_ids": some.record_ids[:33]})))
    assert len(outcomes(view)) == 33
    assert sum(places == ["old@example.net"] for places in fanning.routes().values()) == len(ours) - 33


def test_a_guard_holds_before_the_first_number_and_leaves_nothing_to_bring_back(fanning: InlineWorker) -> None:
    fanning.own(41)
    view = play(fanning, fanning.submit(prepared(read(fanning), max_fraction=0.5)))
    assert view.error is not None
    assert (view.state, view.error.code) == ("failed", "too_large_fraction")
    back = play(fanning, fanning.submit(Failback(job_id=view.id)))
    assert back.error is not None
    assert back.error.code == "nothing_to_fail_back"
    assert set(map(tuple, fanning.routes().values())) == {("old@example.net",)}


def test_a_snapshot_goes_with_the_record_ids_that_it_has(fanning: InlineWorker) -> None:
    with pytest.raises(ValueError, match="snapshot_of goes with record_ids"):
        Reroute(numbers=("+12135550100",), destinations=AWAY.destinations, snapshot_of="a-job")
    assert fanning.ledger.perform(fanning.ledger.commands.find()) == ()


def sent_by_an_attempt_that_ends_amid_the_snapshot(fanning: InlineWorker, job: Job) -> list[Job]:
    """The batches of the first attempt, which ends when some of them are submitted."""
    stopping = InlineWorker(fanning.ledger, fanning.sandbox, batch_size=10)
    stopping.runner._stopping = StopsAfter(4)
    stopping.attempt(job)
    stopping.close()
    sent = batches(fanning, job)
    assert 0 < len(sent) < 5, fanning.steps(job)
    return sent


def test_the_first_batches_are_submitted_while_the_snapshot_is_written(fanning: InlineWorker) -> None:
    """And an attempt that ends then is continued: the numbers that are on their way keep the route that they had before."""
    ours = fanning.own(47)
    seen = read(fanning)
    job = fanning.submit(prepared(seen))
    sent = sent_by_an_attempt_that_ends_amid_the_snapshot(fanning, job)
    assert len(fanning.ledger.numbers(job.id)) < len(ours)
    for batch in sent:
        run_batch(fanning, batch)
    before = listed(fanning)
    fanning.make_due(job)
    fanning.attempt(job)
    assert listed(fanning) == before
    assert outcomes(play(fanning, job)) == dict.fromkeys(ours, "confirmed")
    play(fanning, fanning.submit(Failback(job_id=job.id)))
    assert set(map(tuple, fanning.routes().values())) == {("old@example.net",)}


def test_a_dry_run_that_is_gone_amid_the_snapshot_costs_no_previous_route(fanning: InlineWorker) -> None:
    ours = fanning.own(47)
    seen = read(fanning)
    job = fanning.submit(prepared(seen))
    sent = sent_by_an_attempt_that_ends_amid_the_snapshot(fanning, job)
    for batch in sent:
        run_batch(fanning, batch)
    gone(fanning, seen)
    assert outcomes(play(fanning, job)) == dict.fromkeys(ours, "confirmed")
    play(fanning, fanning.submit(Failback(job_id=job.id)))
    assert set(map(tuple, fanning.routes().values())) == {("old@example.net",)}


def test_only_the_number_that_another_job_rerouted_is_read_again(fanning: InlineWorker) -> None:
    ours = fanning.own(41)
    seen = read(fanning)
    moved_back_and_forth(fanning, ours[7])
    before = listed(fanning)
    job = fanning.submit(prepared(seen))
    fanning.attempt(job)
    assert listed(fanning) == before + 1
    assert len(batches(fanning, job)) == 6, "the others as the dry run has them, and one for it"


def test_a_canary_goes_before_all_batches(fanning: InlineWorker) -> None:
    fanning.own(41)
    seen = read(fanning)
    fanning.sandbox.add_fault("destinations", "refuse", times=None)
    job = fanning.submit(prepared(seen, canary=2))
    view = play(fanning, job)
    assert view.error is not None
    assert view.error.code == "canary_failed"
    assert set(map(tuple, fanning.routes().values())) == {("old@example.net",)}


@pytest.mark.parametrize(("expected", "state"), [(41, "succeeded"), (40, "failed"), (42, "failed")])
def test_expected_count_holds_before_the_first_batch(fanning: InlineWorker, expected: int, state: str) -> None:
    fanning.own(41)
    seen = read(fanning)
    before = listed(fanning)
    job = fanning.submit(prepared(seen, expected_count=expected))
    fanning.attempt(job)
    assert listed(fanning) == before
    assert play(fanning, job).state == state
    assert set(map(tuple, fanning.routes().values())) == {("backup@example.net",) if state == "succeeded" else ("old@example.net",)}


def test_where_the_dry_run_lacks_a_number_the_list_decides_about_expected_count(fanning: InlineWorker) -> None:
    fanning.own(41)
    request = another_one_too(fanning, read(fanning))
    before = listed(fanning)
    view = play(fanning, fanning.submit(request.model_copy(update={"expected_count": 41})))
    assert listed(fanning) > before
    assert view.error is not None
    assert view.error.code == "unexpected_count"
    assert set(map(tuple, fanning.routes().values())) == {("old@example.net",)}


def test_a_dry_run_by_a_dry_run_reads_what_is(fanning: InlineWorker) -> None:
    fanning.own(41)
    seen = read(fanning)
    before = listed(fanning)
    view = play(fanning, fanning.submit(prepared(seen, dry_run=True)))
    assert view.state == "succeeded"
    assert listed(fanning) > before
    assert set(map(tuple, fanning.routes().values())) == {("old@example.net",)}
