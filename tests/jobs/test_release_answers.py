"""No answer to a release is believed: what is gone is what two reads, begun after it, don't show."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from didflow.contract.errors import JobError
from didflow.contract.ids_form import IdsForm
from didflow.contract.provider import Yes
from didflow.contract.requests import Release, SearchAndBuy
from didflow.contract.states import JobState
from didflow.ledger import script_calls
from didflow.ledger.ledger import Ledger
from didflow.ledger.observed_behaviour import IDS_FORM, learned
from tests.support.inline_worker import SETTLE_S, Stage, numbers, outcomes
from worker.jobs.ports import Rules
from worker.jobs.release.executor import what_next
from worker.jobs.release.state import Leaving
from worker.wavix.sandbox import Sandbox, SandboxOptions
from worker.wavix.sandbox.options import ReleaseIds


@contextmanager
def stage_with(ledger: Ledger, settings: dict[str, object] | None = None, **options: Any) -> Iterator[Stage]:
    with Sandbox(SandboxOptions(numbers_per_city=130, **options)) as sandbox:
        stage = Stage(ledger, sandbox, **(settings or {}))
        yield stage
        stage.close()


def calls_of(stage: Stage, name: str = "release") -> int:
    return int(stage.sandbox.state()["calls"].get(name, 0))


def record_of(stage: Stage, number: str) -> int:
    return int(stage.sandbox.owned()[number[1:]]["record_id"])


def learned_form(stage: Stage) -> str | None:
    found = stage.ledger.perform(learned(stage.ledger.keys, "default", IDS_FORM))
    return found.value if found else None


# A yes


@pytest.mark.parametrize(
    ("takes", "learns", "calls_before", "calls_after"),
    [
        ("any", "repeat", 1, 1),
        ("repeat", "repeat", 1, 1),
        ("last", "single", 3, 3),
        ("first", "single", 3, 3),
        ("comma", "single", 3, 3),
        # All three are refused; the first alone, and in brackets it goes; the other two, the second; the third goes in brackets at once.
        ("brackets", "brackets", 7, 1),
    ],
)
def test_whatever_form_of_ids_a_server_takes_all_go_and_the_next_release_knows_it(
    real_ledger: Ledger, takes: ReleaseIds, learns: str, calls_before: int, calls_after: int
) -> None:
    with stage_with(real_ledger, release_ids=takes) as stage:
        for expected in (calls_before, calls_after):
            ours, before = stage.own(3), calls_of(stage)
            view = stage.run(Release(numbers=tuple(ours)))
            assert (view.state, outcomes(view)) == ("succeeded", dict.fromkeys(ours, "released"))
            assert not stage.owned()
            assert (calls_of(stage) - before, learned_form(stage)) == (expected, learns)


@pytest.mark.parametrize(
    ("form", "takes", "expected"), [("brackets", "brackets", 1), ("comma", "comma", 1), ("single", "last", 3), ("repeat", "repeat", 1)]
)
def test_a_form_that_is_set_is_used_and_nothing_is_learned(real_ledger: Ledger, form: IdsForm, takes: ReleaseIds, expected: int) -> None:
    with stage_with(real_ledger, {"WAVIX_IDS_FORM": form}, release_ids=takes) as stage:
        ours = stage.own(3)
        assert outcomes(stage.run(Release(numbers=tuple(ours)))) == dict.fromkeys(ours, "released")
        assert (calls_of(stage), learned_form(stage)) == (expected, None)


def test_what_was_learned_is_tried_anew_after_a_month(real_ledger: Ledger) -> None:
    with stage_with(real_ledger) as stage:
        month_ago_ms = stage.ledger.now_ms() - 31 * 86_400_000
        stage.ledger.client.hset(stage.ledger.keys.learned("default"), IDS_FORM, f"single|{month_ago_ms}")
        assert stage.run(Release(numbers=tuple(stage.own(3)))).state == "succeeded"
        assert (calls_of(stage), learned_form(stage)) == (1, "repeat")


def test_a_process_knows_what_it_learned_though_the_ledger_forgot(real_ledger: Ledger) -> None:
    with stage_with(real_ledger, release_ids="last") as stage:
        stage.run(Release(numbers=tuple(stage.own(2))))
        stage.ledger.client.delete(stage.ledger.keys.learned("default"))
        job = stage.submit(Release(numbers=tuple(stage.own(2))))
        assert stage.attempt(job).state == "succeeded", "one attempt: nobody waited for what would not come"
        assert calls_of(stage) == 4


def test_a_yes_without_effect_is_sent_again_alone_and_then_parked(stage: Stage) -> None:
    ours = stage.own(2)
    stage.sandbox.add_fault("release", "refuse", status=200, body={"success": True}, times=None)
    job = stage.submit(Release(numbers=tuple(ours)))
    view = stage.finish(job)
    assert view.state is JobState.NEEDS_REVIEW
    assert outcomes(view) == dict.fromkeys(ours, "unclear")
    assert view.error is not None
    assert (view.error.code, "still lists them" in view.error.message) == ("release_unclear", True)
    assert stage.owned() == set(ours)
    assert calls_of(stage) == 1 + 2 * 2, "both, then each alone in both forms that are safe to try"
    stage.sandbox.clear_faults()
    for number in ours:  # A person releases them by hand.
        assert isinstance(stage.client.release([record_of(stage, number)]), Yes)
    stage.ledger.run(script_calls.retry(job.id))
    assert outcomes(stage.finish(job)) == dict.fromkeys(ours, "released")


def test_a_yes_that_shows_late_is_waited_for_and_not_sent_again(real_ledger: Ledger) -> None:
    with stage_with(real_ledger, read_lag_s=0.2) as stage:
        ours = stage.own(2)
        time.sleep(0.25)  # Until the list shows them at all.
        view = stage.run(Release(numbers=tuple(ours)))
        assert outcomes(view) == dict.fromkeys(ours, "released")
        assert calls_of(stage) == 1


# A refusal

REFUSALS = [(404, False), (403, True), (400, False), (422, False), (429, False), (503, False), (404, True), (502, True)]


@pytest.mark.parametrize(("status", "html"), REFUSALS)
@pytest.mark.parametrize("lag_s", [0.0, 0.2])
def test_a_release_that_acts_and_then_refuses_is_released(real_ledger: Ledger, status: int, html: bool, lag_s: float) -> None:
    with stage_with(real_ledger, read_lag_s=lag_s) as stage:
        ours = stage.own(3)
        if lag_s:
            time.sleep(lag_s + 0.05)
        stage.sandbox.add_fault("release", "act_then_refuse", status=status, html=html)
        view = stage.run(Release(numbers=tuple(ours)))
        assert (view.state, outcomes(view)) == ("succeeded", dict.fromkeys(ours, "released"))
        assert not stage.owned()
        assert not stage.ledger.account_state("default").paused
        if not lag_s:
            assert calls_of(stage) == 1


@pytest.mark.parametrize("status", [404, 400, 422])
def test_a_batch_that_is_refused_when_part_of_it_went_is_finished(real_ledger: Ledger, status: int) -> None:
    with stage_with(real_ledger, release_ids="last") as stage:
        ours = stage.own(3)
        stage.sandbox.add_fault("release", "act_then_refuse", status=status)
        view = stage.run(Release(numbers=tuple(ours)))
        assert (view.state, outcomes(view)) == ("succeeded", dict.fromkeys(ours, "released"))
        assert not stage.owned()


@pytest.mark.parametrize("status", [404, 400, 422])
def test_an_honest_refusal_is_said_a_settle_time_after_it(stage: Stage, status: int) -> None:
    ours = stage.own(1)
    stage.sandbox.add_fault("release", "refuse", status=status, times=None)
    began_s = time.monotonic()
    view = stage.run(Release(numbers=tuple(ours)))
    assert time.monotonic() - began_s >= SETTLE_S
    assert (view.state, outcomes(view)) == ("failed", {ours[0]: "refused"})
    assert numbers(view)[0].error is not None
    assert stage.owned() == set(ours)


def test_one_that_is_refused_in_a_hundred_costs_one_settle_time(real_ledger: Ledger) -> None:
    with stage_with(real_ledger) as stage:
        ours = sorted(stage.own(100))
        bad = ours[37]
        stage.sandbox.add_fault("release", "refuse", number=str(record_of(stage, bad)), times=None)
        view = stage.run(Release(numbers=tuple(ours)), key="one-bad")
        assert stage.owned() == {bad}
        assert outcomes(view) == dict.fromkeys(ours, "released") | {bad: "refused"}
        assert calls_of(stage) <= 2 * 7 + 2, "halves of halves, and the bad one alone in two forms"
        assert [step.detail for step in stage.story(view) if step.name == "waiting"].count("settling") <= 1
        assert learned_form(stage) != "single"


def test_one_that_went_just_before_costs_one_more_call(real_ledger: Ledger) -> None:
    with stage_with(real_ledger, read_lag_s=0.2) as stage:
        ours = sorted(stage.own(20))
        time.sleep(0.25)
        stage.client.release([record_of(stage, ours[3])])
        stage.sandbox.order("reconfigure", read_lag_s=0.0)
        stage.sandbox.add_fault("owned", "lag", seconds=0.2, times=1)  # The list that the release begins with still shows it.
        stage.sandbox.add_fault("owned", "lag", seconds=0.2, times=1)
        view = stage.run(Release(numbers=tuple(ours)))
        assert view.state == "succeeded"
        assert not stage.owned()
        assert calls_of(stage) == 1 + 2


def test_a_gateways_page_does_not_pause_the_account(stage: Stage) -> None:
    ours = stage.own(1)
    stage.sandbox.add_fault("release", "refuse", status=403, html=True)
    job = stage.submit(Release(numbers=tuple(ours)))
    assert stage.attempt(job).reason == "retry"
    assert not stage.ledger.account_state("default").paused
    assert outcomes(stage.finish(job)) == {ours[0]: "released"}


# What else may come in between


def test_a_refusal_after_a_call_that_was_never_answered_is_no_proof_that_it_stays(stage: Stage) -> None:
    ours = stage.own(1)
    stage.sandbox.add_fault("release", "act_late", seconds=1.5)
    stage.sandbox.add_fault("release", "refuse", times=None)
    view = stage.run(Release(numbers=tuple(ours)))
    assert (view.state, outcomes(view)) == ("succeeded", {ours[0]: "released"})


def test_it_stays_when_the_settle_limit_has_passed_since_then(real_ledger: Ledger) -> None:
    with stage_with(real_ledger, {"settle_limit_seconds": 1.0}) as stage:
        ours = stage.own(1)
        stage.sandbox.add_fault("release", "drop")
        stage.sandbox.add_fault("release", "refuse", times=None)
        began_s = time.monotonic()
        view = stage.run(Release(numbers=tuple(ours)))
        assert (view.state, outcomes(view)) == ("failed", {ours[0]: "refused"})
        assert time.monotonic() - began_s >= 1.0


@pytest.mark.parametrize(("kind", "ends", "outcome"), [("act_then_refuse", "partial", "released"), ("refuse", "cancelled", "failed")])
def test_called_off_while_a_rate_limit_holds_it_a_release_says_what_went(stage: Stage, kind: str, ends: str, outcome: str) -> None:
    ours = stage.own(1)
    stage.sandbox.add_fault("release", kind, status=429)
    job = stage.submit(Release(numbers=tuple(ours)))
    assert stage.attempt(job).reason == "rate_limited"
    stage.ledger.run(script_calls.cancel(job.id))
    view = stage.finish(job)
    assert (view.state, outcomes(view)) == (ends, {ours[0]: outcome})
    assert stage.owned() == (set() if outcome == "released" else set(ours))


def test_one_that_is_protected_after_its_release_was_refused_is_not_sent_again(stage: Stage, sandbox: Sandbox) -> None:
    ours = stage.own(1)
    guarded = Stage(stage.ledger, sandbox, protected_labels=("vip",))
    stage.sandbox.add_fault("release", "refuse", status=429)
    job = stage.submit(Release(numbers=tuple(ours)))
    guarded.attempt(job)
    stage.sandbox.order("set_number", number=ours[0][1:], label="vip")
    view = guarded.finish(job)
    guarded.close()
    assert outcomes(view) == {ours[0]: "protected"}
    assert (stage.owned(), calls_of(stage)) == (set(ours), 1)


def test_one_that_was_sent_is_never_called_handed_out(stage: Stage) -> None:
    ours = stage.own(1)
    job = stage.submit(Release(numbers=tuple(ours)))
    stage.sandbox.add_fault("release", "act_late", seconds=1.0)
    assert stage.attempt(job).reason == "retry"
    # Its quarantine is over, and a purchase that came later was given it.
    later = stage.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",)))
    order = str(stage.ledger.client.hget(stage.ledger.keys.job(later.id), "order"))
    stage.ledger.client.hset(stage.ledger.keys.handed_out("default"), ours[0], f"{record_of(stage, ours[0])}|{later.id}|{order}")
    stage.make_due(job)
    view = stage.attempt(job)
    assert (view.state, outcomes(view)) == (JobState.NEEDS_REVIEW, {ours[0]: "unclear"})
    assert view.error is not None
    assert "a purchase was given" in view.error.message
    assert calls_of(stage) == 1
    deadline_s = time.monotonic() + 5
    while stage.owned():
        assert time.monotonic() < deadline_s
    stage.ledger.run(script_calls.retry(job.id))
    assert outcomes(stage.finish(job)) == {ours[0]: "released"}


# The decision

RULES = Rules(settle_s=10.0, settle_limit_s=600.0)
REFUSED = JobError(code="release_refused", message="no")


def sent(**changes: object) -> Leaving:
    return Leaving(number="+1213", record_id=1, added=None, sent=True).model_copy(update=changes)


@pytest.mark.parametrize(
    ("leaving", "looked_ms", "found"),
    [
        (sent(), 0, "send"),
        (sent(answered_ms=1000), 10_999, "wait"),
        (sent(answered_ms=1000), 11_000, "alone"),
        (sent(answered_ms=1000, alone=2), 10_999, "wait"),
        (sent(answered_ms=1000, alone=2), 11_000, "park"),
        (sent(answered_ms=1000, refusal=REFUSED), 1001, "send"),
        (sent(answered_ms=1000, refusal=REFUSED, alone=1), 1001, "alone"),
        (sent(answered_ms=1000, refusal=REFUSED, alone=2), 10_999, "wait"),
        (sent(answered_ms=1000, refusal=REFUSED, alone=2), 11_000, "stays"),
        (sent(answered_ms=1000, refusal=REFUSED, alone=2, unclear_ms=900), 11_000, "wait"),
        (sent(answered_ms=1000, alone=2, unclear_ms=900), 11_000, "park"),
        (sent(answered_ms=1000, refusal=REFUSED, alone=2, unclear_ms=900), 600_900, "stays"),
    ],
)
def test_what_a_read_that_still_shows_it_means(leaving: Leaving, looked_ms: int, found: str) -> None:
    assert what_next(leaving, looked_ms, 2, RULES) == found


def test_the_result_of_a_parked_number_says_what_the_last_answer_refused() -> None:
    assert sent(answered_ms=1, refusal=REFUSED).result().error == REFUSED


def test_one_refusal_that_is_gone_at_the_second_try_teaches_nothing(stage: Stage) -> None:
    stage.sandbox.add_fault("release", "refuse")
    assert stage.run(Release(numbers=tuple(stage.own(1)))).state == "succeeded"
    assert learned_form(stage) is None


def test_a_key_that_may_not_release_is_asked_once_and_the_numbers_stay(real_ledger: Ledger) -> None:
    with stage_with(real_ledger, scopes={"default": ("numbers:read", "buy")}) as stage:
        ours = stage.own(3)
        view = stage.run(Release(numbers=tuple(ours)))
        assert (view.state, outcomes(view)) == ("failed", dict.fromkeys(ours, "refused"))
        assert {one.error.code if one.error else None for one in numbers(view)} == {"not_permitted"}
        assert (stage.owned(), calls_of(stage)) == (set(ours), 1)
        assert not stage.ledger.account_state("default").paused
