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
from tests.support.inline_worker import SETTLE_S, Stage, charged, outcomes
from worker.jobs.purchase.job import MAX_CHECKOUTS
from worker.jobs.reroute.route_change import MoveMemo
from worker.process.sweeper import Sweeper
from worker.wavix.client import WavixClient
from worker.wavix.sandbox import Sandbox, SandboxOptions

TWO = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=2)
DEAD, BACKUP = Destination.sip("dead@example.net"), Destination.sip("backup@example.net")


class Meddled(WavixClient):
    """The real client of a stage, where a test may do something just before or after a call."""

    def __init__(self, stage: Stage) -> None:
        self.__dict__ = stage.client.__dict__
        stage.client = self


@pytest.fixture
def large(real_ledger: Ledger) -> Iterator[Stage]:
    """A stage whose account may have more numbers than fit on a page."""
    with Sandbox(SandboxOptions(numbers_per_city=300)) as sandbox:
        stage = Stage(real_ledger, sandbox, http_timeout=5.0)
        yield stage
        stage.close()


def exactly(stage: Stage, view: JobView, count: int) -> None:
    assert view.state == "succeeded"
    assert set(outcomes(view)) <= stage.owned()
    assert len(outcomes(view)) == len(stage.sandbox.ledger()) == count
    assert charged(view) == stage.sandbox.charged_usd()


def crashed(stage: Stage, job: Job, times: int) -> JobView:
    """Workers die running the job; then a worker takes what the sweeper made of it."""
    for count in range(times):
        stage.make_due(job)
        stage.ledger.claim(job.id, f"dead-{count}", lease_ms=1)
        while not stage.ledger.sweep(max_crashes=99, retry_ms=0).recovered:
            time.sleep(0.005)
    return stage.attempt(job)


class LateCheckout(Meddled):
    """The first checkout acts after the settle time, and its answer is lost."""

    late = True

    def check_out(self, numbers: Any) -> Answer[None]:
        if not self.late:
            return super().check_out(numbers)
        self.late = False
        time.sleep(SETTLE_S + 0.05)
        super().check_out(numbers)
        return Unclear("ReadTimeout")


def test_a_list_that_took_long_to_come_is_as_old_as_the_question(stage: Stage) -> None:
    class Slow(LateCheckout):
        def owned(self, **question: Any) -> Page[OwnedNumber]:
            shown = super().owned(**question)
            time.sleep(SETTLE_S + 0.05)
            return shown

    Slow(stage)
    stage.sandbox.add_fault("owned", "lag", times=None, seconds=0.9 * SETTLE_S)
    exactly(stage, stage.run(TWO), 2)


def test_a_number_that_slips_between_two_pages_is_not_taken_for_absent(large: Stage) -> None:
    large.own(100)
    large.sandbox.add_fault("owned", "lag", seconds=0.9 * SETTLE_S)
    job = large.submit(TWO)

    class Shifting(LateCheckout):
        """Another job's release moves all numbers up by one between the pages of the deciding look."""

        shifted = False

        def owned(self, **question: Any) -> Page[OwnedNumber]:
            shown = super().owned(**question)
            memo = json.loads(str(large.ledger.client.hget(large.ledger.keys.job(job.id), "memo")))
            deciding = memo["revoked_ms"] and large.ledger.now_ms() - memo["revoked_ms"] >= SETTLE_S * 1000
            if question.get("page") == 1 and shown.total_pages == 2 and deciding and not self.shifted:
                self.shifted = True
                self.release([shown.items[0].record_id])
            return shown

    meddled = Shifting(large)
    exactly(large, large.finish(job), 2)
    assert meddled.shifted


@pytest.mark.parametrize("refusal", ["funds", "rate_limit"])
def test_checkouts_that_were_put_off_do_not_use_up_a_job(real_ledger: Ledger, sandbox: Sandbox, refusal: str) -> None:
    stage = Stage(real_ledger, sandbox, settle_seconds=0.001)
    if refusal == "funds":
        sandbox.order("set_balance", usd="0.50")
        sandbox.add_fault("profile", "refuse", status=403, times=None)
    else:
        sandbox.add_fault("checkout", "rate_limit", seconds=0.0, times=None)
    # Each checkout that was put off leaves its numbers reserved for a day: one number a round, and the stock of a country.
    job = stage.submit(SearchAndBuy(country="US"))
    while stage.sandbox.state()["calls"].get("checkout", 0) < MAX_CHECKOUTS + 5:
        assert stage.attempt(job).state is JobState.WAITING
        stage.make_due(job)
    sandbox.clear_faults()
    sandbox.order("set_balance", usd="100")
    exactly(stage, stage.finish(job), 1)
    stage.close()


def test_a_job_that_killed_its_workers_is_parked_with_what_it_bought(stage: Stage) -> None:
    stage.sandbox.add_fault("destinations", "drop")
    job = stage.submit(TWO.model_copy(update={"destinations": (BACKUP,)}))
    assert stage.attempt(job).reason == WaitReason.RETRY
    view = crashed(stage, job, stage.settings.max_crashes)
    assert view.state is JobState.NEEDS_REVIEW
    assert view.error is not None
    assert view.error.code == "too_many_crashes"
    assert set(outcomes(view)) == stage.owned()
    assert charged(view) == stage.sandbox.charged_usd() > 0


def test_one_that_kills_whoever_looks_at_it_is_parked_by_the_sweeper(stage: Stage) -> None:
    job = stage.submit(TWO)
    sweeper = Sweeper(stage.ledger, max_crashes=1)
    for count in range(4):
        stage.make_due(job)
        stage.ledger.claim(job.id, f"dead-{count}", lease_ms=1)
        time.sleep(0.01)
        sweeper.sweep()
    assert stage.ledger.get(job.id).state is JobState.NEEDS_REVIEW


def test_a_cart_that_cannot_be_read_holds_up_no_purchase_that_is_made(stage: Stage) -> None:
    stage.sandbox.add_fault("cart_put", "drop")
    stage.sandbox.add_fault("cart", "html_error", times=None)
    exactly(stage, stage.run(TWO), 2)


def test_lists_that_stay_unreadable_end_in_a_review_after_the_settle_limit(real_ledger: Ledger, sandbox: Sandbox) -> None:
    stage = Stage(real_ledger, sandbox, settle_limit_seconds=1.0)
    stage.sandbox.add_fault("checkout", "act_and_drop")
    stage.sandbox.add_fault("cart", "html_error", times=None)
    stage.sandbox.add_fault("cart_delete", "drop", times=None)
    view = stage.run(TWO)
    assert view.state is JobState.NEEDS_REVIEW
    assert set(outcomes(view).values()) == {"unclear"}
    stage.close()


def test_a_question_that_is_refused_for_good_is_not_asked_for_ever(real_ledger: Ledger, sandbox: Sandbox) -> None:
    stage = Stage(real_ledger, sandbox, max_attempts=3)
    stage.sandbox.add_fault("dids", "refuse", status=400, times=None)
    view = stage.run(TWO)
    assert (view.state, view.attempt) == ("failed", 3)
    assert view.error is not None
    assert view.error.code == "read_refused"
    stage.close()


def test_an_account_that_no_worker_knows_is_said_so_in_the_end(real_ledger: Ledger, sandbox: Sandbox) -> None:
    stage = Stage(real_ledger, sandbox, max_attempts=2)
    job = real_ledger.submit(script_calls.Submission(TWO, account="elsewhere"))
    assert stage.attempt(job).reason == WaitReason.RETRY, "another worker may know it"
    view = stage.finish(job)
    assert view.error is not None
    assert (view.state, view.error.code) == ("failed", "unknown_account")
    stage.close()


def test_a_parked_reroute_can_be_undone(stage: Stage) -> None:
    ours = stage.own(2, "sip:one@example.net")
    job = stage.submit(Reroute(numbers=tuple(ours), destinations=(BACKUP,)))
    stage.sandbox.add_fault("destinations", "act_and_drop")
    stage.attempt(job)
    assert crashed(stage, job, stage.settings.max_crashes).state is JobState.NEEDS_REVIEW
    view = stage.run(Failback(job_id=job.id))
    assert set(outcomes(view).values()) == {"confirmed"}
    assert set(map(tuple, stage.routes().values())) == {("one@example.net",)}


def test_a_number_that_a_shifted_page_hides_is_released_and_not_called_gone(large: Stage) -> None:
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


def test_a_cancelled_release_looks_at_what_had_no_answer(stage: Stage) -> None:
    ours = stage.own(1)
    stage.sandbox.add_fault("release", "act_and_drop")
    job = stage.submit(Release(numbers=tuple(ours)))
    stage.attempt(job)
    assert stage.ledger.run(script_calls.cancel(job.id)) == "asked"
    view = stage.finish(job)
    assert (view.state, outcomes(view)) == ("partial", {ours[0]: "released"})


def test_a_cancelled_release_that_may_still_act_is_parked(stage: Stage) -> None:
    ours = stage.own(1)
    stage.sandbox.add_fault("release", "drop")
    job = stage.submit(Release(numbers=tuple(ours)))
    stage.attempt(job)
    stage.ledger.run(script_calls.cancel(job.id))
    view = stage.finish(job)
    assert (view.state, outcomes(view)) == ("needs_review", {ours[0]: "unclear"})


def test_a_422_that_says_not_found_is_what_the_contract_means_by_gone(stage: Stage) -> None:
    ours = stage.own(1)
    time.sleep(SETTLE_S)  # The number must be older than the lag below.
    job = stage.submit(Release(numbers=tuple(ours)))
    stage.sandbox.add_fault("release", "act_and_drop")
    stage.attempt(job)
    stage.sandbox.add_fault("owned", "lag", seconds=0.9 * SETTLE_S)
    stage.sandbox.add_fault("release", "refuse", status=422, body={"success": False, "message": "DID with id=1848 not found"})
    view = stage.finish(job)
    assert (view.state, outcomes(view)) == ("succeeded", {ours[0]: "released"})


def test_a_label_that_protects_by_now_protects(stage: Stage) -> None:
    ours = stage.own(1)
    job = stage.submit(Release(numbers=tuple(ours), protected_labels=("vip",)))
    stage.sandbox.add_fault("release", "rate_limit", seconds=0.0)
    assert stage.attempt(job).state is JobState.WAITING
    stage.sandbox.order("set_number", number=ours[0][1:], label="vip")
    view = stage.finish(job)
    assert outcomes(view) == {ours[0]: "protected"}
    assert stage.owned() == set(ours)


def test_a_snapshot_that_was_left_unfinished_moves_nothing_later(stage: Stage) -> None:
    ours = stage.own(3, "sip:dead@example.net")
    job = stage.submit(Reroute(selector=Selector(destination="dead@example.net"), destinations=(BACKUP,)))
    stage.sandbox.add_fault("destinations", "rate_limit", seconds=0.0, times=2)
    assert stage.attempt(job).state is JobState.WAITING
    client, key = stage.ledger.client, stage.ledger.keys.job(job.id)
    client.hset(key, "memo", MoveMemo().model_dump_json())  # As if the worker had died after the snapshot and before "selected".
    stage.sandbox.order(
        "set_destinations", number=ours[0][1:], destinations=[{"transport": 1, "destination": "person@example.net", "priority": 1}]
    )
    stage.make_due(job)
    assert stage.attempt(job).state is JobState.WAITING
    view = stage.finish(job)
    assert outcomes(view) == dict.fromkeys(ours[1:], "confirmed")
    assert stage.routes()[ours[0]] == ["person@example.net"]


def test_a_purchase_does_not_overwrite_a_newer_route(stage: Stage) -> None:
    stage.sandbox.add_fault("destinations", "drop")
    job = stage.submit(TWO.model_copy(update={"destinations": (DEAD,)}))
    stage.attempt(job)
    moved = stage.run(Reroute(numbers=tuple(stage.owned()), destinations=(BACKUP,)))
    assert set(outcomes(moved).values()) == {"confirmed"}
    exactly(stage, stage.finish(job), 2)
    assert set(map(tuple, stage.routes().values())) == {("backup@example.net",)}


def test_a_route_that_stays_unclear_is_not_called_failed(real_ledger: Ledger, sandbox: Sandbox) -> None:
    stage = Stage(real_ledger, sandbox, max_attempts=1)
    ours = stage.own(1)
    stage.sandbox.add_fault("destinations", "act_and_drop")
    view = stage.run(Reroute(numbers=tuple(ours), destinations=(BACKUP,)))
    assert (view.state, outcomes(view)) == ("needs_review", {ours[0]: "unclear"})
    stage.close()
