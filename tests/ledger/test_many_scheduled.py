"""Very many jobs with a time: they cost little memory and no work until they are due, and a day of them is caught up in bounded steps.

DIDFLOW_BIG_TESTS=1 schedules 100,000.
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from didflow import Didflow, Job, SearchAndBuy, Submission
from didflow.contract.states import JobState
from didflow.ledger.connection import connect
from tests.support.moved_clock import MovedLedger
from worker.local.embedded_valkey import EmbeddedValkey
from worker.process.sweeper import SWEEP_EVERY_S

COUNT = 100_000 if os.environ.get("DIDFLOW_BIG_TESTS") == "1" else 2_700
DAYS = 90
#: What one may take, with its request, its story, its place in every index and its event.
BYTES_EACH = 4_000
#: What one sweep may nudge.
BATCH = 200
NAMESPACE = "scheduled"


def sweep(ledger: MovedLedger) -> int:
    return ledger.sweep(max_crashes=5).nudged


@pytest.mark.timeout(600)
def test_scheduled_jobs_lie_still_survive_a_restart_and_are_nudged_when_due_a_batch_at_a_time(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path / "valkey").start()
    try:
        ledger = MovedLedger(connect(server.url), NAMESPACE)
        began, before = ledger.now(), cast("dict[str, int]", ledger.client.info("memory"))["used_memory"]
        first, apart = timedelta(hours=1), timedelta(days=DAYS) / COUNT
        jobs = Didflow(connect(server.url), NAMESPACE).submit_many(
            Submission(SearchAndBuy(country="US"), idempotency_key=f"job-{i}", not_before=began + first + i * apart) for i in range(COUNT)
        )
        assert {job.state for job in jobs if isinstance(job, Job)} == {JobState.SCHEDULED}
        each = (cast("dict[str, int]", ledger.client.info("memory"))["used_memory"] - before) / COUNT
        assert each < BYTES_EACH
        assert sweep(ledger) == 0, "nothing is due, nothing is touched"
    finally:
        server.stop()

    again = EmbeddedValkey(tmp_path / "valkey").start()
    try:
        ledger = MovedLedger(connect(again.url), NAMESPACE)
        ledger.pass_until(began + first)
        assert sweep(ledger) == 1, "the first look after its time, which comes within a second"
        assert SWEEP_EVERY_S * 1.25 < 2
        off = [job.id for job in jobs[1 : COUNT // DAYS : 2] if isinstance(job, Job)]
        didflow = Didflow(connect(again.url), NAMESPACE)
        assert {didflow.cancel(job_id).state for job_id in off} == {JobState.CANCELLED}
        ledger.pass_until(began + first + timedelta(days=10) - apart / 2)  # Nobody swept meanwhile.
        due, nudged = COUNT * 10 // DAYS - 1 - len(off), 0
        while some := sweep(ledger):
            assert some <= BATCH
            nudged += some
        assert nudged == due, "what was called off meanwhile isn't among them, and the first one has its message"
        assert ledger.counts()[JobState.QUEUED] == due + 1
    finally:
        again.stop()
