"""The slow opening of the gate as a model: every reachable state is visited."""

import pytest

from tests.model.closed_gate_protocol import ClosedGate, Rules, State
from tests.model.search import Search


def test_nothing_is_bought_twice_whatever_was_forgotten() -> None:
    searched = ClosedGate().search()
    assert searched.counterexample is None
    assert searched.states > 200


@pytest.mark.parametrize("rule", Rules._fields)
def test_each_rule_is_needed(rule: str) -> None:
    assert ClosedGate(Rules()._replace(**{rule: False})).search().counterexample


def test_the_gate_does_open_and_the_job_goes_on() -> None:
    assert Search(State(), ClosedGate().steps, lambda state: state.another).run().counterexample
