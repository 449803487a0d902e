"""Release: exactly the numbers that were meant, once, by record id."""

import json
from typing import Any

import pytest

from didflow.contract.provider import Yes
from didflow.contract.requests import Release, SearchAndBuy, Selector
from didflow.contract.states import JobState
from didflow.ledger import script_calls
from didflow.ledger.replies import Cancelled
from tests.support.inline_worker import InlineWorker, outcomes


def test_numbers_are_given_back_and_stay_out_of_our_own_search(inline: InlineWorker) -> None:
    ours = inline.own(3)
    view = inline.run(Release(numbers=tuple(ours[:2])))
    assert view.state == "succeeded"
    assert set(outcomes(view).values()) == {"released"}
    assert inline.owned() == {ours[2]}
    bought = inline.run(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=27))
    assert bought.state == "succeeded"
    assert not set(outcomes(bought)) & set(ours[:2])
    more = inline.run(SearchAndBuy(country="US", city=("LOS ANGELES, CA",)))
    assert more.state == "failed", "only the two that were given back are in stock, and they are in quarantine"


@pytest.mark.parametrize("kind", ["act_and_drop", "act_and_hang", "cut_json", "act_then_html", "status_500_after"])
def test_a_lost_answer_is_looked_up_and_counts_as_released(inline: InlineWorker, kind: str) -> None:
    ours = inline.own(3)
    inline.sandbox.add_fault("release", kind, seconds=0.5)
    view = inline.run(Release(numbers=tuple(ours[:2])))
    assert view.state == "succeeded"
    assert outcomes(view) == dict.fromkeys(ours[:2], "released")
    assert inline.owned() == {ours[2]}
    assert inline.sandbox.state()["calls"]["release"] == 1


@pytest.mark.parametrize("kind", ["drop", "hang", "status_500_before", "html_error", "rate_limit"])
def test_a_release_that_did_not_happen_is_repeated(inline: InlineWorker, kind: str) -> None:
    ours = inline.own(2)
    inline.sandbox.add_fault("release", kind, seconds=0.5)
    view = inline.run(Release(numbers=tuple(ours)))
    assert view.state == "succeeded"
    assert outcomes(view) == dict.fromkeys(ours, "released")
    assert not inline.owned()


def test_a_number_bought_again_meanwhile_is_not_released_with_the_old_record(inline: InlineWorker) -> None:
    ours = inline.own(1)
    old = int(inline.sandbox.owned()[ours[0][1:]]["record_id"])
    job = inline.submit(Release(numbers=tuple(ours)))
    inline.sandbox.add_fault("release", "drop")
    inline.attempt(job)
    assert isinstance(inline.client.release([old]), Yes)
    assert isinstance(inline.client.put_in_cart(ours), Yes)
    assert isinstance(inline.client.check_out(ours), Yes)
    view = inline.finish(job)
    assert outcomes(view) == {ours[0]: "released"}, "the record that was meant is gone"
    assert inline.owned() == set(ours), "the new purchase is not touched"


def test_a_number_that_was_gone_before_is_distinguished(inline: InlineWorker) -> None:
    ours = inline.own(2)
    gone = int(inline.sandbox.owned()[ours[0][1:]]["record_id"])
    inline.client.release([gone])
    view = inline.run(Release(record_ids=(gone,)))
    assert view.state == "failed"
    assert outcomes(view) == {f"#{gone}": "not_found"}
    assert inline.owned() == {ours[1]}


def test_a_record_that_goes_while_the_job_waits_is_done_and_not_called_ours(inline: InlineWorker, sandbox: Any) -> None:
    capped = InlineWorker(inline.ledger, sandbox, releases_per_day=1)
    ours = sorted(inline.own(2))
    job = inline.submit(Release(numbers=tuple(ours)))
    assert capped.attempt(job).reason == "daily_cap"
    assert isinstance(inline.client.release([int(inline.sandbox.owned()[ours[1][1:]]["record_id"])]), Yes)
    capped.make_due(job)
    view = capped.attempt(job)
    capped.close()
    assert view.state == "succeeded"
    assert outcomes(view) == {ours[0]: "released", ours[1]: "already_released"}


def test_a_record_with_another_time_of_purchase_is_not_the_one_that_was_meant(inline: InlineWorker) -> None:
    ours = inline.own(1)
    job = inline.submit(Release(numbers=tuple(ours)))
    inline.sandbox.add_fault("release", "rate_limit", seconds=0.0)
    inline.attempt(job)
    key = f"{inline.ledger.keys.job(job.id)}:numbers"
    seen = json.loads(str(inline.ledger.client.hget(key, ours[0])))
    inline.ledger.client.hset(key, ours[0], json.dumps(seen | {"added": "2020-01-01T00:00:00Z"}))
    view = inline.finish(job)
    assert outcomes(view) == {ours[0]: "changed_elsewhere"}
    assert inline.owned() == set(ours)


def test_protected_numbers_and_labels_are_left_alone(inline: InlineWorker, sandbox: Any) -> None:
    ours, vip = inline.own(2), inline.own(2, label="vip")
    guarded = InlineWorker(inline.ledger, sandbox, protected_numbers=(ours[0],), protected_labels=("vip",))
    view = guarded.run(Release(numbers=tuple(ours + vip)))
    guarded.close()
    assert view.state == "partial"
    assert outcomes(view) == {ours[0]: "protected", ours[1]: "released", vip[0]: "protected", vip[1]: "protected"}
    assert inline.owned() == {ours[0], *vip}


def test_a_selector_needs_the_count_that_a_dry_run_reports(inline: InlineWorker) -> None:
    inline.own(3, label="old")
    inline.own(1)
    with pytest.raises(ValueError, match="expected_count"):
        Release(selector=Selector(label="old"), dry_run=False)
    dry = inline.run(Release(selector=Selector(label="old")))
    assert dry.result is not None
    assert dry.result.quote is not None
    assert len(dry.result.quote.numbers) == 3
    assert len(inline.owned()) == 4
    wrong = inline.run(Release(selector=Selector(label="old"), expected_count=2))
    assert wrong.error is not None
    assert wrong.error.code == "unexpected_count"
    assert inline.run(Release(selector=Selector(label="old"), expected_count=3)).state == "succeeded"
    assert len(inline.owned()) == 1


def test_a_release_that_stays_unclear_is_parked_not_guessed(inline: InlineWorker, sandbox: Any) -> None:
    ours = inline.own(1)
    stubborn = InlineWorker(inline.ledger, sandbox, max_attempts=2)
    sandbox.add_fault("release", "drop", times=None)
    view = stubborn.run(Release(numbers=tuple(ours)))
    stubborn.close()
    assert view.state is JobState.NEEDS_REVIEW
    assert outcomes(view) == {ours[0]: "unclear"}


def test_a_cancelled_release_says_what_was_already_given_back(inline: InlineWorker) -> None:
    ours = inline.own(1)
    job = inline.submit(Release(numbers=tuple(ours)))
    from didflow.ledger import script_calls

    assert inline.ledger.run(script_calls.cancel(job.id)) == Cancelled()
    assert inline.finish(job).state == "cancelled"
    assert inline.owned() == set(ours)


def test_our_own_search_is_kept_off_a_number_before_it_is_back_in_stock(inline: InlineWorker) -> None:
    (number,) = inline.own(1)
    inline.sandbox.add_fault("release", "act_and_drop")
    job = inline.submit(Release(numbers=(number,)))
    assert inline.attempt(job).state == "waiting", "it went, and the answer was lost"
    buying = inline.run(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=30))
    assert buying.error is not None
    assert "1 reserved" in buying.error.message
    assert inline.finish(job).state == "succeeded"


def test_a_cancelled_release_reports_what_went_and_who_cancelled_it(inline: InlineWorker, sandbox: Any) -> None:
    capped = InlineWorker(inline.ledger, sandbox, releases_per_day=1)
    first, *ours = sorted(inline.own(4))
    assert capped.run(Release(numbers=(first,))).state is JobState.SUCCEEDED, "that is all for today"
    job = inline.submit(Release(numbers=tuple(ours)))
    assert capped.attempt(job).reason == "daily_cap"
    gone = [int(inline.sandbox.owned()[number[1:]]["record_id"]) for number in ours[:2]]
    assert isinstance(inline.client.release(gone), Yes)
    capped.make_due(job)
    assert capped.attempt(job).reason == "daily_cap", "it has seen that two are gone"
    inline.ledger.run(script_calls.cancel(job.id))
    view = capped.finish(job)
    capped.close()
    assert [outcomes(view)[number] for number in ours[:2]] == ["already_released"] * 2
    assert view.state is JobState.CANCELLED, "this job gave nothing back"
    assert view.error is not None
    assert view.error.message == "cancelled: no number was given back; 2 numbers had gone before, not by this job"
