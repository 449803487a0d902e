"""The lanes bench in small, so that it keeps running and a lost lane is noticed; the goal itself is the bench's."""

from statistics import median

import pytest

from tests.bench.lanes import Setting, measure, percentile

SMALL = Setting(waiting=2_000, emergencies=12, threads=4, latency_ms=20)


@pytest.mark.long
def test_an_emergency_starts_and_ends_soon_while_thousands_wait_and_every_money_thread_is_busy() -> None:
    found = measure(SMALL)
    assert min(found.waiting) > SMALL.waiting / 2
    assert median(found.busy) >= SMALL.processes * SMALL.threads
    assert percentile(found.started_ms, 0.99) < 1000, found.started_ms
    assert median(found.started_ms) < 100, found.started_ms
    assert median(found.confirmed_ms) < 5000, found.confirmed_ms
