"""Calling off, pausing an account, newest route, retention."""

import pytest

from didflow.contract.attempt_write import Write
from didflow.contract.errors import JobNotFound
from didflow.contract.states import JobState, WaitReason
from didflow.ledger import script_calls
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.release_guards import quarantine
from didflow.ledger.replies import Cancelled, CancelRequested, ClaimRefused, JobCancelled, LeaseState, NumbersReserved, Saved, Unchanged
from didflow.ledger.route_claims import RoutesClaimed, claim_routes
from tests.support.ledger_roles import LEASE_MS, claimed, finished, states, submitted, wait_until_ms


def test_a_job_that_has_not_begun_is_cancelled_at_once_with_one_event(ledger: Ledger) -> None:
    job = submitted(ledger)
    assert ledger.run(script_calls.cancel(job.id)) == Cancelled()
    assert ledger.run(script_calls.cancel(job.id)) == Cancelled()
    assert states(ledger, "results") == ["cancelled"]
    assert ledger.claim(job.id, "worker-1", lease_ms=LEASE_MS) == ClaimRefused(job.id, "cancelled")


def test_a_running_job_is_asked_to_stop_and_its_heartbeat_learns_of_it(ledger: Ledger) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    assert ledger.run(script_calls.cancel(claim.job_id)) == CancelRequested()
    assert ledger.renew([(claim.job_id, claim.token)], lease_ms=LEASE_MS) == {(claim.job_id, claim.token): LeaseState.CANCELLED}


def test_a_job_that_suspends_before_it_learns_of_its_cancel_is_woken_at_once(ledger: Ledger) -> None:
    """Its heartbeat hadn't reported it yet; it would have slept for as long as it meant to."""
    claim = claimed(ledger, submitted(ledger).id)
    ledger.save(claim, 1, Write("selected", phase="releasing"))
    assert ledger.run(script_calls.cancel(claim.job_id)) == CancelRequested()
    assert ledger.suspend(claim, JobState.WAITING, WaitReason.GRACE, delay_ms=86_400_000, refund=True)
    again = claimed(ledger, claim.job_id, "worker-2")
    assert again.fields["cancel"] == "1"
    assert ledger.suspend(again, JobState.WAITING, WaitReason.SETTLING, delay_ms=60_000, refund=True)
    assert ledger.claim(claim.job_id, "worker-3", lease_ms=LEASE_MS) == ClaimRefused(claim.job_id, "early"), (
        "who knows of it may wait to wind up"
    )


def test_a_waiting_job_that_has_begun_is_woken_to_wind_up(ledger: Ledger) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    ledger.save(claim, 1, Write("fence", phase="carted"))
    ledger.suspend(claim, JobState.WAITING, WaitReason.SETTLING, delay_ms=60_000, refund=True)
    assert ledger.run(script_calls.cancel(claim.job_id)) == CancelRequested()
    assert claimed(ledger, claim.job_id, "worker-2").fields["cancel"] == "1"


def test_an_ended_job_is_not_cancelled(ledger: Ledger) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    finished(ledger, claim)
    assert ledger.run(script_calls.cancel(claim.job_id)) == Unchanged(JobState.SUCCEEDED)
    assert states(ledger, "results") == ["succeeded"]


def test_a_paused_account_is_emitted_once_and_its_jobs_wait_uncounted(ledger: Ledger) -> None:
    job = submitted(ledger)
    assert ledger.pause_account("default", 401, "Unauthorized", probe_ms=60_000)
    assert not ledger.pause_account("default", 401, "Unauthorized", probe_ms=60_000)
    assert ledger.claim(job.id, "worker-1", lease_ms=LEASE_MS) == ClaimRefused(job.id, "account_paused")
    view = ledger.get(job.id)
    assert (view.state, view.reason, view.attempt) == (JobState.WAITING, "account_paused", 0)
    assert states(ledger, "events").count("paused") == 1


def test_an_attempt_that_lost_its_lease_neither_pauses_nor_resumes(ledger: Ledger) -> None:
    old = claimed(ledger, submitted(ledger).id, lease_ms=1)
    wait_until_ms(ledger, ledger.now_ms() + 2)
    ledger.sweep(max_crashes=5)
    assert not ledger.pause_account("default", 401, "the old key", claim=old)
    assert not ledger.account_state("default").paused
    assert ledger.pause_account("default", 401, "a person says so")
    assert not ledger.resume_account("default", claim=old)
    assert ledger.account_state("default").paused


def test_jobs_of_another_account_go_on(ledger: Ledger) -> None:
    ledger.pause_account("default", 401, "Unauthorized", probe_ms=60_000)
    claimed(ledger, submitted(ledger, account="other").id)


def test_one_job_in_a_while_tries_the_paused_account(ledger: Ledger) -> None:
    first, second = submitted(ledger), submitted(ledger)
    ledger.pause_account("default", 401, "Unauthorized", probe_ms=1)
    wait_until_ms(ledger, ledger.now_ms() + 3)
    assert claimed(ledger, first.id).probe
    assert ledger.claim(second.id, "worker-2", lease_ms=LEASE_MS) == ClaimRefused(second.id, "account_paused")


def test_every_paused_account_is_known_to_the_ledger_until_it_goes_on(ledger: Ledger) -> None:
    for account in ("acme", "default", "acme"):
        ledger.pause_account(account, 401, "Unauthorized")
    assert ledger.paused_accounts() == ("acme", "default")
    ledger.resume_account("acme")
    assert ledger.paused_accounts() == ("default",)


def test_a_resumed_accounts_jobs_are_due_at_once(ledger: Ledger) -> None:
    job = submitted(ledger)
    ledger.pause_account("default", 401, "Unauthorized", probe_ms=60_000)
    ledger.claim(job.id, "worker-1", lease_ms=LEASE_MS)
    assert ledger.resume_account("default")
    assert not ledger.resume_account("default")
    wait_until_ms(ledger, ledger.now_ms())
    assert ledger.sweep(max_crashes=5).nudged == 1
    claimed(ledger, job.id)


def test_the_newest_job_routes_a_number_whatever_the_order_of_execution(ledger: Ledger) -> None:
    older, newer = submitted(ledger), submitted(ledger)
    late, early = claimed(ledger, newer.id), claimed(ledger, older.id)
    for _ in range(2):
        assert claim_routes(ledger, late, ["+1"]) == RoutesClaimed()
        assert claim_routes(ledger, early, ["+1", "+2"]) == RoutesClaimed(frozenset({"+1"}))


def test_the_next_attempt_learns_of_a_call_that_was_never_answered(ledger: Ledger) -> None:
    first, second, third = (claimed(ledger, submitted(ledger).id) for _ in range(3))
    before_ms = ledger.now_ms()
    assert claim_routes(ledger, first, ["+1", "+2", "+3"]) == RoutesClaimed()
    ledger.save(first, 1, Write("accepted", answered=["+1", "+2"]))
    newer, disturbed = claimed_routes(ledger, second, ["+1", "+3"])
    assert (newer, set(disturbed)) == (frozenset(), {"+3"}), "+1 was answered"
    assert disturbed["+3"] >= before_ms
    ledger.save(second, 1, Write("accepted", answered=["+1", "+3"]))
    assert claimed_routes(ledger, third, ["+3"]) == (frozenset(), disturbed), "the first one's call may still act"
    _, seen_before = claimed_routes(ledger, third, ["+2"], seen_ms=before_ms)
    assert set(seen_before) == {"+2"}, "it was answered after the routes were read, so what was read may be old"


def test_other_jobs_wait_for_an_earlier_attempts_call_and_its_own_job_does_not(ledger: Ledger) -> None:
    job, other = submitted(ledger), submitted(ledger)
    zombie = claimed(ledger, job.id, lease_ms=1)
    assert claim_routes(ledger, zombie, ["+1"]) == RoutesClaimed()
    wait_until_ms(ledger, ledger.now_ms() + 2)
    ledger.sweep(max_crashes=5)
    second = claimed(ledger, job.id, "worker-2")
    assert claim_routes(ledger, second, ["+1"]) == RoutesClaimed()
    ledger.save(second, 1, Write("accepted", answered=["+1"]))
    _, disturbed = claimed_routes(ledger, claimed(ledger, other.id), ["+1"])
    assert set(disturbed) == {"+1"}


def claimed_routes(ledger: Ledger, claim: Claim, numbers: list[str], seen_ms: int | None = None) -> tuple[frozenset[str], dict[str, int]]:
    claimed_ = claim_routes(ledger, claim, numbers, seen_ms=seen_ms)
    assert claimed_ is not None
    return claimed_.newer, dict(claimed_.since_ms)


def test_a_number_given_back_is_kept_from_our_own_search(ledger: Ledger) -> None:
    one, other = claimed(ledger, submitted(ledger).id), claimed(ledger, submitted(ledger).id)
    for _ in range(2):
        assert quarantine(ledger, one, ["+1"]) == frozenset()
    assert ledger.save(other, 1, Write("bind", reserve=["+1"])) == NumbersReserved(("+1",))


def test_a_cancel_that_was_answered_stops_the_write_that_checks_for_it_and_no_other(ledger: Ledger) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    last_word = Write("releasing", numbers={"+1": "{}"}, unless_cancelled=True)
    assert ledger.save(claim, 1, last_word) == Saved()
    assert ledger.run(script_calls.cancel(claim.job_id)) == CancelRequested()
    assert ledger.save(claim, 1, last_word) == Saved(), "the same write once more: it was made before the cancel"
    assert ledger.save(claim, 2, Write("releasing", numbers={"+2": "{}"}, unless_cancelled=True)) == JobCancelled()
    assert ledger.numbers(claim.job_id) == {"+1": "{}"}
    assert ledger.save(claim, 3, Write("not_sent", numbers={"+1": "[]"})) == Saved()


def test_a_job_that_a_producer_called_off_is_kept_as_long_as_the_workers_say(ledger: Ledger) -> None:
    short = Ledger(ledger.client, ledger.keys.namespace, shebang=ledger.commands.shebang, retention_ms=1)
    short.sweep(max_crashes=5)
    job_id = submitted(ledger).id
    ledger.run(script_calls.cancel(job_id))
    wait_until_ms(short, short.now_ms() + 2)
    assert short.sweep(max_crashes=5).deleted == 1
    with pytest.raises(JobNotFound):
        ledger.get(job_id)


def test_an_ended_job_is_deleted_after_its_time_with_all_that_belongs_to_it(ledger: Ledger) -> None:
    short = Ledger(ledger.client, ledger.keys.namespace, shebang=ledger.commands.shebang, retention_ms=1)
    claim = claimed(short, submitted(short, "order-1", reference="customer-9").id)
    short.save(claim, 1, Write("bind", numbers={"+1": "{}"}, reserve=["+1"]))
    finished(short, claim)
    wait_until_ms(short, short.now_ms() + 2)
    assert short.sweep(max_crashes=5).deleted == 1
    assert short.sweep(max_crashes=5).deleted == 0
    assert short.perform(short.commands.find(reference="customer-9")) == ()
    left = {str(key).removeprefix(short.keys.namespace + ":") for key in short.client.scan_iter(f"{short.keys.namespace}:*")}
    assert not {key for key in left if claim.job_id in key}
    assert isinstance(short.claim(submitted(short, "order-1").id, "w", lease_ms=LEASE_MS), Claim)
