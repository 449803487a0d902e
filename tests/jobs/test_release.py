"""Release: exactly the numbers that were meant, once, by record id."""

import json
from typing import Any

import pytest

from didflow.contract.provider import Yes
from didflow.contract.requests import Release, SearchAndBuy, Selector
from didflow.contract.states import JobState
from didflow.ledger import script_calls
from tests.support.inline_worker import Stage, outcomes


def test_numbers_are_given_back_and_stay_out_of_our_own_search(stage: Stage) -> None:
    ours = stage.own(3)
    view = stage.run(Release(numbers=tuple(ours[:2])))
    assert view.state == "succeeded"
    assert set(outcomes(view).values()) == {"released"}
    assert stage.owned() == {ours[2]}
    bought = stage.run(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=27))
    assert bought.state == "succeeded"
    assert not set(outcomes(bought)) & set(ours[:2])
    more = stage.run(SearchAndBuy(country="US", city=("LOS ANGELES, CA",)))
    assert more.state == "failed", "only the two that were given back are in stock, and they are in quarantine"


@pytest.mark.parametrize("kind", ["act_and_drop", "act_and_hang", "cut_json", "act_then_html", "status_500_after"])
def test_a_lost_answer_is_looked_up_and_counts_as_released(stage: Stage, kind: str) -> None:
    ours = stage.own(3)
    stage.sandbox.add_fault("release", kind, seconds=0.5)
    view = stage.run(Release(numbers=tuple(ours[:2])))
    assert view.state == "succeeded"
    assert outcomes(view) == dict.fromkeys(ours[:2], "released")
    assert stage.owned() == {ours[2]}
    assert stage.sandbox.state()["calls"]["release"] == 1


@pytest.mark.parametrize("kind", ["drop", "hang", "status_500_before", "html_error", "rate_limit"])
def test_a_release_that_did_not_happen_is_repeated(stage: Stage, kind: str) -> None:
    ours = stage.own(2)
    stage.sandbox.add_fault("release", kind, seconds=0.5)
    view = stage.run(Release(numbers=tuple(ours)))
    assert view.state == "succeeded"
    assert outcomes(view) == dict.fromkeys(ours, "released")
    assert not stage.owned()


def test_a_number_bought_again_meanwhile_is_not_released_with_the_old_record(stage: Stage) -> None:
    ours = stage.own(1)
    old = int(stage.sandbox.owned()[ours[0][1:]]["record_id"])
    job = stage.submit(Release(numbers=tuple(ours)))
    stage.sandbox.add_fault("release", "drop")
    stage.attempt(job)
    assert isinstance(stage.client.release([old]), Yes)
    assert isinstance(stage.client.put_in_cart(ours), Yes)
    assert isinstance(stage.client.check_out(ours), Yes)
    view = stage.finish(job)
    assert outcomes(view) == {ours[0]: "released"}, "the record that was meant is gone"
    assert stage.owned() == set(ours), "the new purchase is not touched"


def test_what_was_gone_before_is_told_apart(stage: Stage) -> None:
    ours = stage.own(2)
    gone = int(stage.sandbox.owned()[ours[0][1:]]["record_id"])
    stage.client.release([gone])
    view = stage.run(Release(record_ids=(gone,)))
    assert view.state == "failed"
    assert outcomes(view) == {f"#{gone}": "not_found"}
    assert stage.owned() == {ours[1]}


def test_a_record_that_goes_while_the_job_waits_is_done_and_not_called_ours(stage: Stage, sandbox: Any) -> None:
    capped = Stage(stage.ledger, sandbox, releases_per_day=1)
    ours = sorted(stage.own(2))
    job = stage.submit(Release(numbers=tuple(ours)))
    assert capped.attempt(job).reason == "daily_cap"
    assert isinstance(stage.client.release([int(stage.sandbox.owned()[ours[1][1:]]["record_id"])]), Yes)
    capped.make_due(job)
    view = capped.attempt(job)
    capped.close()
    assert view.state == "succeeded"
    assert outcomes(view) == {ours[0]: "released", ours[1]: "already_released"}


def test_a_record_with_another_time_of_purchase_is_not_the_one_that_was_meant(stage: Stage) -> None:
    ours = stage.own(1)
    job = stage.submit(Release(numbers=tuple(ours)))
    stage.sandbox.add_fault("release", "rate_limit", seconds=0.0)
    stage.attempt(job)
    key = f"{stage.ledger.keys.job(job.id)}:numbers"
    seen = json.loads(str(stage.ledger.client.hget(key, ours[0])))
    stage.ledger.client.hset(key, ours[0], json.dumps(seen | {"added": "2020-01-01T00:00:00Z"}))
    view = stage.finish(job)
    assert outcomes(view) == {ours[0]: "changed_elsewhere"}
    assert stage.owned() == set(ours)


def test_protected_numbers_and_labels_are_left_alone(stage: Stage, sandbox: Any) -> None:
    ours, vip = stage.own(2), stage.own(2, label="vip")
    guarded = Stage(stage.ledger, sandbox, protected_numbers=(ours[0],), protected_labels=("vip",))
    view = guarded.run(Release(numbers=tuple(ours + vip)))
    guarded.close()
    assert view.state == "partial"
    assert outcomes(view) == {ours[0]: "protected", ours[1]: "released", vip[0]: "protected", vip[1]: "protected"}
    assert stage.owned() == {ours[0], *vip}


def test_a_selector_needs_the_count_that_a_dry_run_tells(stage: Stage) -> None:
    stage.own(3, label="old")
    stage.own(1)
    with pytest.raises(ValueError, match="expected_count"):
        Release(selector=Selector(label="old"), dry_run=False)
    dry = stage.run(Release(selector=Selector(label="old")))
    assert dry.result is not None
    assert dry.result.quote is not None
    assert len(dry.result.quote.numbers) == 3
    assert len(stage.owned()) == 4
    wrong = stage.run(Release(selector=Selector(label="old"), expected_count=2))
    assert wrong.error is not None
    assert wrong.error.code == "unexpected_count"
    assert stage.run(Release(selector=Selector(label="old"), expected_count=3)).state == "succeeded"
    assert len(stage.owned()) == 1


def test_a_release_that_stays_unclear_is_parked_not_guessed(stage: Stage, sandbox: Any) -> None:
    ours = stage.own(1)
    stubborn = Stage(stage.ledger, sandbox, max_attempts=2)
    sandbox.add_fault("release", "drop", times=None)
    view = stubborn.run(Release(numbers=tuple(ours)))
    stubborn.close()
    assert view.state is JobState.NEEDS_REVIEW
    assert outcomes(view) == {ours[0]: "unclear"}


def test_a_cancelled_release_says_what_was_already_given_back(stage: Stage) -> None:
    ours = stage.own(1)
    job = stage.submit(Release(numbers=tuple(ours)))
    from didflow.ledger import script_calls

    assert stage.ledger.run(script_calls.cancel(job.id)) == "cancelled"
    assert stage.finish(job).state == "cancelled"
    assert stage.owned() == set(ours)


def test_our_own_search_is_kept_off_a_number_before_it_is_back_in_stock(stage: Stage) -> None:
    (number,) = stage.own(1)
    stage.sandbox.add_fault("release", "act_and_drop")
    job = stage.submit(Release(numbers=(number,)))
    assert stage.attempt(job).state == "waiting", "it went, and the answer was lost"
    buying = stage.run(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=30))
    assert buying.error is not None
    assert "1 reserved" in buying.error.message
    assert stage.finish(job).state == "succeeded"


def test_a_release_that_is_called_off_says_what_went_and_by_whom(stage: Stage, sandbox: Any) -> None:
    capped = Stage(stage.ledger, sandbox, releases_per_day=1)
    first, *ours = sorted(stage.own(4))
    assert capped.run(Release(numbers=(first,))).state is JobState.SUCCEEDED, "that is all for today"
    job = stage.submit(Release(numbers=tuple(ours)))
    assert capped.attempt(job).reason == "daily_cap"
    gone = [int(stage.sandbox.owned()[number[1:]]["record_id"]) for number in ours[:2]]
    assert isinstance(stage.client.release(gone), Yes)
    capped.make_due(job)
    assert capped.attempt(job).reason == "daily_cap", "it has seen that two are gone"
    stage.ledger.run(script_calls.cancel(job.id))
    view = capped.finish(job)
    capped.close()
    assert [outcomes(view)[number] for number in ours[:2]] == ["already_released"] * 2
    assert view.state is JobState.CANCELLED, "this job gave nothing back"
    assert view.error is not None
    assert view.error.message == "cancelled: no number was given back; 2 numbers had gone before, not by this job"
