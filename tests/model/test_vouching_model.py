"""Vouching as a model: every reachable state is visited, so "holds" means that no order of events forgets a purchase."""

import pytest

from tests.model.vouching_protocol import LARGER, SCOPES, WEAKER, Vouching
from tests.model.vouching_states import Rules, Scope

#: Those that take more than a few seconds to be detected.
LONG = ["asked_before_gone", "by_all", "ends_after_answer", "longer_helps_nobody", "until_answer"]
ALONE = [Scope(vouch=(2,), hanging=("alive", "permit")), Scope(vouch=(2,), restarts=2)]


def weaker(rule: str) -> Rules:
    return Rules()._replace(**{rule: False}) if rule else Rules()


@pytest.mark.parametrize("scope", SCOPES, ids=str)
def test_the_gate_never_opens_on_a_permission_that_is_lost(scope: Scope) -> None:
    searched = Vouching(scope=scope).search()
    assert searched.counterexample is None
    assert searched.states > 3_000


def test_and_it_does_open_fast_where_nothing_is_lost_and_all_live() -> None:
    vouching = Vouching()
    assert vouching.search_shut().counterexample is None
    assert vouching.opened_fast > 100


def test_each_rule_has_a_weaker_protocol() -> None:
    assert set(WEAKER) == set(Rules._fields)


@pytest.mark.parametrize("rule", [rule for rule in WEAKER if rule not in LONG])
def test_each_rule_is_needed(rule: str) -> None:
    assert Vouching(weaker(rule), WEAKER[rule]).search().counterexample


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("rule", LONG)
def test_each_rule_is_needed_that_takes_longer_to_try(rule: str) -> None:
    assert Vouching(weaker(rule), WEAKER[rule]).search().counterexample


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("scope", LARGER, ids=str)
def test_nor_does_it_in_a_larger_scope(scope: Scope) -> None:
    assert Vouching(scope=scope).search().counterexample is None


@pytest.mark.parametrize("rule", ["awaits_answers", "unique", "said_in_epoch"])
def test_what_makes_the_search_quick_changes_no_verdict(rule: str) -> None:
    scope = WEAKER[rule]._replace(hanging=("permit",) if rule == "awaits_answers" else ())
    quick, whole = (Vouching(weaker(rule), scope, shortcuts=shortcuts).search() for shortcuts in (True, False))
    assert quick.states < whole.states
    assert quick.counterexample
    assert whole.counterexample
    assert len(quick.counterexample) == len(whole.counterexample)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("scope", ALONE, ids=str)
def test_nor_does_it_hide_one_from_the_protocol(scope: Scope) -> None:
    assert Vouching(scope=scope, shortcuts=False).search().counterexample is None
