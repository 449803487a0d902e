"""No answer to a release is believed: what is gone is what two reads, begun after it, don't show."""

import json
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
from didflow.ledger.observed_behaviour import IDS_FORM, Learned, learned
from tests.support.inline_worker import SETTLE_S, InlineWorker, numbers, outcomes
from worker.jobs.ports.rules import Rules
from worker.jobs.release.executor import what_next
from worker.jobs.release.state import ReleaseItem
from worker.wavix.sandbox import Sandbox, SandboxOptions
from worker.wavix.sandbox.options import ReleaseIds


@contextmanager
def stage_with(ledger: Ledger, settings: dict[str, object] | None = None, **options: Any) -> Iterator[InlineWorker]:
    with Sandbox(SandboxOptions(numbers_per_city=130, **options)) as sandbox:
        inline = InlineWorker(ledger, sandbox, **(settings or {}))
        yield inline
        inline.close()


def calls_of(inline: InlineWorker, name: str = "release") -> int:
    return int(inline.sandbox.state()["calls"].get(name, 0))


def record_of(inline: InlineWorker, number: str) -> int:
    return int(inline.sandbox.owned()[number[1:]]["record_id"])


def learned_form(inline: InlineWorker) -> str | None:
    found = inline.ledger.perform(learned(inline.ledger.keys, "default", IDS_FORM))
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
    with stage_with(real_ledger, release_ids=takes) as inline:
        for expected in (calls_before, calls_after):
            ours, before = inline.own(3), calls_of(inline)
            view = inline.run(Release(numbers=tuple(ours)))
            assert (view.state, outcomes(view)) == ("succeeded", dict.fromkeys(ours, "released"))
            assert not inline.owned()
            assert (calls_of(inline) - before, learned_form(inline)) == (expected, learns)


@pytest.mark.parametrize(
    ("form", "takes", "expected"), [("brackets", "brackets", 1), ("comma", "comma", 1), ("single", "last", 3), ("repeat", "repeat", 1)]
)
def test_a_form_that_is_set_is_used_and_nothing_is_learned(real_ledger: Ledger, form: IdsForm, takes: ReleaseIds, expected: int) -> None:
    with stage_with(real_ledger, {"WAVIX_IDS_FORM": form}, release_ids=takes) as inline:
        ours = inline.own(3)
        assert outcomes(inline.run(Release(numbers=tuple(ours)))) == dict.fromkeys(ours, "released")
        assert (calls_of(inline), learned_form(inline)) == (expected, None)


def test_what_was_learned_is_tried_again_after_a_month(real_ledger: Ledger) -> None:
    with stage_with(real_ledger) as inline:
        month_ago_ms = inline.ledger.now_ms() - 31 * 86_400_000
        inline.ledger.client.hset(
            inline.ledger.keys.learned("default"), IDS_FORM, Learned(value="single", seen_ms=month_ago_ms).model_dump_json()
        )
        assert inline.run(Release(numbers=tuple(inline.own(3)))).state == "succeeded"
        assert (calls_of(inline), learned_form(inline)) == (1, "repeat")


def test_a_process_knows_what_it_learned_though_the_ledger_forgot(real_ledger: Ledger) -> None:
    with stage_with(real_ledger, release_ids="last") as inline:
        inline.run(Release(numbers=tuple(inline.own(2))))
        inline.ledger.client.delete(inline.ledger.keys.learned("default"))
        job = inline.submit(Release(numbers=tuple(inline.own(2))))
        assert inline.attempt(job).state == "succeeded", "one attempt: nobody waited for what would not come"
        assert calls_of(inline) == 4


def test_a_yes_without_effect_is_sent_again_alone_and_then_parked(inline: InlineWorker) -> None:
    ours = inline.own(2)
    inline.sandbox.add_fault("release", "refuse", status=200, body={"success": True}, times=None)
    job = inline.submit(Release(numbers=tuple(ours)))
    view = inline.finish(job)
    assert view.state is JobState.NEEDS_REVIEW
    assert outcomes(view) == dict.fromkeys(ours, "unclear")
    assert view.error is not None
    assert (view.error.code, "still lists them" in view.error.message) == ("release_unclear", True)
    assert inline.owned() == set(ours)
    assert calls_of(inline) == 1 + 2 * 2, "both, then each alone in both forms that are safe to try"
    inline.sandbox.clear_faults()
    for number in ours:  # A person releases them by hand.
        assert isinstance(inline.client.release([record_of(inline, number)]), Yes)
    inline.ledger.run(script_calls.retry(job.id))
    assert outcomes(inline.finish(job)) == dict.fromkeys(ours, "released")


def test_a_yes_that_shows_late_is_waited_for_and_not_sent_again(real_ledger: Ledger) -> None:
    with stage_with(real_ledger, read_lag_s=0.2) as inline:
        ours = inline.own(2)
        time.sleep(0.25)  # Until the list shows them at all.
        view = inline.run(Release(numbers=tuple(ours)))
        assert outcomes(view) == dict.fromkeys(ours, "released")
        assert calls_of(inline) == 1


# A refusal

REFUSALS = [(404, False), (403, True), (400, False), (422, False), (429, False), (503, False), (404, True), (502, True)]


@pytest.mark.parametrize(("status", "html"), REFUSALS)
@pytest.mark.parametrize("lag_s", [0.0, 0.2])
def test_a_release_that_acts_and_then_refuses_is_released(real_ledger: Ledger, status: int, html: bool, lag_s: float) -> None:
    with stage_with(real_ledger, read_lag_s=lag_s) as inline:
        ours = inline.own(3)
        time.sleep(lag_s and lag_s + 0.05)  # Until the list shows them at all.
        inline.sandbox.add_fault("release", "act_then_refuse", status=status, html=html)
        view = inline.run(Release(numbers=tuple(ours)))
        assert (view.state, outcomes(view)) == ("succeeded", dict.fromkeys(ours, "released"))
        assert not inline.owned()
        assert not inline.ledger.account_state("default").paused
        if not lag_s:
            assert calls_of(inline) == 1


@pytest.mark.parametrize("status", [404, 400, 422])
def test_a_batch_that_is_refused_when_part_of_it_went_is_finished(real_ledger: Ledger, status: int) -> None:
    with stage_with(real_ledger, release_ids="last") as inline:
        ours = inline.own(3)
        inline.sandbox.add_fault("release", "act_then_refuse", status=status)
        view = inline.run(Release(numbers=tuple(ours)))
        assert (view.state, outcomes(view)) == ("succeeded", dict.fromkeys(ours, "released"))
        assert not inline.owned()


@pytest.mark.parametrize("status", [404, 400, 422])
def test_an_honest_refusal_is_said_a_settle_time_after_it(inline: InlineWorker, status: int) -> None:
    ours = inline.own(1)
    inline.sandbox.add_fault("release", "refuse", status=status, times=None)
    began_s = time.monotonic()
    view = inline.run(Release(numbers=tuple(ours)))
    assert time.monotonic() - began_s >= SETTLE_S
    assert (view.state, outcomes(view)) == ("failed", {ours[0]: "refused"})
    assert numbers(view)[0].error is not None
    assert inline.owned() == set(ours)


def test_one_that_is_refused_in_a_hundred_costs_one_settle_time(real_ledger: Ledger) -> None:
    with stage_with(real_ledger) as inline:
        ours = sorted(inline.own(100))
        bad = ours[37]
        inline.sandbox.add_fault("release", "refuse", number=str(record_of(inline, bad)), times=None)
        view = inline.run(Release(numbers=tuple(ours)), key="one-bad")
        assert inline.owned() == {bad}
        assert outcomes(view) == dict.fromkeys(ours, "released") | {bad: "refused"}
        assert calls_of(inline) <= 2 * 7 + 2, "halves of halves, and the bad one alone in two forms"
        assert [step.detail for step in inline.story(view) if step.name == "waiting"].count("settling") <= 1
        assert learned_form(inline) != "single"


def test_one_that_went_just_before_costs_one_more_call(real_ledger: Ledger) -> None:
    lag_s = 1.5  # What passes between the release and the second look at the list must be less than this, also on a busy machine.
    with stage_with(real_ledger, read_lag_s=lag_s) as inline:
        ours = sorted(inline.own(20))
        time.sleep(lag_s + 0.05)  # Until the list shows them at all.
        inline.client.release([record_of(inline, ours[3])])
        inline.sandbox.order("reconfigure", read_lag_s=0.0)
        inline.sandbox.add_fault("owned", "lag", seconds=lag_s, times=1)  # The list that the release begins with still shows it.
        inline.sandbox.add_fault("owned", "lag", seconds=lag_s, times=1)
        view = inline.run(Release(numbers=tuple(ours)))
        assert view.state == "succeeded"
        assert not inline.owned()
        assert calls_of(inline) == 1 + 2


def test_a_gateways_page_does_not_pause_the_account(inline: InlineWorker) -> None:
    ours = inline.own(1)
    inline.sandbox.add_fault("release", "refuse", status=403, html=True)
    job = inline.submit(Release(numbers=tuple(ours)))
    assert inline.attempt(job).reason == "retry"
    assert not inline.ledger.account_state("default").paused
    assert outcomes(inline.finish(job)) == {ours[0]: "released"}


# What else may come in between


def test_a_refusal_after_a_call_that_was_never_answered_is_no_proof_that_it_stays(inline: InlineWorker) -> None:
    ours = inline.own(1)
    inline.sandbox.add_fault("release", "act_late", seconds=1.5)
    inline.sandbox.add_fault("release", "refuse", times=None)
    view = inline.run(Release(numbers=tuple(ours)))
    assert (view.state, outcomes(view)) == ("succeeded", {ours[0]: "released"})


def test_it_stays_when_the_settle_limit_has_passed_since_then(real_ledger: Ledger) -> None:
    with stage_with(real_ledger, {"settle_limit_seconds": 1.0}) as inline:
        ours = inline.own(1)
        inline.sandbox.add_fault("release", "drop")
        inline.sandbox.add_fault("release", "refuse", times=None)
        began_s = time.monotonic()
        view = inline.run(Release(numbers=tuple(ours)))
        assert (view.state, outcomes(view)) == ("failed", {ours[0]: "refused"})
        assert time.monotonic() - began_s >= 1.0


@pytest.mark.parametrize(("kind", "ends", "outcome"), [("act_then_refuse", "partial", "released"), ("refuse", "cancelled", "failed")])
def test_called_off_while_a_rate_limit_holds_it_a_release_says_what_went(inline: InlineWorker, kind: str, ends: str, outcome: str) -> None:
    ours = inline.own(1)
    inline.sandbox.add_fault("release", kind, status=429)
    job = inline.submit(Release(numbers=tuple(ours)))
    assert inline.attempt(job).reason == "rate_limited"
    inline.ledger.run(script_calls.cancel(job.id))
    view = inline.finish(job)
    assert (view.state, outcomes(view)) == (ends, {ours[0]: outcome})
    assert inline.owned() == (set() if outcome == "released" else set(ours))


def test_one_that_is_protected_after_its_release_was_refused_is_not_sent_again(inline: InlineWorker, sandbox: Sandbox) -> None:
    ours = inline.own(1)
    guarded = InlineWorker(inline.ledger, sandbox, protected_labels=("vip",))
    inline.sandbox.add_fault("release", "refuse", status=429)
    job = inline.submit(Release(numbers=tuple(ours)))
    guarded.attempt(job)
    inline.sandbox.order("set_number", number=ours[0][1:], label="vip")
    view = guarded.finish(job)
    guarded.close()
    assert outcomes(view) == {ours[0]: "protected"}
    assert (inline.owned(), calls_of(inline)) == (set(ours), 1)


def test_one_that_was_sent_is_never_called_handed_out(inline: InlineWorker) -> None:
    ours = inline.own(1)
    job = inline.submit(Release(numbers=tuple(ours)))
    inline.sandbox.add_fault("release", "act_late", seconds=1.0)
    assert inline.attempt(job).reason == "retry"
    # Its quarantine is over, and a purchase that came later was given it.
    later = inline.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",)))
    order = str(inline.ledger.client.hget(inline.ledger.keys.job(later.id), "order"))
    inline.ledger.client.hset(
        inline.ledger.keys.handed_out("default"),
        ours[0],
        json.dumps({"record_id": str(record_of(inline, ours[0])), "job": later.id, "order": int(order)}),
    )
    inline.make_due(job)
    view = inline.attempt(job)
    assert (view.state, outcomes(view)) == (JobState.NEEDS_REVIEW, {ours[0]: "unclear"})
    assert view.error is not None
    assert "a purchase was given" in view.error.message
    assert calls_of(inline) == 1
    deadline_s = time.monotonic() + 5
    while inline.owned():
        assert time.monotonic() < deadline_s
    inline.ledger.run(script_calls.retry(job.id))
    assert outcomes(inline.finish(job)) == {ours[0]: "released"}


# The decision

RULES = Rules(settle_s=10.0, settle_limit_s=600.0)
REFUSED = JobError(code="release_refused", message="no")


def sent(**changes: object) -> ReleaseItem:
    return ReleaseItem(number="+1213", record_id=1, added=None, sent=True).model_copy(update=changes)


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
def test_what_a_read_that_still_shows_it_means(leaving: ReleaseItem, looked_ms: int, found: str) -> None:
    assert what_next(leaving, looked_ms, 2, RULES) == found


def test_the_result_of_a_parked_number_says_what_the_last_answer_refused() -> None:
    assert sent(answered_ms=1, refusal=REFUSED).result().error == REFUSED


def test_one_refusal_that_is_gone_at_the_second_try_teaches_nothing(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("release", "refuse")
    assert inline.run(Release(numbers=tuple(inline.own(1)))).state == "succeeded"
    assert learned_form(inline) is None


def test_a_key_that_may_not_release_is_asked_once_and_the_numbers_stay(real_ledger: Ledger) -> None:
    with stage_with(real_ledger, scopes={"default": ("numbers:read", "buy")}) as inline:
        ours = inline.own(3)
        view = inline.run(Release(numbers=tuple(ours)))
        assert (view.state, outcomes(view)) == ("failed", dict.fromkeys(ours, "refused"))
        assert {one.error.code if one.error else None for one in numbers(view)} == {"not_permitted"}
        assert (inline.owned(), calls_of(inline)) == (set(ours), 1)
        assert not inline.ledger.account_state("default").paused
