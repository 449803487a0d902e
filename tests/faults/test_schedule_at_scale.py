"""Many jobs for later: they cost memory and nothing else, and the due ones run at their time whatever was restarted meanwhile.

DIDFLOW_BIG_TESTS=1 schedules 100,000 of them.
"""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from producers import Didflow, SearchAndBuy, Submission
from tests.faults.losing import LosingValkey
from tests.faults.plant import plant, until
from worker.contract.states import JobState
from worker.ledger.ledger import Ledger

COUNT = 100_000 if os.environ.get("DIDFLOW_BIG_TESTS") == "1" else 2_000
DAYS = 90
#: So much of a scheduled job's memory is its own; the rest of what it costs is shared.
BYTES_EACH = 3_000
#: The sweeper nudges no more at a time.
BATCH = 200
QUOTE = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), dry_run=True)


def later(count: int, begin: datetime, span: timedelta) -> Iterator[Submission]:
    """So many jobs, spread evenly."""
    for place in range(count):
        yield Submission(QUOTE, idempotency_key=f"later-{place}", not_before=begin + span * place / count)


@pytest.mark.timeout(300)
def test_what_is_scheduled_costs_memory_and_no_looking(real_ledger: Ledger) -> None:
    didflow = Didflow(real_ledger.client, real_ledger.keys.namespace)
    before = real_ledger.client.info("memory")["used_memory"]
    jobs = list(didflow.submit_many(later(COUNT, datetime.now(UTC) + timedelta(days=1), timedelta(days=DAYS))))
    assert len(jobs) == COUNT
    each = (real_ledger.client.info("memory")["used_memory"] - before) / COUNT
    assert each < BYTES_EACH, f"{each:.0f} bytes a job"
    commands = real_ledger.client.info("stats")["total_commands_processed"]
    assert real_ledger.sweep(max_crashes=5).nudged == 0
    assert real_ledger.client.info("stats")["total_commands_processed"] - commands < 100, "a look doesn't grow with what is scheduled"


def test_what_became_due_while_nobody_was_there_is_caught_up_with_in_batches_and_not_what_was_called_off(real_ledger: Ledger) -> None:
    didflow = Didflow(real_ledger.client, real_ledger.keys.namespace)
    soon = datetime.now(UTC) + timedelta(seconds=1)
    jobs = list(didflow.submit_many(later(3 * BATCH, soon, timedelta(0))))
    off = {job.id for job in jobs if hasattr(job, "id")} - {job.id for job in jobs[10:] if hasattr(job, "id")}
    for job_id in off:
        didflow.cancel(job_id)
    until(lambda: real_ledger.now_ms() > soon.timestamp() * 1000, what="their time")
    nudged: list[int] = []
    while (count := real_ledger.sweep(max_crashes=5).nudged) and len(nudged) < 10:
        nudged.append(count)
    assert max(nudged) <= BATCH, "no stampede"
    assert sum(nudged) == 3 * BATCH - len(off)
    assert {view.id for view in real_ledger.perform(real_ledger.plans.find(state=JobState.CANCELLED, limit=1000))} == off


def test_the_due_ones_run_within_two_seconds_of_their_time_though_redis_and_the_workers_restart(tmp_path: Path) -> None:
    valkey = LosingValkey(tmp_path / "valkey")
    with plant(tmp_path, redis_url=valkey.url) as running:
        soon = datetime.now(UTC) + timedelta(seconds=6)
        jobs = list(running.didflow.submit_many(later(60, soon, timedelta(seconds=2))))
        valkey.die()
        valkey.restart()
        running.stack.children["workers"].terminate()
        running.stack.children["workers"].wait(20)
        running.stack.start_workers()
        assert time.time() < soon.timestamp(), "all is back before they are due"
        late_s = []
        for place, job in enumerate(jobs):
            assert not isinstance(job, Exception)
            view = running.wait(job)
            assert view.state is JobState.SUCCEEDED
            assert view.started_at is not None
            late_s.append((view.started_at - (soon + timedelta(seconds=2) * place / 60)).total_seconds())
        assert min(late_s) >= -0.05, "none too early"
        assert max(late_s) < 2.0, late_s
    valkey.stop()
