"""Sequences that an independent review of the money steps found, each once: what the provider does, and what must come of it."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job, JobView
from didflow.contract.provider import Answer, OwnedNumber, Page, Unclear
from didflow.contract.requests import Failback, Release, Reroute, SearchAndBuy, Selector
from didflow.contract.states import JobState, WaitReason
from didflow.ledger import script_calls
from didflow.ledger.ledger import Ledger
from didflow.ledger.replies import CancelRequested
from tests.support.cluster import until
from tests.support.inline_worker import SETTLE_S, InlineWorker, charged, outcomes
from tests.support.ledger_roles import wait_until_ms
from tests.support.meddled_client import Meddled
from worker.jobs.purchase.job import MAX_CHECKOUTS
from worker.jobs.reroute.route_change import RerouteCheckpoint
from worker.process.sweeper import Sweeper
from worker.wavix.sandbox import Sandbox, SandboxOptions

TWO = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=2)
DEAD, BACKUP = Destination.sip("dead@example.net"), Destination.sip("backup@example.net")


@pytest.fixture
def large(real_ledger: Ledger) -> Iterator[InlineWorker]:
    """An inline worker whose account may have more numbers than fit on a page."""
    with Sandbox(SandboxOptions(numbers_per_city=300)) as sandbox:
        inline = InlineWorker(real_ledger, sandbox, http_timeout=5.0)
        yield inline
        inline.close()


def exactly(inline: InlineWorker, view: JobView, count: int) -> None:
    assert view.state == "succeeded"
    assert set(outcomes(view)) <= inline.owned()
    assert len(outcomes(view)) == len(inline.sandbox.ledger()) == count
    assert charged(view) == inline.sandbox.charged_usd()


def crashed(inline: InlineWorker, job: Job, times: int) -> JobView:
    """Workers die running the job; then a worker takes what the sweeper made of it."""
    for count in range(times):
        inline.make_due(job)
        inline.ledger.claim(job.id, f"dead-{count}", lease_ms=1)
        until(lambda: inline.ledger.sweep(max_crashes=99, retry_ms=0).recovered, what="the end of its lease")
    return inline.attempt(job)


class LateCheckout(Meddled):
    """The first checkout acts after the settle time, and its answer is lost."""

    late = True

    def check_out(self, numbers: Any) -> Answer[None]:
        if not self.late:
            return super().check_out(numbers)
        self.late = False
        time.sleep(SETTLE_S + 0.05)  # Later than the settle time.
        super().check_out(numbers)
        return Unclear("ReadTimeout")


def test_a_list_that_took_long_to_come_is_as_old_as_the_question(inline: InlineWorker) -> None:
    class Slow(LateCheckout):
        def owned(self, **question: Any) -> Page[OwnedNumber]:
            shown = super().owned(**question)
            time.sleep(SETTLE_S + 0.05)  # A slow answer: what it shows is older than the settle time.
            return shown

    Slow(inline)
    inline.sandbox.add_fault("owned", "lag", times=None, seconds=0.9 * SETTLE_S)
    exactly(inline, inline.run(TWO), 2)


def test_a_number_that_slips_between_two_pages_is_not_taken_for_absent(large: InlineWorker) -> None:
    large.own(100)
    # Both reads of the first look are old: a full page, and the empty one behind it.
    large.sandbox.add_fault("owned", "lag", times=2, seconds=0.9 * SETTLE_S)
    job = large.submit(TWO)

    class Shifting(LateCheckout):
        """Another job's release moves all numbers up by one between the pages of the deciding look."""

        shifted = False

        def owned(self, **question: Any) -> Page[OwnedNumber]:
            shown = super().owned(**question)
            checkpoint = json.loads(str(large.ledger.client.hget(large.ledger.keys.job(job.id), "memo")))
            deciding = checkpoint["revoked_ms"] and large.ledger.now_ms() - checkpoint["revoked_ms"] >= SETTLE_S * 1000
            if question.get("page") == 1 and shown.total_pages == 2 and deciding and not self.shifted:
                self.shifted = True
                self.release([shown.items[0].record_id])
            return shown

    meddled = Shifting(large)
    exactly(large, large.finish(job), 2)
    assert meddled.shifted


@pytest.mark.parametrize("refusal", ["funds", pytest.param("rate_limit", marks=pytest.mark.long)])
def test_checkouts_that_were_put_off_do_not_use_up_a_job(real_ledger: Ledger, sandbox: Sandbox, refusal: str) -> None:
    inline = InlineWorker(real_ledger, sandbox, settle_seconds=0.001)
    if refusal == "funds":
        sandbox.order("set_balance", usd="0.50")
        sandbox.add_fault("profile", "refuse", status=403, times=None)
    else:
        sandbox.add_fault("checkout", "rate_limit", seconds=0.0, times=None)
    # Each checkout that was put off leaves its numbers reserved for a day: one number a round, and the stock of a country.
    job = inline.submit(SearchAndBuy(country="US"))
    while inline.sandbox.state()["calls"].get("checkout", 0) < MAX_CHECKOUTS + 5:
        assert inline.attempt(job).state is JobState.WAITING
        inline.make_due(job)
    sandbox.clear_faults()
    sandbox.order("set_balance", usd="100")
    exactly(inline, inline.finish(job), 1)
    inline.close()


def test_a_job_that_killed_its_workers_is_parked_with_what_it_bought(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("destinations", "drop")
    job = inline.submit(TWO.model_copy(update={"destinations": (BACKUP,)}))
    assert inline.attempt(job).reason == WaitReason.RETRY
    view = crashed(inline, job, inline.settings.max_crashes)
    assert view.state is JobState.NEEDS_REVIEW
    assert view.error is not None
    assert view.error.code == "too_many_crashes"
    assert set(outcomes(view)) == inline.owned()
    assert charged(view) == inline.sandbox.charged_usd() > 0


def test_a_job_that_kills_every_worker_is_parked_by_the_sweeper(inline: InlineWorker) -> None:
    job = inline.submit(TWO)
    sweeper = Sweeper(inline.ledger, max_crashes=1)
    for count in range(4):
        inline.make_due(job)
        inline.ledger.claim(job.id, f"dead-{count}", lease_ms=1)
        wait_until_ms(inline.ledger, inline.ledger.now_ms() + 1)
        sweeper.sweep()
    assert inline.ledger.get(job.id).state is JobState.NEEDS_REVIEW


def test_a_cart_that_cannot_be_read_holds_up_no_purchase_that_is_made(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("cart_put", "drop")
    inline.sandbox.add_fault("cart", "html_error", times=None)
    exactly(inline, inline.run(TWO), 2)


def test_lists_that_stay_unreadable_end_in_a_review_after_the_settle_limit(real_ledger: Ledger, sandbox: Sandbox) -> None:
    inline = InlineWorker(real_ledger, sandbox, settle_limit_seconds=1.0)
    inline.sandbox.add_fault("checkout", "act_and_drop")
    inline.sandbox.add_fault("cart", "html_error", times=None)
    inline.sandbox.add_fault("cart_delete", "drop", times=None)
    view = inline.run(TWO)
    assert view.state is JobState.NEEDS_REVIEW
    assert set(outcomes(view).values()) == {"unclear"}
    inline.close()


def test_a_question_that_is_refused_for_good_is_not_asked_for_ever(real_ledger: Ledger, sandbox: Sandbox) -> None:
    inline = InlineWorker(real_ledger, sandbox, max_attempts=3)
    inline.sandbox.add_fault("dids", "refuse", status=400, times=None)
    view = inline.run(TWO)
    assert (view.state, view.attempt) == ("failed", 3)
    assert view.error is not None
    assert view.error.code == "read_refused"
    inline.close()


def test_an_account_that_no_worker_knows_is_said_so_in_the_end(real_ledger: Ledger, sandbox: Sandbox) -> None:
    inline = InlineWorker(real_ledger, sandbox, max_attempts=2)
    job = real_ledger.submit(script_calls.Submission(TWO, account="elsewhere"))
    assert inline.attempt(job).reason == WaitReason.RETRY, "another worker may know it"
    view = inline.finish(job)
    assert view.error is not None
    assert (view.state, view.error.code) == ("failed", "unknown_account")
    inline.close()


def test_a_parked_reroute_can_be_undone(inline: InlineWorker) -> None:
    ours = inline.own(2, "sip:one@example.net")
    job = inline.submit(Reroute(numbers=tuple(ours), destinations=(BACKUP,)))
    inline.sandbox.add_fault("destinations", "act_and_drop")
    inline.attempt(job)
    assert crashed(inline, job, inline.settings.max_crashes).state is JobState.NEEDS_REVIEW
    view = inline.run(Failback(job_id=job.id))
    assert set(outcomes(view).values()) == {"confirmed"}
    assert set(map(tuple, inline.routes().values())) == {("one@example.net",)}


def test_a_number_that_a_shifted_page_hides_is_released_and_not_called_gone(large: InlineWorker) -> None:
    large.own(102)
    first, *_, one, other = large.sandbox.owned().items()

    class Shifting(Meddled):
        looks = 0

        def owned(self, **question: Any) -> Page[OwnedNumber]:
            shown = super().owned(**question)
            self.looks += question.get("page") == 1 and shown.total_pages == 2
            if self.looks == 2 and int(first[1]["record_id"]) in {item.record_id for item in shown.items}:
                super().release([int(first[1]["record_id"])])
            return shown

    Shifting(large)
    last = (f"+{one[0]}", f"+{other[0]}")
    view = large.run(Release(numbers=last))
    assert outcomes(view) == dict.fromkeys(last, "released")
    assert not set(last) & large.owned()


def test_a_cancelled_release_looks_at_what_had_no_answer(inline: InlineWorker) -> None:
    ours = inline.own(1)
    inline.sandbox.add_fault("release", "act_and_drop")
    job = inline.submit(Release(numbers=tuple(ours)))
    inline.attempt(job)
    assert inline.ledger.run(script_calls.cancel(job.id)) == CancelRequested()
    view = inline.finish(job)
    assert (view.state, outcomes(view)) == ("partial", {ours[0]: "released"})


def test_a_cancelled_release_that_may_still_act_is_parked(inline: InlineWorker) -> None:
    ours = inline.own(1)
    inline.sandbox.add_fault("release", "drop")
    job = inline.submit(Release(numbers=tuple(ours)))
    inline.attempt(job)
    inline.ledger.run(script_calls.cancel(job.id))
    view = inline.finish(job)
    assert (view.state, outcomes(view)) == ("needs_review", {ours[0]: "unclear"})


def test_a_422_that_says_not_found_is_what_the_contract_means_by_gone(inline: InlineWorker) -> None:
    ours = inline.own(1)
    time.sleep(SETTLE_S)  # The number must be older than the lag below.
    job = inline.submit(Release(numbers=tuple(ours)))
    inline.sandbox.add_fault("release", "act_and_drop")
    inline.attempt(job)
    inline.sandbox.add_fault("owned", "lag", seconds=0.9 * SETTLE_S)
    inline.sandbox.add_fault("release", "refuse", status=422, body={"success": False, "message": "DID with id=1848 not found"})
    view = inline.finish(job)
    assert (view.state, outcomes(view)) == ("succeeded", {ours[0]: "released"})


def test_a_label_that_protects_by_now_protects(inline: InlineWorker) -> None:
    ours = inline.own(1)
    job = inline.submit(Release(numbers=tuple(ours), protected_labels=("vip",)))
    inline.sandbox.add_fault("release", "rate_limit", seconds=0.0)
    assert inline.attempt(job).state is JobState.WAITING
    inline.sandbox.order("set_number", number=ours[0][1:], label="vip")
    view = inline.finish(job)
    assert outcomes(view) == {ours[0]: "protected"}
    assert inline.owned() == set(ours)


def test_an_unfinished_snapshot_reroutes_nothing_later(inline: InlineWorker) -> None:
    ours = inline.own(3, "sip:dead@example.net")
    job = inline.submit(Reroute(selector=Selector(destination="dead@example.net"), destinations=(BACKUP,)))
    inline.sandbox.add_fault("destinations", "rate_limit", seconds=0.0, times=2)
    assert inline.attempt(job).state is JobState.WAITING
    client, key = inline.ledger.client, inline.ledger.keys.job(job.id)
    client.hset(key, "memo", RerouteCheckpoint().model_dump_json())  # As if the worker had died after the snapshot and before "selected".
    inline.sandbox.order(
        "set_destinations", number=ours[0][1:], destinations=[{"transport": 1, "destination": "person@example.net", "priority": 1}]
    )
    inline.make_due(job)
    assert inline.attempt(job).state is JobState.WAITING
    view = inline.finish(job)
    assert outcomes(view) == dict.fromkeys(ours[1:], "confirmed")
    assert inline.routes()[ours[0]] == ["person@example.net"]


def test_a_purchase_does_not_overwrite_a_newer_route(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("destinations", "drop")
    job = inline.submit(TWO.model_copy(update={"destinations": (DEAD,)}))
    inline.attempt(job)
    moved = inline.run(Reroute(numbers=tuple(inline.owned()), destinations=(BACKUP,)))
    assert set(outcomes(moved).values()) == {"confirmed"}
    exactly(inline, inline.finish(job), 2)
    assert set(map(tuple, inline.routes().values())) == {("backup@example.net",)}


def test_a_route_that_stays_unclear_is_not_called_failed(real_ledger: Ledger, sandbox: Sandbox) -> None:
    inline = InlineWorker(real_ledger, sandbox, max_attempts=1)
    ours = inline.own(1)
    inline.sandbox.add_fault("destinations", "act_and_drop")
    view = inline.run(Reroute(numbers=tuple(ours), destinations=(BACKUP,)))
    assert (view.state, outcomes(view)) == ("needs_review", {ours[0]: "unclear"})
    inline.close()
