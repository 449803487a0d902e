"""Lists of which a part, or all that they say of themselves, can't be believed: jobs end or wait, and take nothing for absent."""

import time
from datetime import timedelta

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job, JobView
from didflow.contract.provider import NotNow, NotNowReason, ReadFailed
from didflow.contract.requests import Release, Reroute, SearchAndBuy, Selector
from didflow.contract.states import JobState, WaitReason
from didflow.ledger import script_calls
from didflow.ledger.script_calls import Submission
from tests.support.cluster import until
from tests.support.inline_worker import InlineWorker, numbers, outcomes, settings_for
from worker.jobs.owned_numbers import find_each, find_owned, find_surely, owned_whole
from worker.local.embedded_valkey import EmbeddedValkey
from worker.process.worker_process import WorkerProcess
from worker.wavix.sandbox import Sandbox, SandboxOptions

BACKUP = Destination.sip("backup@example.net")
HUGE = "1e99999999"


def digits(number: str) -> str:
    return number.removeprefix("+")


@pytest.mark.parametrize(
    ("field", "value"), [("destination", "{}"), ("id", HUGE), ("seconds", HUGE), ("channels", HUGE), ("documents", "5")]
)
def test_a_bad_record_holds_up_no_other_number(inline: InlineWorker, field: str, value: str) -> None:
    bad, *good = inline.own(4)
    inline.sandbox.add_fault("owned", "set_field", field=field, value=value, record=digits(bad), times=None)
    view = inline.run(Reroute(numbers=tuple(good), destinations=(BACKUP,)))
    assert view.state == "succeeded"
    assert set(outcomes(view)) == set(good)


def test_a_number_whose_route_cannot_be_read_is_rerouted_and_not_called_confirmed(inline: InlineWorker) -> None:
    (bad,) = inline.own(1)
    inline.sandbox.add_fault("owned", "set_field", field="destination", value="{}", times=None)
    view = inline.run(Reroute(numbers=(bad,), destinations=(BACKUP,)))
    assert inline.routes() == {bad: ["backup@example.net"]}
    assert outcomes(view)[bad] != "confirmed"


def test_a_record_that_a_selector_cannot_read_is_named_and_the_others_are_rerouted(inline: InlineWorker) -> None:
    bad, *good = inline.own(4)
    inline.sandbox.add_fault("owned", "set_field", field="id", value=HUGE, record=digits(bad), times=None)
    view = inline.run(Reroute(selector=Selector(destination="old@example.net"), destinations=(BACKUP,)))
    assert view.state == "partial"
    assert outcomes(view) == dict.fromkeys(good, "confirmed") | {f"{bad} (unreadable)": "not_found"}
    assert {one.error.code for one in numbers(view) if one.error} == {"unreadable_record"}


@pytest.mark.parametrize("value", ["1000000000", HUGE, "50"])
def test_a_selector_does_not_walk_pages_that_bring_nothing(inline: InlineWorker, value: str) -> None:
    inline.own(3)
    inline.sandbox.add_fault("owned", "set_field", field="total_pages", value=value, times=None)
    job = inline.submit(Reroute(selector=Selector(destination="old@example.net"), destinations=(BACKUP,)))
    view = inline.attempt(job)
    assert (view.state, view.reason) == (JobState.WAITING, WaitReason.PROVIDER_DOWN)
    assert inline.sandbox.state()["calls"]["owned"] < 100
    inline.sandbox.clear_faults()
    assert inline.finish(job).state == "succeeded"


@pytest.mark.parametrize("value", ["1000000000", "50"])
def test_a_search_of_the_stock_does_not_walk_pages_that_bring_nothing(inline: InlineWorker, value: str) -> None:
    inline.sandbox.add_fault("dids", "set_field", field="total_pages", value=value, times=None)
    view = inline.attempt(inline.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=40, policy="all_or_nothing")))
    assert (view.state, view.reason) == (JobState.WAITING, WaitReason.PROVIDER_DOWN)
    assert inline.sandbox.state()["calls"]["dids"] < 20
    assert not inline.sandbox.ledger()


def test_an_unreadable_record_is_never_taken_for_a_number_that_is_not_ours(inline: InlineWorker) -> None:
    bad, other = inline.own(2)
    inline.sandbox.add_fault("owned", "set_field", field="id", value=HUGE, record=digits(bad), times=None)
    for read in (find_owned, find_each, find_surely):
        assert set(read(inline.client, [other])) == {other}
        with pytest.raises(ReadFailed) as failed:
            read(inline.client, [bad, other])
        assert failed.value.answer == NotNow(NotNowReason.UNAVAILABLE)
    with pytest.raises(ReadFailed):
        owned_whole(inline.client)


def test_a_record_without_a_readable_number_could_be_any_number(inline: InlineWorker) -> None:
    bad, other = inline.own(2)
    inline.sandbox.add_fault("owned", "set_field", field="number", value="null", record=digits(bad), times=None)
    assert set(find_surely(inline.client, [other])) == {other}
    for asked in (bad, "+13105559999"):
        with pytest.raises(ReadFailed):
            find_surely(inline.client, [asked])


@pytest.mark.parametrize("field", ["id", "number"])
def test_a_bought_number_that_is_unreadable_in_the_owned_list_is_not_bought_again(inline: InlineWorker, field: str) -> None:
    """The checkout's answer is lost, and what it bought is on the list, but not readably."""
    inline.sandbox.add_fault("checkout", "act_and_drop")
    inline.sandbox.add_fault("owned", "set_field", field=field, value=HUGE, times=None)
    job = inline.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",)))
    deadline_s = time.monotonic() + 3
    while time.monotonic() < deadline_s and inline.ledger.get(job.id).state not in (JobState.NEEDS_REVIEW, JobState.SUCCEEDED):
        inline.make_due(job)
        inline.attempt(job)
    assert len(inline.sandbox.ledger()) == 1
    assert inline.ledger.get(job.id).state is JobState.WAITING
    inline.sandbox.clear_faults()
    assert inline.finish(job).state == "succeeded"
    assert len(inline.sandbox.ledger()) == 1


def test_an_impossible_price_is_no_internal_error(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("dids", "set_field", field="monthly_fee", value="1e400", times=None)
    view = inline.run(SearchAndBuy(country="US", city=("LOS ANGELES, CA",)))
    assert view.state == "failed"
    assert not inline.sandbox.state()["calls"].get("cart_put")


def test_a_number_whose_calls_cannot_be_counted_is_not_given_back(inline: InlineWorker) -> None:
    (ours,) = inline.own(1)
    inline.sandbox.add_fault("owned", "set_field", field="seconds", value='"some"', times=None)
    job = inline.submit(Release(numbers=(ours,), grace=timedelta(seconds=1), stop_on_traffic=True))
    until(lambda: _after_an_attempt(inline, job).reason == WaitReason.PROVIDER_DOWN, what="it waits, because the calls can't be counted")
    assert not inline.sandbox.state()["calls"].get("release")
    inline.sandbox.clear_faults()
    assert inline.finish(job).state == "succeeded"


def _after_an_attempt(inline: InlineWorker, job: Job) -> JobView:
    inline.make_due(job)
    return inline.attempt(job)


def test_answers_that_trickle_hold_no_thread_and_no_cancel(valkey: EmbeddedValkey, namespace: str) -> None:
    """The read of all threads trickles, a byte a second; each is abandoned in time, and a job that is cancelled ends."""
    with Sandbox(SandboxOptions(numbers_per_city=5)) as sandbox:
        process = WorkerProcess(settings_for(sandbox.url, namespace, redis_url=valkey.url, threads=2, lease_seconds=30.0, http_timeout=0.5))
        ledger = process._ledger
        sandbox.add_fault("countries", "trickle", seconds=1, times=None)
        process.start()
        try:
            jobs = [ledger.submit(Submission(SearchAndBuy(country="CA"))) for _ in range(3)]
            until(lambda: any(ledger.get(job.id).reason == WaitReason.PROVIDER_DOWN for job in jobs), what="a read is given up")
            for job in jobs:
                ledger.run(script_calls.cancel(job.id))
            until(lambda: all(ledger.get(job.id).state == "cancelled" for job in jobs), what="all are called off")
            assert not sandbox.ledger()
        finally:
            process.stop()
