"""A reroute that follows another one begins after it, and moves nothing where that one was held."""

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job
from didflow.contract.requests import Reroute, Selector
from didflow.contract.states import JobState
from didflow.ledger import script_calls
from tests.support.inline_worker import Stage, outcomes

PBX = (Destination.sip("pbx@example.net"),)


def sweep_after(stage: Stage, first: Job) -> Job:
    return stage.submit(Reroute(selector=Selector(label="x"), destinations=PBX, after=first.id))


def test_it_waits_for_the_first_and_moves_only_what_that_one_left(stage: Stage) -> None:
    ours = stage.own(3, label="x")
    first = stage.submit(Reroute(numbers=tuple(ours[:2]), destinations=PBX))
    sweep = sweep_after(stage, first)
    waiting = stage.attempt(sweep)
    assert (waiting.state, waiting.reason) == ("waiting", "depends")
    assert waiting.attempt == 0, "waiting costs no attempt"
    assert set(outcomes(stage.finish(first)).values()) == {"confirmed"}
    found = outcomes(stage.finish(sweep))
    assert [found[number] for number in ours] == ["unchanged", "unchanged", "confirmed"]


@pytest.mark.parametrize("how", ["canary", "guard", "cancelled"])
def test_a_first_one_that_was_held_holds_it_too(stage: Stage, how: str) -> None:
    ours = stage.own(3, label="x")
    request = Reroute(numbers=tuple(ours), destinations=PBX, canary=1 if how == "canary" else None)
    first = stage.submit(request.model_copy(update={"expected_count": 2}) if how == "guard" else request)
    sweep = sweep_after(stage, first)
    if how == "canary":
        stage.sandbox.add_fault("destinations", "refuse")
    if how == "cancelled":
        stage.ledger.run(script_calls.cancel(first.id))
    before = stage.routes()
    assert stage.finish(first).state in (JobState.FAILED, JobState.CANCELLED)
    view = stage.finish(sweep)
    assert (view.state, view.error.code if view.error else None) == ("failed", "first_failed")
    assert stage.routes() == before


def test_a_job_of_nobody_is_not_followed(stage: Stage) -> None:
    stage.own(1, label="x")
    view = stage.run(Reroute(selector=Selector(label="x"), destinations=PBX, after="nobody"))
    assert (view.state, view.error.code if view.error else None) == ("failed", "first_missing")


def test_a_sweep_that_finds_nothing_more_has_succeeded(stage: Stage) -> None:
    ours = stage.own(2, label="y")
    there = Destination.sip("old@example.net")
    first = stage.submit(Reroute(selector=Selector(destination="old@example.net"), destinations=PBX))
    rest = Reroute(selector=Selector(destination="old@example.net"), destinations=PBX, after=first.id)
    sweep = stage.submit(rest)
    assert set(outcomes(stage.finish(first))) == set(ours)
    view = stage.finish(sweep)
    assert (view.state, view.error, outcomes(view)) == ("succeeded", None, {})
    alone = stage.run(rest.model_copy(update={"after": None, "destinations": (there,)}))
    assert (alone.state, alone.error.code if alone.error else None) == ("failed", "nothing_selected")
