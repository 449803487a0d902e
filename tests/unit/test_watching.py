"""What the display of a move says, and the name that an incident gets when it is given none."""

from datetime import UTC, datetime
from typing import Any

import pytest

from didflow.contract.errors import JobError
from didflow.contract.progress import Tally
from didflow.contract.results import NumberResult
from didflow.contract.states import JobState, Outcome
from producers.cli.failover import derived_incident
from producers.cli.progress import Watch, _ending

NOW = datetime(2026, 11, 25, 16, 45, tzinfo=UTC)


@pytest.mark.parametrize(
    ("tally", "state", "words"),
    [
        (None, JobState.RUNNING, "selecting the numbers"),
        (Tally(0, {}), JobState.FAILED, ""),
        (Tally(9, {Outcome.UNCHANGED: 2, Outcome.ACCEPTED: 1}), JobState.RUNNING, "9 selected, 1 accepted, 2 confirmed, 0 failed"),
        (
            Tally(812, {Outcome.ACCEPTED: 400}, batches=5, batches_running=4),
            JobState.WAITING,
            "812 selected, 4 of 5 batches in flight, 400 accepted, 0 confirmed, 0 failed",
        ),
        (
            Tally(1000, {Outcome.ACCEPTED: 400}, inactive=12),
            JobState.WAITING,
            "1000 selected, 12 inactive, 400 accepted, 0 confirmed, 0 failed",
        ),
        (
            Tally(3, {Outcome.ACCEPTED: 2, Outcome.CONFIRMED: 1}),
            JobState.WAITING,
            "3 selected, 3 accepted, 1 confirmed, 0 failed, reading back",
        ),
        (
            Tally(3, {Outcome.CONFIRMED: 1, Outcome.SUPERSEDED: 1, Outcome.REFUSED: 1}),
            JobState.RUNNING,
            "3 selected, 1 accepted, 1 confirmed, 1 failed, 1 superseded",
        ),
    ],
)
def test_the_counts_say_where_every_number_is(tally: Tally | None, state: JobState, words: str) -> None:
    assert Watch("INC-31", tally=tally).counts(state) == words


def test_a_job_that_is_called_off_has_no_time_left_and_what_was_not_sent_did_not_fail() -> None:
    watch = Watch("INC-31", tally=Tally(1000, {Outcome.CONFIRMED: 320}))
    watch._first = (0.0, 0)
    assert " s left" in watch.counts(JobState.RUNNING)
    words = watch.counts(JobState.RUNNING, called_off=True)
    assert words == "1000 selected, 320 accepted, 320 confirmed, 0 failed or not sent, cancelled before 680 were sent"
    ended = Watch("INC-31", tally=Tally(1000, {Outcome.CONFIRMED: 320, Outcome.FAILED: 680}))
    assert ended.counts(JobState.PARTIAL, called_off=True) == "1000 selected, 320 accepted, 320 confirmed, 680 failed or not sent"


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (None, "not sent"),
        (JobError(code="cancelled", message=""), "not sent"),
        (JobError(code="deadline_passed", message=""), "not sent"),
        (JobError(code="not_permitted", message=""), "failed"),
    ],
)
def test_a_number_that_its_job_left_behind_was_not_sent(error: JobError | None, word: str) -> None:
    assert _ending(NumberResult(number="+12135550100", outcome=Outcome.FAILED, error=error)) == word


@pytest.mark.parametrize(
    ("selector", "name"),
    [
        ({"trunk_id": 144, "label": None, "all": False}, "trunk-144-20261125T164500"),
        ({"trunk_id": None, "label": "a b/c", "all": False}, "label-a-b-c-20261125T164500"),
        ({"trunk_id": None, "all": True}, "all-20261125T164500"),
        (None, "numbers-20261125T164500"),
    ],
)
def test_an_incident_without_a_name_is_called_by_what_fails_and_when(selector: dict[str, Any] | None, name: str) -> None:
    assert derived_incident(selector, NOW) == name
