"""The freeze as a model: every reachable state is visited."""

import pytest

from tests.model.freeze_protocol import Freezing, Rules, State
from tests.model.search import Search


def test_no_money_call_begins_once_freeze_has_answered_and_no_job_waits_for_nothing() -> None:
    searched = Freezing().search()
    assert searched.counterexample is None
    assert searched.states > 500


@pytest.mark.parametrize("rule", Rules._fields)
def test_each_rule_is_needed(rule: str) -> None:
    assert Freezing(Rules()._replace(**{rule: False})).search().counterexample


@pytest.mark.parametrize("freeze", ["none", "answered"])
def test_freeze_does_answer_and_a_job_ends_under_it_or_after_it(freeze: str) -> None:
    steps = Search(State(), Freezing().steps, lambda state: state.job == "done" and state.freeze == freeze).run().counterexample
    assert steps


def test_a_job_that_waited_is_bought_after_the_freeze_is_lifted() -> None:
    waiting = State(freeze="answered", job="waiting")
    assert Search(waiting, Freezing().steps, lambda state: state.job == "done").run().counterexample


@pytest.mark.long
def test_it_holds_with_three_attempts() -> None:
    assert Freezing(attempts=3).search().counterexample is None
