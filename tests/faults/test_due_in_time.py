"""Jobs for later run at their time whatever was restarted meanwhile. (What they cost until then: tests/ledger/test_many_scheduled.)"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from didflow import SearchAndBuy, Submission
from didflow.contract.states import JobState
from tests.support.cluster import cluster, until
from tests.support.lossy_valkey import LosingValkey

#: What a machine that has other things to do may add.
SLACK_S = 4.0
QUOTE = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), dry_run=True)


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[LosingValkey]:
    server = LosingValkey(tmp_path / "valkey")
    yield server
    server.stop()


def later(count: int, begin: datetime, span: timedelta) -> Iterator[Submission]:
    """So many jobs, spread evenly."""
    for place in range(count):
        yield Submission(QUOTE, idempotency_key=f"later-{place}", not_before=begin + span * place / count)


def test_the_due_ones_run_within_two_seconds_of_their_time_though_redis_and_the_workers_restart(
    tmp_path: Path, valkey: LosingValkey
) -> None:
    with cluster(tmp_path, redis_url=valkey.url) as running:
        soon = datetime.now(UTC) + timedelta(seconds=10)
        jobs = list(running.didflow.submit_many(later(20, soon, timedelta(seconds=2))))
        valkey.die()
        valkey.restart()
        running.stack.children["workers"].terminate()
        running.stack.children["workers"].wait(60)
        left = set(running.workers())
        running.stack.start_workers()
        until(lambda: len(set(running.workers()) - left) == 2, what="new workers")
        back = datetime.now(UTC)  # Mostly before the jobs are due; a busy machine may need longer.
        early_s, late_s = [], []
        for place, job in enumerate(jobs):
            assert not isinstance(job, Exception)
            view = running.wait(job)
            assert view.state is JobState.SUCCEEDED
            assert view.started_at is not None
            due = soon + timedelta(seconds=2) * place / 20
            early_s.append((due - view.started_at).total_seconds())
            late_s.append((view.started_at - max(due, back)).total_seconds())
        assert max(early_s) <= 0.05, "none too early"
        assert max(late_s) < 2.0 + SLACK_S, late_s
