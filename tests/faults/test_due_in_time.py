"""Jobs for later run at their time whatever was restarted meanwhile. (What they cost until then: tests/ledger/test_many_scheduled.)"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from didflow import SearchAndBuy, Submission
from didflow.contract.states import JobState
from tests.support.cluster import cluster
from tests.support.lossy_valkey import LosingValkey

#: What a machine that has other things to do may add.
SLACK_S = 4.0
QUOTE = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), dry_run=True)


def later(count: int, begin: datetime, span: timedelta) -> Iterator[Submission]:
    """So many jobs, spread evenly."""
    for place in range(count):
        yield Submission(QUOTE, idempotency_key=f"later-{place}", not_before=begin + span * place / count)


def test_the_due_ones_run_within_two_seconds_of_their_time_though_redis_and_the_workers_restart(tmp_path: Path) -> None:
    valkey = LosingValkey(tmp_path / "valkey")
    with cluster(tmp_path, redis_url=valkey.url) as running:
        soon = datetime.now(UTC) + timedelta(seconds=10)
        jobs = list(running.didflow.submit_many(later(20, soon, timedelta(seconds=2))))
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
            late_s.append((view.started_at - (soon + timedelta(seconds=2) * place / 20)).total_seconds())
        assert min(late_s) >= -0.05, "none too early"
        assert max(late_s) < 2.0 + SLACK_S, late_s
    valkey.stop()
