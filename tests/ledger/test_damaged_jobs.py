"""A job's record that something else wrote to: its neighbours go on, it continues or is parked, and no old attempt gets its lease back."""

import json

import pytest

from didflow.contract.attempt_write import Write
from didflow.contract.errors import JobNotFound, UnreadableRecord
from didflow.contract.events import event_adapter
from didflow.contract.jobs import Job
from didflow.contract.states import JobState, Lane
from didflow.ledger.ledger import Ledger
from didflow.ledger.replies import ClaimRefused, LeaseLost, Saved
from didflow.ledger.script_calls import cancel, retry
from tests.support.ledger_roles import LEASE_MS, claimed, finished, states, stream, submitted, wait_until_ms

FIELDS = (
    *("state", "lane", "unanswered", "nudges", "attempt", "crashes", "token", "seq", "priority", "created_ms", "due_ms", "order", "owner"),
    *("kind", "account", "request", "key", "reference"),
)
#: None: the field is missing.
GARBAGE = [None, "", "abc", "-1", "1.5", "9" * 30, "9223372036854775807", "nan", "\x1b[2J"]


def damage(ledger: Ledger, job: Job, field: str, value: str | None) -> None:
    key = ledger.keys.job(job.id)
    if value is None:
        ledger.client.hdel(key, field)
    else:
        ledger.client.hset(key, field, value)


def let_come_due(ledger: Ledger, zset: str, *jobs: Job) -> None:
    """As if the time had come at which the sweeper looks at them, and their messages were lost."""
    ledger.client.delete(*(f"{ledger.keys.broker}:{lane.value}.msgs" for lane in Lane))
    ledger.client.zadd(f"{ledger.keys.namespace}:{zset}", {job.id: 0 for job in jobs})


@pytest.mark.parametrize("value", GARBAGE)
def test_damaged_jobs_stop_no_sweep_and_all_are_claimed_or_parked(ledger: Ledger, value: str | None) -> None:
    jobs = {field: submitted(ledger) for field in FIELDS}
    good = submitted(ledger)
    for field, job in jobs.items():
        damage(ledger, job, field, value)
    let_come_due(ledger, "due", *jobs.values(), good)
    swept = ledger.sweep(max_crashes=5)
    assert (swept.parked, swept.set_back) == (1, 0)
    assert swept.nudged == len(FIELDS), "all but the one that is parked"
    assert ledger.get(jobs.pop("state").id).state is JobState.NEEDS_REVIEW
    for job in (*jobs.values(), good):
        claim = claimed(ledger, job.id)
        assert claim.fields["attempt"].isdigit()
        assert finished(ledger, claim)
    assert len(stream(ledger, "results")) == len(FIELDS) + 1
    for entry in (*stream(ledger, "events"), *stream(ledger, "results")):
        event_adapter().validate_python(entry | {"data": json.loads(entry["data"])})


@pytest.mark.parametrize("value", GARBAGE)
def test_damaged_jobs_of_a_dead_worker_stop_no_sweep_and_go_on(ledger: Ledger, value: str | None) -> None:
    jobs = {field: submitted(ledger) for field in FIELDS}
    good = submitted(ledger)
    for job in (*jobs.values(), good):
        claimed(ledger, job.id)
    for field, job in jobs.items():
        damage(ledger, job, field, value)
    let_come_due(ledger, "leases", *jobs.values(), good)
    swept = ledger.sweep(max_crashes=5)
    assert (swept.recovered, swept.parked, swept.set_back) == (len(FIELDS), 1, 0)
    assert ledger.get(jobs.pop("state").id).state is JobState.NEEDS_REVIEW
    for job in (*jobs.values(), good):
        assert finished(ledger, claimed(ledger, job.id, "worker-2"))


@pytest.mark.parametrize("value", GARBAGE)
def test_the_token_of_a_damaged_job_is_never_given_twice(ledger: Ledger, value: str | None) -> None:
    job = submitted(ledger)
    old = claimed(ledger, job.id, "asleep")
    damage(ledger, job, "token", value)
    let_come_due(ledger, "leases", job)
    ledger.sweep(max_crashes=5, retry_ms=0)
    new = claimed(ledger, job.id, "worker-2")
    assert int(new.token) > int(old.token)
    assert ledger.save(old, 1, Write(step="late")) == LeaseLost()
    assert ledger.save(new, 1, Write(step="bound")) == Saved()
    # And once more: the second damage finds a token that was made up for the first.
    wait_until_ms(ledger, ledger.now_ms() + 2)
    damage(ledger, job, "token", value)
    let_come_due(ledger, "leases", job)
    ledger.sweep(max_crashes=5, retry_ms=0)
    assert int(claimed(ledger, job.id, "worker-3").token) > int(new.token)
    assert ledger.save(new, 2, Write(step="late")) == LeaseLost()


@pytest.mark.parametrize("value", ["abc", "9" * 30, None])
def test_the_events_of_a_damaged_job_have_new_ids(ledger: Ledger, value: str | None) -> None:
    """A reader drops an event whose id it has seen, so none may be given twice."""
    job = submitted(ledger)
    claim = claimed(ledger, job.id)
    damage(ledger, job, "seq", value)
    assert finished(ledger, claim)
    ids = [entry["id"] for entry in (*stream(ledger, "events"), *stream(ledger, "results"))]
    assert len(ids) == len(set(ids)) == 3


def test_a_moment_that_never_comes_is_not_waited_for(ledger: Ledger) -> None:
    job, later = submitted(ledger), submitted(ledger)
    damage(ledger, job, "due_ms", "999999999999999")
    damage(ledger, later, "due_ms", str(ledger.now_ms() + 3_600_000))
    assert finished(ledger, claimed(ledger, job.id))
    assert ledger.claim(later.id, "worker-1", lease_ms=LEASE_MS) == ClaimRefused(later.id, "early")


@pytest.mark.parametrize("field", FIELDS)
def test_a_person_can_cancel_or_retry_a_damaged_job(ledger: Ledger, field: str) -> None:
    job = submitted(ledger)
    damage(ledger, job, field, "abc")
    ledger.run(cancel(job.id))
    parked = submitted(ledger)
    assert finished(ledger, claimed(ledger, parked.id), JobState.NEEDS_REVIEW)
    damage(ledger, parked, field, "abc")
    ledger.run(retry(parked.id))
    assert ledger.get(job.id).state is (JobState.NEEDS_REVIEW if field == "state" else JobState.CANCELLED)
    assert ledger.get(parked.id).state is (JobState.NEEDS_REVIEW if field == "state" else JobState.QUEUED)


def test_the_trace_of_a_job_that_is_gone_is_no_job(ledger: Ledger) -> None:
    ledger.client.hset(ledger.keys.job("gone"), "due_ms", "")
    let_come_due(ledger, "due", Job("gone", True, JobState.QUEUED))
    assert ledger.sweep(max_crashes=5).parked == 0
    assert states(ledger, "results") == []
    with pytest.raises(JobNotFound):
        ledger.get("gone")


def test_a_key_of_another_type_blocks_no_job_after_a_restart(ledger: Ledger) -> None:
    job, good = submitted(ledger), submitted(ledger)
    for one in (job, good):
        claimed(ledger, one.id)
    ledger.client.delete(ledger.keys.job(job.id))
    ledger.client.set(ledger.keys.job(job.id), "overwritten")
    ledger.client.hset(ledger.keys.epoch, "server", "another")
    assert ledger.sweep(max_crashes=5).set_back == 0, "its lease still runs"
    assert claimed(ledger, good.id).epoch > 1


@pytest.mark.parametrize("zset", ["due", "leases", "retention"])
@pytest.mark.parametrize("part", ["", ":steps"])
def test_a_key_of_another_type_stops_no_sweep(ledger: Ledger, zset: str, part: str) -> None:
    job, good = submitted(ledger), submitted(ledger)
    for one in (job, good):
        claimed(ledger, one.id) if zset == "leases" else None
        finished(ledger, claimed(ledger, one.id)) if zset == "retention" else None
    ledger.client.delete(ledger.keys.job(job.id) + part)
    ledger.client.set(ledger.keys.job(job.id) + part, "overwritten")
    let_come_due(ledger, zset, job, good)
    first, second = ledger.sweep(max_crashes=5), ledger.sweep(max_crashes=5)
    assert first.nudged + first.recovered + first.deleted >= 1, "the good one"
    assert first.set_back == (0 if part and zset != "leases" else 1)
    assert second.set_back == 0, "it isn't tried again at once"
    assert good.id in {view.id for view in ledger.perform(ledger.commands.find())} or zset == "retention"
    if not part:
        with pytest.raises(UnreadableRecord):
            ledger.get(job.id)
