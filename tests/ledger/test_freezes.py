"""A freeze: from its reply on nothing lets money move, and what may have been sent goes on."""

import json

import pytest

from didflow import Didflow, InvalidRequest
from didflow.contract.attempt_write import Write
from didflow.contract.events import event_adapter
from didflow.contract.requests import SearchAndBuy
from didflow.contract.states import JobState, WaitReason
from didflow.ledger.freezes import RESTARTED, freeze_of, freezes, sending
from didflow.ledger.ledger import Ledger
from didflow.ledger.metrics import measures
from didflow.ledger.replies import Frozen, JobCancelled, Saved
from didflow.ledger.script_calls import Submission
from tests.support.gate import restart
from tests.support.ledger_roles import LEASE_MS, claimed, finished, stream, submitted, wait_until_ms

FENCE = Write("fence", phase="carted", money=True)


@pytest.fixture
def ann(ledger: Ledger) -> Didflow:
    return Didflow(ledger.client, ledger.keys.namespace, shebang=ledger.commands.shebang, actor="ann")


def of(ledger: Ledger, account: str) -> str:
    """A queued purchase of that account."""
    return ledger.submit(Submission(SearchAndBuy(country="US"), account=account)).id


def waits(ledger: Ledger, job_id: str, owner: str = "worker-1") -> None:
    """A worker takes the job, and finds the freeze."""
    claim = claimed(ledger, job_id, owner)
    assert isinstance(ledger.save(claim, 1, FENCE), Frozen)
    assert ledger.suspend(claim, JobState.WAITING, WaitReason.FROZEN, delay_ms=60_000, refund=True)


def test_a_freeze_refuses_what_lets_money_move_and_nothing_else(ledger: Ledger, ann: Didflow) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    report = ann.freeze("a wrong list")
    assert (report.freeze.account, report.freeze.actor, report.freeze.reason, report.is_new) == (None, "ann", "a wrong list", True)
    assert ledger.save(claim, 1, FENCE) == Frozen(report.freeze)
    assert ledger.save(claim, 1, Write("settled", phase="new")) == Saved()
    assert ledger.get(claim.job_id).phase == "new", "the refused write changed nothing"
    assert ann.unfreeze() == report.freeze
    assert ledger.save(claim, 2, FENCE) == Saved()


def test_a_freeze_of_one_account_stops_no_other(ledger: Ledger, ann: Didflow) -> None:
    ann.freeze("a price error", account="shop")
    assert isinstance(ledger.save(claimed(ledger, of(ledger, "shop")), 1, FENCE), Frozen)
    assert ledger.save(claimed(ledger, of(ledger, "default")), 1, FENCE) == Saved()
    ann.freeze("all of it", timeout_s=0)
    assert ann.unfreeze(account="shop") is not None
    assert isinstance(ledger.save(claimed(ledger, of(ledger, "shop")), 1, FENCE), Frozen), "that of all accounts still holds"


def test_a_second_freeze_keeps_the_first_ones_name_and_reason(ledger: Ledger, ann: Didflow) -> None:
    first = ann.freeze("a wrong list")
    again = ann.freeze("another reason", actor="bob")
    assert (again.freeze, again.is_new) == (first.freeze, False)
    assert ann.freezes() == (first.freeze,)


def test_a_freeze_names_the_jobs_that_were_allowed_a_call_before_it(ledger: Ledger, ann: Didflow) -> None:
    fenced, other = claimed(ledger, submitted(ledger).id), claimed(ledger, of(ledger, "shop"), "worker-2")
    for claim in (fenced, other):
        assert ledger.save(claim, 1, FENCE) == Saved()
    assert set(ann.freeze("a wrong list", timeout_s=0).under_way) == {fenced.job_id, other.job_id}
    assert ann.freeze("a wrong list", account="shop", timeout_s=0).under_way == (other.job_id,)
    assert ledger.save(fenced, 2, Write("checkout_yes")) == Saved()
    assert finished(ledger, other)
    assert ann.freeze("a wrong list", timeout_s=0).under_way == ()


def test_the_fence_of_a_lost_reply_is_repeated_and_still_counts_as_under_way(ledger: Ledger, ann: Didflow) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    assert ledger.save(claim, 1, FENCE) == Saved()
    ann.freeze("a wrong list", timeout_s=0)
    assert ledger.save(claim, 1, FENCE) == Saved(), "the first run's reply was lost"
    assert ledger.perform(sending(ledger.commands, None)) == (claim.job_id,)


def lapsed(ledger: Ledger) -> dict[str, int]:
    found: dict[str, str] = ledger.client.hgetall(f"{ledger.keys.frozen}:lapsed")  # type: ignore[assignment]
    return {job_id: int(json.loads(text)["ended_ms"]) for job_id, text in found.items()}


def test_a_lease_that_the_sweeper_ended_is_waited_for_once_more(ledger: Ledger, ann: Didflow) -> None:
    """Redis's clock may have jumped: then the worker takes its lease for valid, and its call may be about to begin."""
    claim = claimed(ledger, submitted(ledger).id)
    assert ledger.save(claim, 1, FENCE) == Saved()
    ledger.client.zadd(ledger.keys.leases, {claim.job_id: 1})
    ledger.sweep(max_crashes=5)
    assert ledger.get(claim.job_id).state is JobState.QUEUED
    assert ann.freeze("a wrong list", timeout_s=0).under_way == (claim.job_id,)
    assert ann.freeze("a price error", account="shop", timeout_s=0).under_way == (), "it is another account's"
    claimed(ledger, claim.job_id, "worker-2")
    assert ledger.perform(sending(ledger.commands, None)) == (claim.job_id,)


@pytest.mark.parametrize("ended_after_ms", [-LEASE_MS, 3_600_000])
def test_a_lease_that_ended_is_waited_for_no_longer_than_it_was_long(ledger: Ledger, ann: Didflow, ended_after_ms: int) -> None:
    """Also where the clock went back an hour since: then the time counts from the next sweep on."""
    claim = claimed(ledger, submitted(ledger).id)
    assert ledger.save(claim, 1, FENCE) == Saved()
    ledger.client.zadd(ledger.keys.leases, {claim.job_id: 1})
    ledger.sweep(max_crashes=5)
    name = f"{ledger.keys.frozen}:lapsed"
    ledger.client.hset(name, claim.job_id, json.dumps({"ended_ms": ledger.now_ms() + ended_after_ms, "lease_ms": LEASE_MS}))
    is_over = ended_after_ms < 0
    assert ledger.perform(sending(ledger.commands, None)) == (() if is_over else (claim.job_id,))
    ledger.sweep(max_crashes=5)
    assert lapsed(ledger).keys() == (set() if is_over else {claim.job_id})
    assert all(ended_ms <= ledger.now_ms() for ended_ms in lapsed(ledger).values())


def test_a_worker_that_dies_with_its_call_answered_holds_no_freeze_up(ledger: Ledger, ann: Didflow) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    assert ledger.save(claim, 1, FENCE) == Saved()
    assert ledger.save(claim, 2, Write("checkout_yes")) == Saved()
    ledger.client.zadd(ledger.keys.leases, {claim.job_id: 1})
    ledger.sweep(max_crashes=5)
    assert ann.freeze("a wrong list", timeout_s=0).under_way == ()


def test_after_a_restart_of_redis_the_leases_of_before_are_waited_for(ledger: Ledger, ann: Didflow) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    ledger.worker_alive("worker-1", lease_ms=LEASE_MS)
    assert ledger.save(claim, 1, FENCE) == Saved()
    restart(ledger)
    ledger.sweep(max_crashes=5)
    assert ann.freeze("a wrong list", timeout_s=0).under_way == (RESTARTED,)
    ledger.client.hset(ledger.keys.epoch, "since_ms", ledger.now_ms() - LEASE_MS - 10_000)
    assert ann.freeze("a wrong list", timeout_s=0).under_way == ()


def test_jobs_wait_as_frozen_and_all_go_on_when_it_is_lifted(ledger: Ledger, ann: Didflow) -> None:
    ann.freeze("a wrong list")
    jobs = [submitted(ledger).id for _ in range(3)]
    for job_id in jobs:
        waits(ledger, job_id)
    assert {(ledger.get(job_id).state, ledger.get(job_id).reason) for job_id in jobs} == {(JobState.WAITING, "frozen")}
    assert ledger.perform(measures(ledger.commands)).frozen_jobs == 3
    ann.unfreeze()
    assert [ledger.get(job_id).due_at for job_id in jobs] == [None] * 3
    ledger.sweep(max_crashes=5)
    for job_id in jobs:
        assert ledger.save(claimed(ledger, job_id), 1, FENCE) == Saved()
    assert ledger.perform(measures(ledger.commands)).frozen_jobs == 0


def test_a_freeze_that_is_lifted_before_the_job_says_that_it_waits_holds_it_up_no_longer(ledger: Ledger, ann: Didflow) -> None:
    ann.freeze("a wrong list")
    claim = claimed(ledger, submitted(ledger).id)
    assert isinstance(ledger.save(claim, 1, FENCE), Frozen)
    ann.unfreeze()
    assert ledger.suspend(claim, JobState.WAITING, WaitReason.FROZEN, delay_ms=60_000, refund=True)
    claimed(ledger, claim.job_id)


def test_a_job_that_waits_can_be_cancelled(ledger: Ledger, ann: Didflow) -> None:
    ann.freeze("a wrong list")
    job_id = submitted(ledger).id
    waits(ledger, job_id)
    assert ann.cancel(job_id).state is JobState.CANCELLED
    assert ledger.perform(measures(ledger.commands)).frozen_jobs == 0


def test_a_cancel_comes_before_a_freeze(ledger: Ledger, ann: Didflow) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    ann.cancel(claim.job_id)
    ann.freeze("a wrong list")
    assert ledger.save(claim, 1, Write("releasing", money=True, unless_cancelled=True)) == JobCancelled()


def test_freeze_and_unfreeze_are_events_once(ledger: Ledger, ann: Didflow) -> None:
    for _ in range(2):
        ann.freeze("a wrong list", account="shop")
    for _ in range(2):
        ann.unfreeze("corrected", account="shop")
    assert all(event_adapter().validate_python({**event, "data": json.loads(event["data"])}) for event in stream(ledger, "events"))
    events = [(event["type"], event["subject"], json.loads(event["data"])) for event in stream(ledger, "events")]
    assert events == [
        ("didflow.ledger.frozen.v1", "shop", {"account": "shop", "actor": "ann", "reason": "a wrong list"}),
        ("didflow.ledger.unfrozen.v1", "shop", {"account": "shop", "actor": "ann", "reason": "corrected"}),
    ]


def test_an_event_whose_id_the_server_lost_gives_it_to_no_other(real_ledger: Ledger) -> None:
    """A consumer that had the lost one would take the new one for it."""
    didflow, keys = Didflow(real_ledger.client, real_ledger.keys.namespace, actor="ann"), real_ledger.keys
    ids = []
    for _ in range(2):
        didflow.freeze("a wrong list")
        ids.append(stream(real_ledger, "events")[-1]["id"])
        real_ledger.client.delete(keys.frozen, keys.events, f"{keys.events}:seqs", f"{keys.frozen}:seq")  # Redis forgot its last writes.
        wait_until_ms(real_ledger, real_ledger.now_ms())  # A server that forgot something was started again: that takes a millisecond.
    assert len(set(ids)) == 2


def test_a_record_that_cannot_be_read_holds_all_the_same(ledger: Ledger, ann: Didflow) -> None:
    ledger.client.hset(ledger.keys.frozen, "", "damaged")
    (found,) = ledger.perform(freezes(ledger.keys))
    assert (found.account, found.actor, found.since) == (None, "", None)
    assert ledger.perform(freeze_of(ledger.keys, "default")) == found
    assert ledger.save(claimed(ledger, submitted(ledger).id), 1, FENCE) == Frozen(found)
    assert ann.unfreeze() == found


@pytest.mark.parametrize("reason", ["", " ", "a\nb", "\x1b[2J", "x" * 501])
def test_a_reason_is_words_that_can_be_shown(ledger: Ledger, ann: Didflow, reason: str) -> None:
    with pytest.raises(InvalidRequest, match="reason: is 1 to 500 printable characters"):
        ann.freeze(reason)
    assert ann.freezes() == ()
