"""The campaign keeps every promise, and a wrong protocol makes it fail: a test of the tests.

Of the wrong protocols `make test` tries the one that is detected soonest; `make long` tries all.
"""

import os
import sys
from pathlib import Path

import pytest

from tests.campaign.campaign import Outcome, run
from tests.campaign.mutants import MUTANTS
from tests.campaign.profiles import against, short
from tests.campaign.report import summary, write

#: Another one with SOAK_SEED; `make soak` runs for as long as you like.
SEED = int(os.environ.get("SOAK_SEED", "7"))
SECONDS = 12.0
#: How long a wrong protocol is given to go wrong: several times what it needed when it was tried. The third needs two late calls of the
#: same number, in the right order.
MUTANT_SECONDS = {
    "no_token_check": 35.0,
    "look_first": 15.0,
    "reuse_tainted": 30.0,
    "believe_refusals": 12.0,
    "deaf_to_cancels": 10.0,
    "leaves_parked": 10.0,
    "believe_yes_to_releases": 10.0,
    "believe_refused_releases": 10.0,
}
#: That its oracle determines what is wrong with a countdown is tested every day without a campaign.
SOONEST = "believe_refusals"
RIGHT_SECONDS = 15.0


def show(text: str) -> None:
    sys.stdout.write(text + "\n")


def assert_explained(outcome: Outcome, violation: str, folder: Path) -> None:
    """A violation leaves what a person needs: the jobs' stories, the numbers' calls as the provider saw them, and how to see it again."""
    write(outcome, folder)
    place = next(place for place, one in enumerate(outcome.evidence, 1) if one.violation == violation)
    evidence = outcome.evidence[place - 1]
    assert evidence.jobs
    assert all(any("submitted" in str(one) for one in story) for story in evidence.jobs.values())
    assert any("answered" in str(one) for calls in evidence.calls.values() for one in calls)
    page = (folder / f"seed-{SEED}-evidence" / f"violation-{place:02d}.md").read_text()
    assert f"--seed {SEED} --seconds" in page
    assert violation in page


@pytest.mark.timeout(400)
def test_no_promise_is_broken_when_everything_goes_wrong(tmp_path: Path) -> None:
    outcome = run(short(SECONDS, SEED), tmp_path, show)
    show(summary(outcome))
    assert outcome.violations == []
    assert outcome.numbers_bought > 10
    assert sum(outcome.troubles.values()) > 10


@pytest.mark.timeout(180)
@pytest.mark.parametrize("mutant", [pytest.param(name, marks=() if name == SOONEST else pytest.mark.long) for name in sorted(MUTANTS)])
def test_a_wrong_protocol_is_found_out(tmp_path: Path, mutant: str) -> None:
    outcome = run(against(mutant, MUTANT_SECONDS[mutant], SEED), tmp_path, show)
    show(summary(outcome))
    wrong = ("bought", "asked for", "was given to", "ended 2 times", "says that", "says refused", "was called off", "and goes to")
    found = [violation for violation in outcome.violations if any(words in violation for words in wrong)]
    assert found
    assert_explained(outcome, found[0], tmp_path / "soak")


@pytest.mark.long
@pytest.mark.timeout(180)
def test_the_right_protocol_bears_what_the_wrong_ones_do_not(tmp_path: Path) -> None:
    outcome = run(against(None, RIGHT_SECONDS, SEED), tmp_path, show)
    show(summary(outcome))
    assert outcome.violations == []
