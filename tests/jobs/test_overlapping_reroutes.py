"""Requests for the same numbers at the same time: the newest wins, also over a call of an older one that acts late."""

import threading
import time

from didflow.contract.destinations import Destination
from didflow.contract.requests import Failback, Reroute
from didflow.contract.states import WaitReason
from didflow.ledger.ledger import Ledger
from tests.support.cluster import until
from tests.support.inline_worker import SETTLE_S, Stage, outcomes
from worker.wavix.sandbox import Sandbox

FIRST, SECOND = (Destination.sip(f"{name}@example.net") for name in ("first", "second"))


def goes_to(stage: Stage, number: str) -> list[str]:
    return stage.routes()[number]


def test_a_late_call_of_an_older_reroute_is_sent_over(stage: Stage) -> None:
    (number,) = stage.own(1)
    stage.sandbox.add_fault("destinations", "act_late", seconds=0.8 * SETTLE_S)
    older = stage.submit(Reroute(numbers=(number,), destinations=(FIRST,)))
    assert stage.attempt(older).state == "waiting", "its answer was lost"
    newer = stage.run(Reroute(numbers=(number,), destinations=(SECOND,)))
    assert outcomes(newer) == {number: "confirmed"}
    assert outcomes(stage.finish(older)) == {number: "superseded"}
    assert goes_to(stage, number) == ["second@example.net"]
    assert stage.sandbox.state()["faults"]["destinations:acted_late"] == 1


def test_a_number_that_is_as_asked_is_claimed_too(stage: Stage) -> None:
    """An older job that comes later must not move it away again."""
    (number,) = stage.own(1)
    older = stage.submit(Reroute(numbers=(number,), destinations=(FIRST,)))
    newer = stage.run(Reroute(numbers=(number,), destinations=(Destination.sip("old@example.net"),)))
    assert outcomes(newer) == {number: "unchanged"}
    assert outcomes(stage.finish(older)) == {number: "superseded"}
    assert goes_to(stage, number) == ["old@example.net"]


def test_what_was_as_asked_when_it_was_read_and_was_moved_meanwhile_is_moved_back(
    stage: Stage, real_ledger: Ledger, sandbox: Sandbox
) -> None:
    (number,) = stage.own(1)
    older = stage.submit(Reroute(numbers=(number,), destinations=(FIRST,)))
    newer = stage.submit(Reroute(numbers=(number,), destinations=(Destination.sip("old@example.net"),)))
    stage.sandbox.add_fault("destinations", "slow", seconds=0.3)
    moving = threading.Thread(target=stage.attempt, args=(older,))
    moving.start()
    until(lambda: stage.sandbox.state()["faults"].get("destinations:slow"), what="the older job's call")
    other = Stage(real_ledger, sandbox)
    view = other.finish(newer)
    moving.join()
    other.close()
    assert outcomes(view) == {number: "confirmed"}
    stage.finish(older)
    assert goes_to(stage, number) == ["old@example.net"]


def test_a_list_that_lags_is_not_believed_that_a_number_is_back_already(stage: Stage) -> None:
    """A list may be as old as the settle time, and shows the route of before the reroute that is to be undone (A3)."""
    (number,) = stage.own(1)
    time.sleep(SETTLE_S)  # The number must be older than the lag below.
    moved = stage.run(Reroute(numbers=(number,), destinations=(FIRST,)))
    assert outcomes(moved) == {number: "confirmed"}
    stage.sandbox.add_fault("owned", "lag", seconds=0.9 * SETTLE_S)
    back = stage.run(Failback(job_id=moved.id))
    assert outcomes(back) == {number: "confirmed"}
    assert goes_to(stage, number) == ["old@example.net"]


def test_a_list_that_lags_is_not_believed_that_somebody_else_moved_a_number_since(stage: Stage) -> None:
    """It may show where the number was two reroutes ago."""
    (number,) = stage.own(1)
    time.sleep(SETTLE_S)
    stage.run(Reroute(numbers=(number,), destinations=(FIRST,)))
    moved = stage.run(Reroute(numbers=(number,), destinations=(SECOND,)))
    stage.sandbox.add_fault("owned", "lag", seconds=0.9 * SETTLE_S)
    failback = stage.submit(Failback(job_id=moved.id))
    assert stage.attempt(failback).reason == WaitReason.SETTLING
    assert outcomes(stage.finish(failback)) == {number: "confirmed"}
    assert goes_to(stage, number) == ["first@example.net"]
