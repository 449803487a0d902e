"""`didflow explain` shows a step that repeats itself as one line."""

from datetime import UTC, datetime, timedelta

from didflow.contract.jobs import ProviderCall, Step
from producers.cli.jobs import _alike, _step_rows

BEGAN = datetime(2026, 12, 1, 8, tzinfo=UTC)
CALL = (ProviderCall("destinations", "1a2b3c4d", "yes"),)


def looks(count: int, detail: str = "job j, which goes first, is running") -> list[Step]:
    return [Step(BEGAN + timedelta(seconds=place / 2), place + 1, "waits", detail) for place in range(count)]


def test_a_job_that_looks_again_and_again_is_one_line() -> None:
    groups = _alike(looks(17))
    assert len(groups) == 1
    ((when, attempt, name, _, _, showed),) = _step_rows(groups[0])
    assert (when, attempt, name) == ("08:00:00.000", "1-17", "waits")
    assert showed == "job j, which goes first, is running; 17 times, until 08:00:08"


def test_what_differs_or_asked_the_provider_has_a_line_of_its_own() -> None:
    steps = [*looks(2), *looks(2, "another"), Step(BEGAN, 5, "waits", "another", CALL), Step(BEGAN, 5, "waits", "another", CALL)]
    assert [len(group) for group in _alike(steps)] == [2, 2, 1, 1]
