"""Batches of a large job in the ledger: theirs is a lease, and nothing else; all events and counts are their parent's."""

import json
from collections.abc import Sequence

from didflow import Didflow
from didflow.contract.attempt_write import Write
from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job
from didflow.contract.requests import Reroute
from didflow.contract.results import Result
from didflow.contract.states import JobState, WaitReason
from didflow.ledger import script_calls
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.replies import CancelRequested, ClaimRefused, LeaseLost, LeaseState, Unchanged
from didflow.ledger.route_claims import claim_routes
from didflow.ledger.script_calls import Submission
from producers.cli.progress import Watch
from tests.support.ledger_roles import DONE, claimed, finished, states, stream, submitted, wait_until_ms

BATCHES = {"0": '{"page":0}', "1": '{"page":1}', "2": '{"page":2}'}
AWAY = Reroute(numbers=("+12135550100",), destinations=(Destination.sip("pbx@example.net"),))


def large(ledger: Ledger) -> tuple[Job, Claim]:
    """A job that runs and has submitted three batches."""
    job = ledger.submit(Submission(AWAY, priority=3))
    claim = claimed(ledger, job.id)
    assert ledger.fan_out(claim, "move_batch", BATCHES) == "ok"
    return job, claim


def batch(ledger: Ledger, job: Job, index: int, claimant: str = "worker-2") -> Claim:
    return claimed(ledger, f"{job.id}:{index}", claimant)


def awaits_batches(ledger: Ledger, claim: Claim) -> None:
    assert ledger.suspend(claim, JobState.WAITING, WaitReason.DEPENDS, delay_ms=60_000, refund=True)


def open_batches(ledger: Ledger, job: Job) -> int:
    return ledger.perform(ledger.commands.open_children(job.id))


def outcomes(ledger: Ledger, job: Job) -> dict[str, int]:
    return ledger.perform(ledger.commands.outcomes(job.id))


def moves(outcome: str | None, *numbers: str) -> dict[str, str]:
    message = 'the provider said "outcome":"confirmed"'
    return {number: json.dumps({"number": number, "error": message, "outcome": outcome}, separators=(",", ":")) for number in numbers}


def test_a_batch_is_its_parents_in_all_but_the_lease(ledger: Ledger) -> None:
    job, _ = large(ledger)
    before = len(stream(ledger, "events"))
    child = batch(ledger, job, 1)
    parent = {name: ledger.client.hget(ledger.keys.job(job.id), name) for name in ("account", "lane", "priority", "order")}
    assert {name: child.fields[name] for name in parent} == parent
    assert child.fields["request"] == BATCHES["1"]
    assert finished(ledger, child)
    assert len(stream(ledger, "events")) == before
    assert stream(ledger, "results") == []
    assert [view.id for view in ledger.perform(ledger.commands.find())] == [job.id], "it is in no list"
    assert sum(ledger.counts().values()) == 1


def test_a_repeated_fan_out_changes_nothing(ledger: Ledger) -> None:
    job, claim = large(ledger)
    assert finished(ledger, batch(ledger, job, 0))
    assert ledger.fan_out(claim, "move_batch", {"0": '{"page":9}', "2": '{"page":9}'}) == "ok"
    assert open_batches(ledger, job) == 2
    assert ledger.claim(f"{job.id}:0", "worker-3", lease_ms=1000) == ClaimRefused(f"{job.id}:0", "succeeded")
    assert batch(ledger, job, 2).fields["request"] == BATCHES["2"]


def test_only_the_attempt_that_holds_the_lease_fans_out(ledger: Ledger) -> None:
    _, claim = large(ledger)
    awaits_batches(ledger, claim)
    assert ledger.fan_out(claim, "move_batch", {"7": "{}"}) == "lost"


def test_only_the_last_batch_wakes_its_parent(ledger: Ledger) -> None:
    job, claim = large(ledger)
    awaits_batches(ledger, claim)
    for index in (2, 0):
        child = batch(ledger, job, index)
        assert finished(ledger, child)
        assert finished(ledger, child), "once more, its reply was lost"
        assert ledger.claim(job.id, "worker-3", lease_ms=1000) == ClaimRefused(job.id, "early")
    assert finished(ledger, batch(ledger, job, 1))
    assert isinstance(ledger.claim(job.id, "worker-3", lease_ms=1000), Claim)


def test_a_parent_whose_batches_end_before_it_waits_goes_on_at_once(ledger: Ledger) -> None:
    job, claim = large(ledger)
    for index in range(3):
        assert finished(ledger, batch(ledger, job, index))
    awaits_batches(ledger, claim)
    assert isinstance(ledger.claim(job.id, "worker-3", lease_ms=1000), Claim)


def test_a_job_that_waits_for_another_one_is_no_parent(ledger: Ledger) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    awaits_batches(ledger, claim)
    assert ledger.claim(claim.job_id, "worker-3", lease_ms=1000) == ClaimRefused(claim.job_id, "early")


def test_a_batch_that_is_parked_or_kills_workers_ends_for_its_parent(ledger: Ledger) -> None:
    job, claim = large(ledger)
    awaits_batches(ledger, claim)
    assert finished(ledger, batch(ledger, job, 0), JobState.NEEDS_REVIEW)
    assert finished(ledger, batch(ledger, job, 1))
    killer = claimed(ledger, f"{job.id}:2", lease_ms=1)
    wait_until_ms(ledger, ledger.now_ms() + 2)
    assert ledger.sweep(max_crashes=1).parked == 1
    assert ledger.get(killer.job_id).error is not None
    assert isinstance(ledger.claim(job.id, "worker-3", lease_ms=1000), Claim)
    assert ledger.run(script_calls.retry(f"{job.id}:0")) == Unchanged(JobState.NEEDS_REVIEW), "its parent begins another one"


def test_outcomes_are_counted_exactly_whichever_worker_writes_them_however_often(ledger: Ledger) -> None:
    job, claim = large(ledger)
    ledger.save(claim, 1, Write("begun", clear=True))
    ledger.save(claim, 2, Write("snapshot", numbers=moves(None, "+1", "+2", "+3", "+4"), pages={0: ("+1", "+2"), 1: ("+3", "+4")}))
    assert outcomes(ledger, job) == {"open": 4}
    child = batch(ledger, job, 0)
    write = Write("accepted", numbers=moves("accepted", "+1", "+2"), progress="")
    ledger.save(child, 1, write)
    ledger.save(child, 1, write)
    assert outcomes(ledger, job) == {"open": 2, "accepted": 2}
    assert ledger.get(job.id).progress == "2 of 4 numbers"
    ledger.save(batch(ledger, job, 1), 1, Write("refused", numbers=moves("refused", "+3") | moves("accepted", "+1")))
    ledger.save(claim, 3, Write("confirmed", numbers=moves("confirmed", "+1", "+2")))
    assert outcomes(ledger, job) == {"open": 1, "refused": 1, "confirmed": 2}
    assert ledger.perform(ledger.commands.page(job.id, 1)) == ("+3", "+4")
    ledger.save(claim, 4, Write("begun", clear=True))
    assert (outcomes(ledger, job), ledger.numbers(job.id), ledger.perform(ledger.commands.pages(job.id))) == ({}, {}, 0)


def test_a_batch_without_its_lease_writes_nothing(ledger: Ledger) -> None:
    job, claim = large(ledger)
    ledger.save(claim, 1, Write("begun", clear=True))
    late = claimed(ledger, f"{job.id}:0", lease_ms=1)
    wait_until_ms(ledger, ledger.now_ms() + 2)
    ledger.sweep(max_crashes=9)
    assert ledger.save(late, 1, Write("accepted", numbers=moves("accepted", "+1"))) == LeaseLost()
    assert claim_routes(ledger, late, ["+1"]) is None
    assert ledger.numbers(job.id) == {}


def routed(ledger: Ledger, claim: Claim, *numbers: str) -> tuple[frozenset[str], set[str]]:
    reply = claim_routes(ledger, claim, numbers)
    assert reply is not None
    return reply.newer, set(reply.since_ms)


def answered(ledger: Ledger, claim: Claim, numbers: Sequence[str]) -> None:
    ledger.save(claim, 1, Write("accepted", answered=numbers))


def test_a_batchs_calls_are_its_parents_for_others_and_its_own_for_its_family(ledger: Ledger) -> None:
    job, parent = large(ledger)
    newer = claimed(ledger, ledger.submit(Submission(AWAY)).id)
    first, second = batch(ledger, job, 0), batch(ledger, job, 1)
    assert first.token == second.token, "their tokens look alike"
    assert routed(ledger, first, "+1", "+2") == (frozenset(), set())
    assert routed(ledger, second, "+1") == (frozenset(), set()), "another batch wants what the first one wanted"
    answered(ledger, second, ["+1"])
    assert routed(ledger, parent, "+2") == (frozenset(), set())
    assert routed(ledger, newer, "+1", "+2") == (frozenset(), {"+1", "+2"}), "the first one's call may still act on both"
    for one in (first, second, parent):
        assert routed(ledger, one, "+1") == (frozenset({"+1"}), set()), "superseded, by the parent's order"


def test_a_cancelled_job_ends_its_batches_and_begins_none(ledger: Ledger) -> None:
    job, claim = large(ledger)
    running = batch(ledger, job, 0)
    begun = batch(ledger, job, 1)
    ledger.save(begun, 1, Write("not_now", phase="moving"))
    ledger.suspend(begun, JobState.WAITING, WaitReason.RATE_LIMITED, delay_ms=60_000, refund=True)
    assert ledger.run(script_calls.cancel(job.id)) == CancelRequested()
    assert ledger.fan_out(claim, "move_batch", {"3": "{}"}) == "cancelled"
    assert ledger.get(f"{job.id}:2").state is JobState.CANCELLED
    assert ledger.renew([(running.job_id, running.token)], lease_ms=1000) == {(running.job_id, running.token): LeaseState.CANCELLED}
    assert batch(ledger, job, 1).fields["cancel"] == "1", "due at once, to wind up"
    assert open_batches(ledger, job) == 2
    assert "cancelled" not in states(ledger, "results")


def test_nothing_of_a_large_job_is_kept_beyond_its_time(ledger: Ledger) -> None:
    brief = Ledger(ledger.client, ledger.keys.namespace, shebang=ledger.commands.shebang, retention_ms=1)
    job, claim = large(brief)
    brief.save(claim, 1, Write("begun", clear=True, numbers=moves(None, "+1"), pages={0: ("+1",)}))
    for index in range(3):
        assert finished(brief, batch(brief, job, index))
    assert brief.finish(claim, JobState.SUCCEEDED, Result(totals=DONE.totals))
    wait_until_ms(brief, brief.now_ms() + 2)
    assert brief.sweep(max_crashes=5).deleted == 4
    prefix = brief.keys.job(job.id)
    assert list(brief.client.scan_iter(match=f"{prefix}*")) == []


def test_how_fast_it_goes_is_counted_from_the_last_look_before_the_first_number_went(ledger: Ledger) -> None:
    """Looks may begin while the numbers are still being stored."""
    didflow, (job, claim) = Didflow(ledger.client, ledger.keys.namespace), large(ledger)
    watch = Watch("INC-31")
    ledger.save(claim, 1, Write("snapshot", numbers=moves(None, "+1"), pages={0: ("+1",)}))
    watch.look(didflow, job.id, last=True)
    ledger.save(claim, 2, Write("snapshot", numbers=moves(None, "+2", "+3", "+4"), pages={1: ("+2", "+3", "+4")}))
    watch.look(didflow, job.id, last=True)
    assert watch.rate_per_s() == 0
    ledger.save(batch(ledger, job, 1), 1, Write("accepted", numbers=moves("accepted", "+2", "+3")))
    watch.look(didflow, job.id, last=True)
    assert watch.rate_per_s() > 0
    assert "/s, " in watch.counts(JobState.WAITING)
