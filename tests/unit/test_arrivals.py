"""Jobs come fast to a lane if submits follow each other within moments, also where other processes take most of them."""

import pytest

from didflow.ledger.ledger import Claim
from worker.broker.arrivals import EMPTY_TAKES, FAST_MS, RECENT, Arrivals


def claims(count: int, every_ms: float, submits: int = 1, first: int = 1) -> list[Claim]:
    """The claims of `count` jobs. `every_ms`: the time between two of them; `submits`: how many jobs were submitted in that time."""
    return [
        Claim(f"job-{at}", "1", probe=False, fields={"order": str(first + at * submits), "created_ms": str(1_000_000 + int(at * every_ms))})
        for at in range(count)
    ]


@pytest.mark.parametrize(
    ("every_ms", "submits", "fast"),
    [(0.0, 1, True), (1.0, 1, True), (FAST_MS + 0.5, 1, False), (30.0, 1, False), (2.0, 2, True), (4.0, 2, False), (10.0, 10, True)],
)
def test_what_counts_is_how_often_jobs_are_submitted(every_ms: float, submits: int, fast: bool) -> None:
    arrivals = Arrivals()
    arrivals.note(claims(RECENT, every_ms, submits))
    assert arrivals.are_fast is fast


def test_a_few_jobs_are_no_stream() -> None:
    arrivals = Arrivals()
    arrivals.note(claims(RECENT - 1, 0.0))
    assert not arrivals.are_fast
    arrivals.note(claims(1, 0.0, first=RECENT))
    assert arrivals.are_fast


def test_a_stream_has_ended_when_several_takes_found_nothing() -> None:
    arrivals = Arrivals()
    arrivals.note(claims(RECENT, 1.0))
    for _ in range(EMPTY_TAKES - 1):
        arrivals.note([])
    assert arrivals.are_fast
    arrivals.note([])
    assert not arrivals.are_fast


def test_old_jobs_that_are_due_again_are_no_stream() -> None:
    arrivals = Arrivals()
    arrivals.note(claims(RECENT, 0.0)[::-1])
    assert not arrivals.are_fast


@pytest.mark.parametrize(
    "damaged", [{}, {"order": "x", "created_ms": "1"}, {"order": "1", "created_ms": "-1"}, {"order": "", "created_ms": ""}]
)
def test_a_damaged_record_says_nothing(damaged: dict[str, str]) -> None:
    arrivals = Arrivals()
    arrivals.note([Claim("job", "1", probe=False, fields=damaged)])
    arrivals.note(claims(RECENT - 1, 0.0))
    assert not arrivals.are_fast
