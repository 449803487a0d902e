"""What is measured: the ends and waits of jobs as scripts count them, requests to the provider as workers do, and all of it in one read."""

import re
from decimal import Decimal
from pathlib import Path
from typing import cast

import didflow.ledger
from didflow.contract.attempt_write import Write
from didflow.contract.metric_counts import BOUNDS_MS, NONE, bound_of, call_field, call_sum_field, read_calls, read_ended
from didflow.contract.requests import SearchAndBuy
from didflow.contract.spending import Spend
from didflow.contract.states import JobState, Lane
from didflow.ledger import script_calls
from didflow.ledger.ledger import Ledger
from didflow.ledger.metrics import Measures, measures
from didflow.ledger.worker_settings import note_running, running_with
from tests.support.inline_worker import InlineWorker
from tests.support.ledger_roles import claimed, finished, submitted
from worker.wavix.calls_in_flight import CallsUnderWay

SCRIPTS = Path(didflow.ledger.__file__).parent / "scripts"
INFINITY = float("inf")


def measured(ledger: Ledger) -> Measures:
    return ledger.perform(measures(ledger.commands))


def test_the_scripts_and_the_reader_have_the_same_bounds() -> None:
    found = re.search(r"BOUNDS_MS = {([^}]*)}", (SCRIPTS / "include" / "counts.lua").read_text())
    assert found is not None
    assert tuple(int(bound) for bound in found[1].split(",")) == BOUNDS_MS


def test_an_ended_job_is_counted_once_with_its_wait_and_its_run(ledger: Ledger) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    finished(ledger, claim)
    finished(ledger, claim)  # Its reply was lost, and it is sent again.
    ended = measured(ledger).ended
    assert ended.counts == {("search_and_buy", "succeeded"): 1}
    assert ended.waited["search_and_buy"].cumulative()[-1] == ended.ran["search_and_buy"].cumulative()[-1] == (INFINITY, 1)


def test_a_job_that_never_began_has_neither_wait_nor_run(ledger: Ledger) -> None:
    ledger.run(script_calls.cancel(submitted(ledger).id))
    ended = measured(ledger).ended
    assert ended.counts == {("search_and_buy", "cancelled"): 1}
    assert ended.ran["search_and_buy"].cumulative()[-1] == ended.waited["search_and_buy"].cumulative()[-1] == (INFINITY, 0)


def test_a_scheduled_job_waits_from_when_it_was_due(ledger: Ledger) -> None:
    job = submitted(ledger)
    due_ms = ledger.now_ms() + 3_600_000
    ledger.client.hset(ledger.keys.job(job.id), mapping={"not_before_ms": due_ms, "created_ms": due_ms - 86_400_000})
    finished(ledger, claimed(ledger, job.id))
    assert measured(ledger).ended.waited["search_and_buy"].sum_s == 0


def test_a_kind_that_cannot_be_read_is_counted_under_a_name_that_is_no_ones(ledger: Ledger) -> None:
    job = submitted(ledger)
    ledger.client.hset(ledger.keys.job(job.id), "kind", "a:b\n{}")
    ledger.run(script_calls.cancel(job.id))
    assert measured(ledger).ended.counts == {("unreadable", "cancelled"): 1}


def test_jobs_that_are_due_are_counted_by_lane_with_the_age_of_the_oldest(ledger: Ledger) -> None:
    first = submitted(ledger)
    submitted(ledger)
    messages = f"{ledger.keys.broker}:money.msgs"
    bodies = cast("dict[str, str]", ledger.client.hgetall(messages))
    name, body = next((name, body) for name, body in bodies.items() if first.id in name)
    earlier = re.sub(r'"message_timestamp":\d+', f'"message_timestamp":{ledger.now_ms() - 90_000}', body)
    ledger.client.hset(messages, name, earlier)
    backlog = measured(ledger).lanes[Lane.MONEY]
    assert backlog.waiting == 2
    assert 90 <= backlog.oldest_s < 120
    assert measured(ledger).lanes[Lane.EMERGENCY].waiting == 0


def test_a_message_that_is_not_ours_hides_no_backlog(ledger: Ledger) -> None:
    ledger.client.rpush(f"{ledger.keys.broker}:money", "foreign")
    ledger.client.hset(f"{ledger.keys.broker}:money.msgs", "foreign", "{]")
    assert measured(ledger).lanes[Lane.MONEY].waiting == 1


def test_an_account_shows_its_pause_its_money_in_doubt_and_the_rate_in_force(inline: InlineWorker) -> None:
    ledger = inline.ledger
    ledger.worker_alive("host:1", lease_ms=5_000)
    ledger.perform(note_running(ledger.keys, "host:1", running_with(inline.settings)))
    claim = claimed(ledger, inline.submit(SearchAndBuy(country="US")).id)
    ledger.save(claim, 1, Write("fence", phase="carted", hold=Spend(numbers=2, usd=Decimal("4.50"))))
    ledger.pause_account("default", 401, "Unauthorized", probe_ms=60_000)
    found = measured(ledger)
    account = found.accounts["default"]
    assert (found.workers, account.paused, account.gate_closed, account.breaker_open) == (1, True, False, False)
    assert (account.in_doubt_usd, list(found.accounts)) == (Decimal("4.50"), ["default"])
    assert account.rate_per_s == inline.settings.rate_limit


def test_every_request_to_the_provider_is_counted_by_call_and_answer(inline: InlineWorker) -> None:
    """Once, although the batch is sent twice; and the ids in paths aren't part of a call's name."""
    assert inline.run(SearchAndBuy(country="US", city="LOS ANGELES, CA")).state is JobState.SUCCEEDED
    assert inline.leases.beat()
    calls = measured(inline.ledger).calls
    assert calls.counts["POST /v1/buy/cart/checkout", "2xx"] == 1, calls.counts
    assert not any(digit in call for call, _ in calls.counts for digit in "23456789")
    took = calls.took["POST /v1/buy/cart/checkout"]
    assert took.cumulative()[-1] == (INFINITY, 1)


def test_a_batch_whose_reply_was_lost_is_added_once(ledger: Ledger) -> None:
    calls = CallsUnderWay()
    calls.count("GET", "/v1/numbers/12/history", "2xx", 0.02)
    batch = calls.batch()
    calls.count("GET", "/v1/numbers/13/history", "2xx", 0.02)
    for _ in range(2):
        again = calls.batch()
        assert again == batch
        ledger.count_calls("host:1", again.batch, again.counts)
    calls.added(batch)
    last = calls.batch()
    ledger.count_calls("host:1", last.batch, last.counts)
    found = measured(ledger).calls
    assert found.counts == {("GET /v1/numbers/*/history", "2xx"): 2}
    assert found.took["GET /v1/numbers/*/history"].sum_s == 0.04


def test_fields_of_another_form_are_left_out() -> None:
    ended = read_ended({"release:failed:100:none": "2", "x": "1", "a:b": "7", "a:b:c:d": "9", "release:failed:5:5": "nan"})
    assert (ended.counts, list(ended.waited)) == ({("release", "failed"): 2}, ["release"])
    calls = read_calls({call_field("GET /v1/x", "2xx", bound_of(3)): "4", call_sum_field("GET /v1/x"): "12", "a:b:c": "1", NONE: "2"})
    assert (calls.counts, calls.took["GET /v1/x"].sum_s) == ({("GET /v1/x", "2xx"): 4}, 0.012)


def test_a_histogram_counts_each_bound_with_those_below_it() -> None:
    ended = read_ended({"release:failed:100:inf": "2", "release:failed:250:5": "1"})
    assert [count for bound, count in ended.waited["release"].cumulative() if bound in (0.05, 0.1, 0.25, INFINITY)] == [0, 2, 3, 3]
    assert ended.ran["release"].cumulative()[-2:] == [(86_400, 1), (INFINITY, 3)]


def test_an_empty_ledger_has_measures(ledger: Ledger) -> None:
    found = measured(ledger)
    assert (found.workers, sum(found.jobs.values()), found.accounts, found.dead_letters) == (
        0,
        0,
        {},
        {"results": 0, "requests": 0, "messages": 0},
    )
    assert found.oldest_s(JobState.NEEDS_REVIEW) == 0
