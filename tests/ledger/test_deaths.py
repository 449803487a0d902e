"""Which deaths of workers count against a job: those in which it ran alone, and only real ones."""

from didflow.contract.states import JobState, Lane
from didflow.ledger.ledger import Claim, Ledger, Taken
from didflow.ledger.replies import ClaimRefused, Requeued
from didflow.ledger.script_calls import retry
from tests.support.ledger_roles import claimed, submitted, wait_until_ms

LEASE_MS = 40


def taken(ledger: Ledger, worker: str) -> Taken:
    return ledger.take(Lane.MONEY, 10, worker=worker, consumer="money", claimant=f"{worker}:a", lease_ms=LEASE_MS)


def expired(ledger: Ledger, job_id: str, max_crashes: int = 5) -> None:
    """The job's lease ends, and the sweeper sees it."""
    wait_until_ms(ledger, int(float(str(ledger.client.zscore(ledger.keys.leases, job_id)))))
    swept = ledger.sweep(max_crashes=max_crashes, retry_ms=0)
    assert swept.recovered + swept.parked == 1


def counts(ledger: Ledger, job_id: str) -> tuple[int, int]:
    """All deaths, and those that count."""
    found = ledger.client.hmget(ledger.keys.job(job_id), "crashes", "crashes_alone")
    return int(found[0] or 0), int(found[1] or 0)


def test_with_its_second_death_a_job_is_left_to_a_process_that_runs_nothing_else(ledger: Ledger) -> None:
    job = submitted(ledger).id
    for worker in ("dead-1", "dead-2"):
        assert job in {claim.job_id for claim in taken(ledger, worker).claims}
        expired(ledger, job)
    assert counts(ledger, job) == (2, 0)
    third = taken(ledger, "third")
    assert ClaimRefused(job, "alone") in third.refused
    assert ledger.get(job).state is JobState.QUEUED
    assert claimed(ledger, job, "alone:a").fields["crashes"] == "2"


def test_only_deaths_in_which_it_ran_alone_park_it(ledger: Ledger) -> None:
    job = submitted(ledger).id
    for worker in ("dead-1", "dead-2"):
        taken(ledger, worker)
        expired(ledger, job, max_crashes=2)
    for place, state in enumerate((JobState.QUEUED, JobState.NEEDS_REVIEW)):
        claimed(ledger, job, f"alone-{place}:a", lease_ms=1)
        expired(ledger, job, max_crashes=2)
        assert ledger.get(job).state is state
    assert counts(ledger, job) == (4, 2)


def test_a_living_worker_that_lost_a_lease_did_not_die(ledger: Ledger) -> None:
    """Its thread had no connection, or gave the job up: the heartbeat continues."""
    job = submitted(ledger).id
    for _ in range(3):
        [claim] = taken(ledger, "living").claims
        assert claim.job_id == job
        wait_until_ms(ledger, int(claim.fields["lease_ms"]))
        ledger.worker_alive("living")
        expired(ledger, job)
    assert counts(ledger, job) == (0, 0)


def test_a_worker_that_stalled_and_lives_did_not_die(ledger: Ledger) -> None:
    """When its lease ends it looks like a dead one; what counts is what is known when the job is taken again."""
    job = submitted(ledger).id
    ledger.worker_alive("stalled")
    ledger.worker_alive("dead")
    for worker in ("stalled", "dead"):
        taken(ledger, worker)
        expired(ledger, job)
    assert counts(ledger, job) == (2, 0)
    ledger.worker_alive("stalled")
    assert [claim.job_id for claim in taken(ledger, "third").claims] == [job]
    assert counts(ledger, job) == (1, 0)


def test_a_retry_by_a_person_restarts_its_count(ledger: Ledger) -> None:
    job = submitted(ledger).id
    for place in range(2):
        claimed(ledger, job, f"alone-{place}:a", lease_ms=1)
        expired(ledger, job, max_crashes=2)
    assert ledger.run(retry(job)) == Requeued()
    assert counts(ledger, job) == (0, 0)
    assert isinstance(ledger.claim(job, "next:a", lease_ms=LEASE_MS), Claim)


def test_a_job_that_is_left_to_others_is_offered_again(ledger: Ledger) -> None:
    """The worker that was given it may die before it runs it; the message is used up."""
    job = submitted(ledger).id
    for worker in ("dead-1", "dead-2"):
        taken(ledger, worker)
        expired(ledger, job)
    taken(ledger, "third")
    due_ms = float(str(ledger.client.zscore(f"{ledger.keys.namespace}:due", job)))
    assert 0 < due_ms - ledger.now_ms() <= 5_000
