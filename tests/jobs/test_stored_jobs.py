"""Jobs as they lie in the ledger: written by another version, or damaged. Each is parked with its reason; nothing is called."""

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.requests import Release, Request, Reroute, SearchAndBuy
from didflow.contract.states import JobState
from tests.support.inline_worker import InlineWorker

BUY = SearchAndBuy(country="US")
MOVE = Reroute(numbers=("+12135550100",), destinations=(Destination.sip("pbx@example.net"),))
GIVE_BACK = Release(numbers=("+12135550100",))


@pytest.mark.parametrize("request_", [BUY, MOVE, GIVE_BACK], ids=["buy", "reroute", "release"])
@pytest.mark.parametrize(
    "stored",
    ['{"kind":"search_and_buy","v":0,"place":"LA"}', '{"kind":"port_in","v":1}', '{"kind":"release"', "", "[" * 5000, "\x1b[2J"],
    ids=["older version", "unknown kind", "cut", "empty", "deep", "escape"],
)
def test_a_request_that_cannot_be_read_is_parked(inline: InlineWorker, request_: Request, stored: str) -> None:
    job = inline.submit(request_)
    inline.ledger.client.hset(inline.ledger.keys.job(job.id), "request", stored)
    view = inline.attempt(job)
    assert view.state is JobState.NEEDS_REVIEW
    assert view.error is not None
    assert view.error.code == "unreadable_request"
    assert inline.sandbox.state()["calls"] == {}
    assert inline.ledger.client.xlen(inline.ledger.keys.results) == 1
    assert inline.attempt(job).state is JobState.NEEDS_REVIEW, "it isn't taken again"


@pytest.mark.parametrize("checkpoint", ['{"v": 99}', "garbage", "[" * 5000])
def test_a_job_whose_checkpoint_cannot_be_read_is_parked_before_money_moves(inline: InlineWorker, checkpoint: str) -> None:
    job = inline.submit(BUY)
    inline.ledger.client.hset(inline.ledger.keys.job(job.id), "memo", checkpoint)
    view = inline.attempt(job)
    assert view.state is JobState.NEEDS_REVIEW
    assert view.error is not None
    assert inline.sandbox.ledger() == []


def test_a_missing_checkpoint_is_noticed_before_money_moves(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("checkout", "act_and_drop")
    for call in ("owned", "owned_one"):
        inline.sandbox.add_fault(call, "drop", times=None)
    job = inline.submit(BUY)
    assert inline.attempt(job).state is JobState.WAITING
    assert len(inline.sandbox.ledger()) == 1, "it is bought, and nobody has seen it"
    inline.sandbox.clear_faults()
    inline.ledger.client.hdel(inline.ledger.keys.job(job.id), "memo")
    view = inline.finish(job)
    assert view.state is JobState.NEEDS_REVIEW
    assert view.error is not None
    assert view.error.code == "unreadable_progress"
    assert len(inline.sandbox.ledger()) == 1


def test_a_release_whose_checkpoint_is_gone_is_not_reported_as_not_found(inline: InlineWorker) -> None:
    [number] = inline.own(1)
    inline.sandbox.add_fault("release", "act_and_drop")
    for call in ("owned", "owned_one"):
        inline.sandbox.add_fault(call, "drop", skip=2, times=None)
    job = inline.submit(Release(numbers=(number,)))
    assert inline.attempt(job).state is JobState.WAITING
    assert inline.owned() == set(), "it is gone, and nobody has seen it"
    inline.sandbox.clear_faults()
    inline.ledger.client.hdel(inline.ledger.keys.job(job.id), "memo")
    view = inline.finish(job)
    assert view.state is JobState.NEEDS_REVIEW
    assert view.error is not None
    assert view.error.code == "unreadable_progress"


@pytest.mark.parametrize("field", ["lane", "account", "kind", "request", "created_ms", "priority"])
def test_a_job_with_a_missing_field_blocks_no_other(inline: InlineWorker, field: str) -> None:
    job, other = inline.submit(BUY), inline.submit(BUY)
    inline.ledger.client.hdel(inline.ledger.keys.job(job.id), field)
    assert inline.finish(job).state in {JobState.SUCCEEDED, JobState.NEEDS_REVIEW, JobState.FAILED}
    assert inline.finish(other).state is JobState.SUCCEEDED
