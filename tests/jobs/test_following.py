"""A reroute that follows another one begins after it, and moves nothing where that one was held."""

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job
from didflow.contract.requests import Reroute, Selector
from didflow.contract.states import JobState
from didflow.ledger import script_calls
from tests.support.fan_out import play
from tests.support.inline_worker import InlineWorker, outcomes

PBX = (Destination.sip("pbx@example.net"),)


def sweep_after(inline: InlineWorker, first: Job) -> Job:
    return inline.submit(Reroute(selector=Selector(label="x"), destinations=PBX, after=first.id))


def test_it_waits_for_the_first_and_reroutes_only_what_that_one_left(inline: InlineWorker) -> None:
    ours = inline.own(3, label="x")
    first = inline.submit(Reroute(numbers=tuple(ours[:2]), destinations=PBX))
    sweep = sweep_after(inline, first)
    waiting = inline.attempt(sweep)
    assert (waiting.state, waiting.reason) == ("waiting", "depends")
    assert waiting.attempt == 0, "waiting costs no attempt"
    assert set(outcomes(inline.finish(first)).values()) == {"confirmed"}
    found = outcomes(inline.finish(sweep))
    assert [found[number] for number in ours] == ["unchanged", "unchanged", "confirmed"]


@pytest.mark.parametrize("how", ["canary", "guard", "cancelled"])
def test_a_first_one_that_was_held_holds_it_too(inline: InlineWorker, how: str) -> None:
    ours = inline.own(3, label="x")
    request = Reroute(numbers=tuple(ours), destinations=PBX, canary=1 if how == "canary" else None)
    first = inline.submit(request.model_copy(update={"expected_count": 2}) if how == "guard" else request)
    sweep = sweep_after(inline, first)
    if how == "canary":
        inline.sandbox.add_fault("destinations", "refuse")
    if how == "cancelled":
        inline.ledger.run(script_calls.cancel(first.id))
    before = inline.routes()
    assert inline.finish(first).state in (JobState.FAILED, JobState.CANCELLED)
    view = inline.finish(sweep)
    assert (view.state, view.error.code if view.error else None) == ("failed", "first_failed")
    assert inline.routes() == before


def test_an_unknown_job_is_not_followed(inline: InlineWorker) -> None:
    inline.own(1, label="x")
    view = inline.run(Reroute(selector=Selector(label="x"), destinations=PBX, after="nobody"))
    assert (view.state, view.error.code if view.error else None) == ("failed", "first_missing")


def test_a_sweep_that_finds_nothing_more_has_succeeded(inline: InlineWorker) -> None:
    ours = inline.own(2, label="y")
    there = Destination.sip("old@example.net")
    first = inline.submit(Reroute(selector=Selector(destination="old@example.net"), destinations=PBX))
    rest = Reroute(selector=Selector(destination="old@example.net"), destinations=PBX, after=first.id)
    sweep = inline.submit(rest)
    assert set(outcomes(inline.finish(first))) == set(ours)
    view = inline.finish(sweep)
    assert (view.state, view.error, outcomes(view)) == ("succeeded", None, {})
    alone = inline.run(rest.model_copy(update={"after": None, "destinations": (there,)}))
    assert (alone.state, alone.error.code if alone.error else None) == ("failed", "nothing_selected")


GUARDS = pytest.mark.parametrize(
    ("guard", "code"),
    [({"expected_count": 4}, "unexpected_count"), ({"max_fraction": 0.5}, "too_large_fraction")],
    ids=["expected_count", "max_fraction"],
)


@GUARDS
@pytest.mark.parametrize("batch", [100, 1])
def test_the_guards_hold_for_both_jobs_together(inline: InlineWorker, guard: dict[str, object], code: str, batch: int) -> None:
    """Four of ten were moved. Two more are too many, though there are only two of them."""
    small = InlineWorker(inline.ledger, inline.sandbox, batch_size=batch)
    ours = small.own(6, label="x")
    small.own(4)
    first = small.submit(Reroute(numbers=tuple(ours[:4]), destinations=PBX))
    rest = Reroute(selector=Selector(destination="old@example.net", label="x"), destinations=PBX, after=first.id)
    play(small, first)
    view = play(small, small.submit(rest.model_copy(update=guard)))
    assert (view.state, view.error.code if view.error else None) == ("failed", code)
    assert sum(route == ["pbx@example.net"] for route in small.routes().values()) == 4
    small.close()


@pytest.mark.parametrize("guard", [{"expected_count": 5}, {"max_fraction": 0.5}, {"expected_count": 7, "max_fraction": 0.9}], ids=str)
@pytest.mark.parametrize("batch", [100, 1])
def test_numbers_of_the_first_job_count_once_and_fewer_than_expected_hold_nothing(
    inline: InlineWorker, guard: dict[str, object], batch: int
) -> None:
    """Five of ten are meant by both together. One that the first job names isn't ours."""
    small = InlineWorker(inline.ledger, inline.sandbox, batch_size=batch)
    ours = small.own(5, label="x")
    small.own(5)
    ids = tuple(int(one["record_id"]) for number, one in small.sandbox.owned().items() if f"+{number}" in ours[:4])
    first = small.submit(Reroute(record_ids=(*ids, 1), destinations=PBX))
    rest = Reroute(selector=Selector(label="x"), destinations=PBX, after=first.id)
    play(small, first)
    view = play(small, small.submit(rest.model_copy(update=guard)))
    assert outcomes(view) == dict.fromkeys(ours[:4], "unchanged") | {ours[4]: "confirmed"}
    small.close()
