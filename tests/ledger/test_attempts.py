"""Lease and fencing token: one attempt at a time writes, an old one changes nothing."""

import copy
import json
import time
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from didflow.contract.attempt_write import Write
from didflow.contract.destinations import Destination
from didflow.contract.requests import FollowDocuments, Reroute
from didflow.contract.states import JobState, WaitReason
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.number_pool import hand_out, take_back
from didflow.ledger.release_guards import quarantine
from didflow.ledger.replies import ClaimRefused, LeaseLost, LeaseState, NumbersReserved, Saved
from didflow.ledger.route_claims import claim_routes
from didflow.ledger.script_calls import RENUDGE_MS, Submission
from tests.support.ledger_roles import DONE, LEASE_MS, claimed, finished, states, stream, submitted, wait_until_ms


def emitted(ledger: Ledger) -> list[tuple[str, str | None, int, str | None]]:
    """What the events stream says of jobs: state, reason, attempt and progress."""
    bodies = [json.loads(entry["data"]) for entry in stream(ledger, "events")]
    return [(body["state"], body["reason"], body["attempt"], body["progress"]) for body in bodies]


def waits(ledger: Ledger, claim: Claim, reason: WaitReason, *, refund: bool = True) -> None:
    assert ledger.suspend(claim, JobState.WAITING, reason, delay_ms=1, refund=refund)
    wait_until_ms(ledger, ledger.now_ms() + 2)


def test_a_job_that_waits_emits_it_once_however_often_it_is_attempted(ledger: Ledger) -> None:
    job = submitted(ledger)
    for look in range(4):
        waits(ledger, claimed(ledger, job.id, f"worker-{look}"), WaitReason.SETTLING)
    assert [state for state, *_ in emitted(ledger)] == ["queued", "running", "waiting"]
    assert ledger.get(job.id).state == "waiting", "its state of the moment is in the ledger"
    assert finished(ledger, claimed(ledger, job.id))
    seqs = [int(entry["id"].rpartition(":")[2]) for name in ("events", "results") for entry in stream(ledger, name)]
    assert seqs == [1, 2, 3, 4], "in order, and none is missing"


def test_progress_another_reason_and_another_attempt_are_emitted(ledger: Ledger) -> None:
    job = submitted(ledger)
    waits(ledger, claimed(ledger, job.id), WaitReason.FUNDS)
    second = claimed(ledger, job.id, "worker-2")
    ledger.save(second, 1, Write("settled", progress="1 of 2 bought"))
    ledger.save(second, 2, Write("settled", progress="1 of 2 bought"))
    waits(ledger, second, WaitReason.FUNDS)
    waits(ledger, claimed(ledger, job.id, "worker-3"), WaitReason.SETTLING)
    waits(ledger, claimed(ledger, job.id, "worker-4"), WaitReason.RETRY, refund=False)
    claimed(ledger, job.id, "worker-5")
    got_on = "1 of 2 bought"
    assert emitted(ledger) == [
        ("queued", None, 0, None),
        ("running", None, 1, None),
        ("waiting", "funds", 0, None),
        ("running", None, 1, got_on),
        ("waiting", "funds", 0, got_on),
        ("waiting", "settling", 0, got_on),
        ("waiting", "retry", 1, got_on),
        ("running", None, 2, got_on),
    ]


def test_a_claim_counts_the_attempt_and_raises_the_token(ledger: Ledger) -> None:
    job = submitted(ledger)
    claim = claimed(ledger, job.id)
    assert (claim.token, claim.fields["attempt"]) == ("1", "1")
    assert ledger.get(job.id).state is JobState.RUNNING


def test_a_leased_job_is_not_claimed_by_another(ledger: Ledger) -> None:
    job = submitted(ledger)
    claimed(ledger, job.id)
    assert ledger.claim(job.id, "worker-2", lease_ms=LEASE_MS) == ClaimRefused(job.id, "running")


def test_a_claim_whose_reply_was_lost_may_be_sent_again(ledger: Ledger) -> None:
    job = submitted(ledger)
    first, second = claimed(ledger, job.id, "worker-1:x"), claimed(ledger, job.id, "worker-1:x")
    assert first.token == second.token
    assert second.fields["attempt"] == "1"


def test_a_finished_or_unknown_job_is_not_claimed(ledger: Ledger) -> None:
    job = submitted(ledger)
    finished(ledger, claimed(ledger, job.id))
    assert ledger.claim(job.id, "worker-2", lease_ms=LEASE_MS) == ClaimRefused(job.id, "succeeded")
    assert ledger.claim("nope", "worker-2", lease_ms=LEASE_MS) == ClaimRefused("nope", "gone")


def test_a_finish_writes_state_result_and_one_event_and_may_be_sent_again(ledger: Ledger) -> None:
    job = submitted(ledger)
    claim = claimed(ledger, job.id)
    assert finished(ledger, claim)
    assert finished(ledger, claim)
    assert states(ledger, "results") == ["succeeded"]
    assert ledger.get(job.id).result == DONE
    assert json.loads(stream(ledger, "results")[0]["data"])["numbers"] == []


def test_an_old_token_changes_nothing(ledger: Ledger) -> None:
    job = submitted(ledger)
    zombie = claimed(ledger, job.id, lease_ms=1)
    wait_until_ms(ledger, ledger.now_ms() + 5)
    assert ledger.sweep(max_crashes=5).recovered == 1
    claimed(ledger, job.id, "worker-2")
    before = ledger.get(job.id)
    assert ledger.save(zombie, 1, Write("bind", checkpoint="zombie", reserve=["+1"])) == LeaseLost()
    assert not finished(ledger, zombie)
    assert not ledger.suspend(zombie, JobState.WAITING, WaitReason.RETRY, delay_ms=1, refund=True)
    assert ledger.renew([(job.id, zombie.token)], lease_ms=LEASE_MS) == {(job.id, zombie.token): LeaseState.LOST}
    assert claim_routes(ledger, zombie, ["+1"]) is None
    assert quarantine(ledger, zombie, ["+1"]) is None
    assert hand_out(ledger, zombie, [("+1", 1, "{}")]) is None
    assert not take_back(ledger, zombie, {"+1": "{}"})
    assert not ledger.emit(zombie, [("+1", "{}", "didflow.number.activated.v1", "{}")])
    assert not ledger.follow_up(zombie, "documents", FollowDocuments(job_id=job.id), delay_ms=1)
    assert ledger.get(job.id) == before
    assert ledger.client.exists(ledger.keys.reserved("default"), ledger.keys.handed_out("default"), ledger.keys.numbers(job.id)) == 0
    assert len(ledger.perform(ledger.commands.find())) == 1


def test_a_write_is_all_or_nothing_and_its_repetition_changes_nothing(ledger: Ledger) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    write = Write("bind", "+1", phase="bound", checkpoint="{}", numbers={"+1": "{}"}, reserve=["+1"])
    assert ledger.save(claim, 1, write) == Saved()
    assert ledger.save(claim, 1, write) == Saved()
    assert [step.name for step in ledger.perform(ledger.commands.steps(claim.job_id))] == ["submitted", "bind"]
    assert ledger.numbers(claim.job_id) == {"+1": "{}"}


def test_a_number_reserved_by_one_job_is_refused_to_another_and_then_nothing_is_written(ledger: Ledger) -> None:
    one, other = claimed(ledger, submitted(ledger).id), claimed(ledger, submitted(ledger).id)
    ledger.save(one, 1, Write("bind", reserve=["+1", "+2"]))
    assert ledger.save(other, 1, Write("bind", checkpoint="x", reserve=["+2", "+3"])) == NumbersReserved(("+2",))
    assert ledger.get(other.job_id).phase is None
    assert ledger.save(other, 2, Write("bind", reserve=["+3"])) == Saved()


def test_a_tainted_number_stays_reserved_after_the_job_and_a_kept_one_does_not(ledger: Ledger) -> None:
    one, other = claimed(ledger, submitted(ledger).id), claimed(ledger, submitted(ledger).id)
    ledger.save(one, 1, Write("bind", reserve=["+1", "+2"]))
    ledger.save(one, 2, Write("settled", taint=["+1"]))
    finished(ledger, one)
    assert ledger.save(other, 1, Write("bind", reserve=["+1", "+2"])) == NumbersReserved(("+1",))
    assert ledger.save(other, 2, Write("bind", reserve=["+2"])) == Saved()


def test_a_tainted_number_is_refused_to_its_own_job_too(ledger: Ledger) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    ledger.save(claim, 1, Write("bind", reserve=["+1"]))
    ledger.save(claim, 2, Write("burned", taint=["+1"]))
    assert ledger.save(claim, 3, Write("bind", reserve=["+1"])) == NumbersReserved(("+1",))


def test_a_freed_number_is_there_for_others(ledger: Ledger) -> None:
    one, other = claimed(ledger, submitted(ledger).id), claimed(ledger, submitted(ledger).id)
    ledger.save(one, 1, Write("bind", reserve=["+1"]))
    ledger.save(one, 2, Write("abandon", free=["+1"]))
    assert ledger.save(other, 1, Write("bind", reserve=["+1"])) == Saved()


def test_a_waiting_job_comes_back_at_its_time_and_not_before_and_the_attempt_is_given_back(ledger: Ledger) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    assert ledger.suspend(claim, JobState.WAITING, WaitReason.SETTLING, delay_ms=300, refund=True)
    due = ledger.now_ms() + 300
    view = ledger.get(claim.job_id)
    assert (view.state, view.reason, view.attempt) == (JobState.WAITING, "settling", 0)
    assert ledger.claim(claim.job_id, "worker-2", lease_ms=LEASE_MS) == ClaimRefused(claim.job_id, "early")
    wait_until_ms(ledger, due)
    assert ledger.sweep(max_crashes=5).nudged == 1
    assert claimed(ledger, claim.job_id, "worker-2").fields["attempt"] == "1"


def test_a_suspend_may_be_sent_again_and_is_emitted_once(ledger: Ledger) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    for _ in range(2):
        assert ledger.suspend(claim, JobState.WAITING, WaitReason.RETRY, delay_ms=1, refund=True)
    assert ledger.get(claim.job_id).attempt == 0
    assert states(ledger, "events") == ["queued", "running", "waiting"]


def test_a_handed_back_job_is_there_for_the_next_worker_at_once(ledger: Ledger) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    ledger.suspend(claim, JobState.QUEUED, None, delay_ms=0, refund=True)
    assert claimed(ledger, claim.job_id, "worker-2").token == "2"


def test_a_lease_is_kept_by_renewing_it(ledger: Ledger) -> None:
    claim = claimed(ledger, submitted(ledger).id, lease_ms=20)
    for _ in range(2):
        assert ledger.renew([(claim.job_id, claim.token)], lease_ms=LEASE_MS) == {(claim.job_id, claim.token): LeaseState.HELD}
    wait_until_ms(ledger, ledger.now_ms() + 25)
    assert ledger.sweep(max_crashes=5).recovered == 0


def test_a_dead_workers_job_is_due_again_and_the_crash_is_counted(ledger: Ledger) -> None:
    claim = claimed(ledger, submitted(ledger).id, lease_ms=1)
    wait_until_ms(ledger, ledger.now_ms() + 5)
    assert ledger.sweep(max_crashes=5).recovered == 1
    assert ledger.sweep(max_crashes=5).recovered == 0
    assert claimed(ledger, claim.job_id, "worker-2").fields["crashes"] == "1"


def crash(ledger: Ledger, job_id: str) -> None:
    """A worker takes the job and dies."""
    while isinstance(ledger.claim(job_id, f"worker-{time.monotonic_ns()}", lease_ms=1), ClaimRefused):
        time.sleep(0.001)  # Until the job is due again: a millisecond after the crash before.
    wait_until_ms(ledger, ledger.now_ms() + 5)
    assert ledger.sweep(max_crashes=9, retry_ms=1).recovered == 1


def test_a_dead_workers_job_goes_before_the_backlog(ledger: Ledger) -> None:
    """It had its turn."""
    orphan, *_ = [submitted(ledger) for _ in range(3)]
    lose_messages(ledger)
    backlog = submitted(ledger)
    crash(ledger, orphan.id)
    waiting = cast("list[str]", ledger.client.lrange(ledger.keys.broker + ":money", 0, -1))
    assert [message_id.partition(":")[0] for message_id in waiting] == [orphan.id, backlog.id]


def test_a_dead_workers_job_whose_nudge_is_lost_too_is_nudged_within_two_seconds(ledger: Ledger) -> None:
    """At every look another one, whether the broker says that it has the last or not: another dead worker may be who has it."""
    job = submitted(ledger)
    crash(ledger, job.id)
    for most_ms in (1000, 2000, 4000):
        look_ms = float(str(ledger.client.zscore(f"{ledger.keys.namespace}:due", job.id)))
        assert look_ms - ledger.now_ms() <= most_ms
        ledger.client.zadd(f"{ledger.keys.namespace}:due", {job.id: 0})
        assert ledger.sweep(max_crashes=5).nudged == 1


def test_however_many_workers_died_of_a_job_the_next_one_gets_it_soon(ledger: Ledger) -> None:
    job = submitted(ledger)
    for _ in range(3):
        crash(ledger, job.id)
    wait_until_ms(ledger, ledger.now_ms() + 2)
    claimed(ledger, job.id, lease_ms=1)
    wait_until_ms(ledger, ledger.now_ms() + 5)
    ledger.sweep(max_crashes=9)
    assert float(str(ledger.client.zscore(f"{ledger.keys.namespace}:due", job.id))) - ledger.now_ms() <= 2000


@pytest.mark.parametrize("reason", [WaitReason.STOCK, WaitReason.DOCUMENTS, WaitReason.GRACE, WaitReason.DAILY_CAP])
def test_what_went_wrong_before_a_look_that_came_through_counts_no_more(ledger: Ledger, reason: WaitReason) -> None:
    """In the weeks of a standing order many a worker dies and many a look fails."""
    job = submitted(ledger)
    crash(ledger, job.id)
    claim = claimed(ledger, job.id, "worker-1")
    waits(ledger, claim, WaitReason.RETRY, refund=False)
    waits(ledger, claimed(ledger, job.id, "worker-2"), reason)
    assert claimed(ledger, job.id, "worker-3").fields["attempt"] == "1"
    assert ledger.client.hget(ledger.keys.job(job.id), "crashes") == "0"


@pytest.mark.parametrize("reason", [WaitReason.RATE_LIMITED, WaitReason.SETTLING, WaitReason.PROVIDER_DOWN])
def test_what_went_wrong_counts_on_as_long_as_nothing_came_through(ledger: Ledger, reason: WaitReason) -> None:
    job = submitted(ledger)
    crash(ledger, job.id)
    waits(ledger, claimed(ledger, job.id, "worker-1"), WaitReason.RETRY, refund=False)
    waits(ledger, claimed(ledger, job.id, "worker-2"), reason)
    assert claimed(ledger, job.id, "worker-3").fields["attempt"] == "3"
    assert ledger.client.hget(ledger.keys.job(job.id), "crashes") == "1"


def test_a_job_that_kills_its_workers_is_parked_with_one_event(ledger: Ledger) -> None:
    job = submitted(ledger)
    for count in range(1, 4):
        if count > 1:
            wait_until_ms(ledger, ledger.now_ms() + count)
        claim = ledger.claim(job.id, f"worker-{count}", lease_ms=1)
        while not isinstance(claim, Claim):
            claim = ledger.claim(job.id, f"worker-{count}", lease_ms=1)
        wait_until_ms(ledger, ledger.now_ms() + 5)
        swept = ledger.sweep(max_crashes=3, retry_ms=1)
    assert swept.parked == 1
    view = ledger.get(job.id)
    assert view.state is JobState.NEEDS_REVIEW
    assert view.error
    assert view.error.code == "too_many_crashes"
    assert states(ledger, "results") == ["needs_review"]


def lose_messages(ledger: Ledger) -> None:
    """The queue with all that is in it."""
    ledger.client.delete(ledger.keys.broker + ":money", ledger.keys.broker + ":money.msgs")


def test_a_lost_nudge_is_sent_again(ledger: Ledger) -> None:
    job = submitted(ledger)
    lose_messages(ledger)
    ledger.client.zadd(f"{ledger.keys.namespace}:due", {job.id: 0})
    assert ledger.sweep(max_crashes=5).nudged == 1
    assert ledger.client.llen(ledger.keys.broker + ":money") == 1


def test_a_nudge_that_waits_its_turn_is_not_doubled_but_one_in_four_looks_sends_another(ledger: Ledger) -> None:
    job = submitted(ledger)
    nudged = []
    for _ in range(8):
        ledger.client.zadd(f"{ledger.keys.namespace}:due", {job.id: 0})
        nudged.append(ledger.sweep(max_crashes=5).nudged)
    assert nudged == [0, 0, 0, 1, 0, 0, 0, 1]


def test_an_emergency_is_nudged_at_every_look(ledger: Ledger) -> None:
    """Its message may wait behind a thread that is busy by now."""
    move = Reroute(numbers=("+12135550100",), destinations=(Destination.sip("backup@example.net"),))
    job = ledger.submit(Submission(move))
    for _ in range(3):
        ledger.client.zadd(f"{ledger.keys.namespace}:due_first", {job.id: 0})
        assert ledger.sweep(max_crashes=5).nudged == 1


def test_a_job_that_went_on_often_is_nudged_as_soon_as_any_other(ledger: Ledger) -> None:
    """Each nudge that nobody answers makes the next one later; a claim is an answer."""
    job = submitted(ledger)
    for round_ in range(8):
        claim = claimed(ledger, job.id, f"worker-{round_}")
        ledger.suspend(claim, JobState.QUEUED, None, delay_ms=0, refund=True)
    lose_messages(ledger)
    ledger.client.zadd(f"{ledger.keys.namespace}:due", {job.id: 0})
    before_ms = ledger.now_ms()
    assert ledger.sweep(max_crashes=5).nudged == 1
    again_ms = int(str(ledger.client.zscore(f"{ledger.keys.namespace}:due", job.id)).partition(".")[0])
    assert again_ms - before_ms <= 2 * RENUDGE_MS + 1000


def test_a_scheduled_job_is_queued_when_its_time_has_come(ledger: Ledger) -> None:
    job = submitted(ledger, not_before=datetime.fromtimestamp(ledger.now_ms() / 1000, UTC) + timedelta(hours=1))
    assert job.state is JobState.SCHEDULED
    assert ledger.claim(job.id, "worker-1", lease_ms=LEASE_MS) == ClaimRefused(job.id, "early")
    # The hour has passed.
    ledger.client.hset(ledger.keys.job(job.id), "due_ms", str(ledger.now_ms() - 1))
    ledger.client.zadd(f"{ledger.keys.namespace}:due", {job.id: ledger.now_ms() - 1})
    ledger.sweep(max_crashes=5)
    assert ledger.get(job.id).state is JobState.QUEUED
    claimed(ledger, job.id)


def of_version(ledger: Ledger, version: int) -> Ledger:
    """A worker's ledger of another version of didflow."""
    other = copy.copy(ledger)
    other.version = version
    return other


def test_what_a_newer_version_had_in_hand_is_left_to_one(ledger: Ledger) -> None:
    """A rolling upgrade: both versions run, and the old one would drop what it doesn't know."""
    old, new = of_version(ledger, 7), of_version(ledger, 8)
    job = submitted(ledger)
    claim = claimed(old, job.id, "old-1")
    assert old.suspend(claim, JobState.QUEUED, None, delay_ms=0, refund=True)
    claim = claimed(new, job.id, "new-1")
    assert new.suspend(claim, JobState.QUEUED, None, delay_ms=0, refund=True)
    for _ in range(2):
        ledger.client.hset(ledger.keys.job(job.id), "due_ms", "0")
        assert old.claim(job.id, "old-2", lease_ms=LEASE_MS) == ClaimRefused(job.id, "newer_version")
    view = ledger.get(job.id)
    assert (view.state, view.reason) == (JobState.WAITING, WaitReason.NEWER_VERSION)
    assert [one for one in emitted(ledger) if one[1] == "newer_version"] == [("waiting", "newer_version", 0, None)], "emitted once"
    assert view.due_at is not None
    assert view.due_at.timestamp() * 1000 - ledger.now_ms() <= 5000
    ledger.client.hset(ledger.keys.job(job.id), "due_ms", "0")
    assert claimed(new, job.id, "new-2").fields["attempt"] == "1", "it cost no attempt"
