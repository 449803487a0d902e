"""Requests for the same numbers at the same time: the newest wins, also over a call of an older one that acts late."""

import threading
import time

from didflow.contract.destinations import Destination
from didflow.contract.requests import Failback, Reroute
from didflow.contract.states import WaitReason
from didflow.ledger.ledger import Ledger
from tests.support.cluster import until
from tests.support.inline_worker import SETTLE_S, InlineWorker, outcomes
from worker.wavix.sandbox import Sandbox

FIRST, SECOND = (Destination.sip(f"{name}@example.net") for name in ("first", "second"))


def goes_to(inline: InlineWorker, number: str) -> list[str]:
    return inline.routes()[number]


def test_a_late_call_of_an_older_reroute_is_sent_over(inline: InlineWorker) -> None:
    (number,) = inline.own(1)
    inline.sandbox.add_fault("destinations", "act_late", seconds=0.8 * SETTLE_S)
    older = inline.submit(Reroute(numbers=(number,), destinations=(FIRST,)))
    assert inline.attempt(older).state == "waiting", "its answer was lost"
    newer = inline.run(Reroute(numbers=(number,), destinations=(SECOND,)))
    assert outcomes(newer) == {number: "confirmed"}
    assert outcomes(inline.finish(older)) == {number: "superseded"}
    assert goes_to(inline, number) == ["second@example.net"]
    assert inline.sandbox.state()["faults"]["destinations:acted_late"] == 1


def test_a_number_that_is_as_asked_is_claimed_too(inline: InlineWorker) -> None:
    """An older job that comes later must not move it away again."""
    (number,) = inline.own(1)
    older = inline.submit(Reroute(numbers=(number,), destinations=(FIRST,)))
    newer = inline.run(Reroute(numbers=(number,), destinations=(Destination.sip("old@example.net"),)))
    assert outcomes(newer) == {number: "unchanged"}
    assert outcomes(inline.finish(older)) == {number: "superseded"}
    assert goes_to(inline, number) == ["old@example.net"]


def test_a_number_that_was_as_requested_when_read_and_changed_meanwhile_is_rerouted(
    inline: InlineWorker, real_ledger: Ledger, sandbox: Sandbox
) -> None:
    (number,) = inline.own(1)
    older = inline.submit(Reroute(numbers=(number,), destinations=(FIRST,)))
    newer = inline.submit(Reroute(numbers=(number,), destinations=(Destination.sip("old@example.net"),)))
    inline.sandbox.add_fault("destinations", "slow", seconds=0.3)
    moving = threading.Thread(target=inline.attempt, args=(older,))
    moving.start()
    until(lambda: inline.sandbox.state()["faults"].get("destinations:slow"), what="the older job's call")
    other = InlineWorker(real_ledger, sandbox)
    view = other.finish(newer)
    moving.join()
    other.close()
    assert outcomes(view) == {number: "confirmed"}
    inline.finish(older)
    assert goes_to(inline, number) == ["old@example.net"]


def test_a_list_that_lags_is_not_believed_that_a_number_is_back_already(inline: InlineWorker) -> None:
    """A list may be as old as the settle time, and shows the route of before the reroute that is to be undone (A3)."""
    (number,) = inline.own(1)
    time.sleep(SETTLE_S)  # The number must be older than the lag below.
    moved = inline.run(Reroute(numbers=(number,), destinations=(FIRST,)))
    assert outcomes(moved) == {number: "confirmed"}
    inline.sandbox.add_fault("owned", "lag", seconds=0.9 * SETTLE_S)
    back = inline.run(Failback(job_id=moved.id))
    assert outcomes(back) == {number: "confirmed"}
    assert goes_to(inline, number) == ["old@example.net"]


def test_a_list_that_lags_is_no_proof_that_a_person_rerouted_a_number_since(inline: InlineWorker) -> None:
    """It may show where the number was two reroutes ago."""
    (number,) = inline.own(1)
    time.sleep(SETTLE_S)  # The number must be older than the lag below.
    inline.run(Reroute(numbers=(number,), destinations=(FIRST,)))
    moved = inline.run(Reroute(numbers=(number,), destinations=(SECOND,)))
    inline.sandbox.add_fault("owned", "lag", seconds=0.9 * SETTLE_S)
    failback = inline.submit(Failback(job_id=moved.id))
    assert inline.attempt(failback).reason == WaitReason.SETTLING
    assert outcomes(inline.finish(failback)) == {number: "confirmed"}
    assert goes_to(inline, number) == ["first@example.net"]
