"""Jobs as they lie in the ledger: written by another version, or damaged. Each is parked with its reason; nothing is called."""

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.requests import Release, Request, Reroute, SearchAndBuy
from didflow.contract.states import JobState
from tests.support.inline_worker import Stage

BUY = SearchAndBuy(country="US")
MOVE = Reroute(numbers=("+12135550100",), destinations=(Destination.sip("pbx@example.net"),))
GIVE_BACK = Release(numbers=("+12135550100",))


@pytest.mark.parametrize("request_", [BUY, MOVE, GIVE_BACK], ids=["buy", "reroute", "release"])
@pytest.mark.parametrize(
    "stored",
    ['{"kind":"search_and_buy","v":0,"place":"LA"}', '{"kind":"port_in","v":1}', '{"kind":"release"', "", "[" * 5000, "\x1b[2J"],
    ids=["older version", "unknown kind", "cut", "empty", "deep", "escape"],
)
def test_a_request_that_cannot_be_read_is_parked(stage: Stage, request_: Request, stored: str) -> None:
    job = stage.submit(request_)
    stage.ledger.client.hset(stage.ledger.keys.job(job.id), "request", stored)
    view = stage.attempt(job)
    assert view.state is JobState.NEEDS_REVIEW
    assert view.error is not None
    assert view.error.code == "unreadable_request"
    assert stage.sandbox.state()["calls"] == {}
    assert stage.ledger.client.xlen(stage.ledger.keys.results) == 1
    assert stage.attempt(job).state is JobState.NEEDS_REVIEW, "it isn't taken again"


@pytest.mark.parametrize("memo", ['{"v": 99}', "garbage", "[" * 5000])
def test_a_memo_that_cannot_be_read_is_parked_before_money_moves(stage: Stage, memo: str) -> None:
    job = stage.submit(BUY)
    stage.ledger.client.hset(stage.ledger.keys.job(job.id), "memo", memo)
    view = stage.attempt(job)
    assert view.state is JobState.NEEDS_REVIEW
    assert view.error is not None
    assert stage.sandbox.ledger() == []


def test_a_memo_that_is_gone_is_missed_before_money_moves(stage: Stage) -> None:
    stage.sandbox.add_fault("checkout", "act_and_drop")
    for call in ("owned", "owned_one"):
        stage.sandbox.add_fault(call, "drop", times=None)
    job = stage.submit(BUY)
    assert stage.attempt(job).state is JobState.WAITING
    assert len(stage.sandbox.ledger()) == 1, "it is bought, and nobody has seen it"
    stage.sandbox.clear_faults()
    stage.ledger.client.hdel(stage.ledger.keys.job(job.id), "memo")
    view = stage.finish(job)
    assert view.state is JobState.NEEDS_REVIEW
    assert view.error is not None
    assert view.error.code == "unreadable_progress"
    assert len(stage.sandbox.ledger()) == 1


def test_a_release_whose_memo_is_gone_is_not_told_as_not_found(stage: Stage) -> None:
    [number] = stage.own(1)
    stage.sandbox.add_fault("release", "act_and_drop")
    for call in ("owned", "owned_one"):
        stage.sandbox.add_fault(call, "drop", skip=2, times=None)
    job = stage.submit(Release(numbers=(number,)))
    assert stage.attempt(job).state is JobState.WAITING
    assert stage.owned() == set(), "it is gone, and nobody has seen it"
    stage.sandbox.clear_faults()
    stage.ledger.client.hdel(stage.ledger.keys.job(job.id), "memo")
    view = stage.finish(job)
    assert view.state is JobState.NEEDS_REVIEW
    assert view.error is not None
    assert view.error.code == "unreadable_progress"


@pytest.mark.parametrize("field", ["lane", "account", "kind", "request", "created_ms", "priority"])
def test_a_job_with_a_missing_field_stops_nobody(stage: Stage, field: str) -> None:
    job, other = stage.submit(BUY), stage.submit(BUY)
    stage.ledger.client.hdel(stage.ledger.keys.job(job.id), field)
    assert stage.finish(job).state in {JobState.SUCCEEDED, JobState.NEEDS_REVIEW, JobState.FAILED}
    assert stage.finish(other).state is JobState.SUCCEEDED
