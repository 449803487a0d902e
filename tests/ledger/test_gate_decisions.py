"""Several people decide about one unknown number, or one person repeats the call: one decision is made, and the others are conflicts."""

import json
from collections.abc import Callable

import pytest

from didflow.contract.errors import AlreadyDecided, InvalidRequest
from didflow.contract.provider import OwnedNumber
from didflow.contract.requests import SearchAndBuy
from didflow.contract.states import JobState
from didflow.ledger import script_calls
from didflow.ledger.gate import Findings, Gate, Gift
from didflow.ledger.ledger import Ledger
from didflow.ledger.script_calls import Submission
from tests.support.ledger_roles import reserve_for
from worker.reconcile.give import give

ORPHAN = OwnedNumber.model_validate({"record_id": 47000001, "number": "+12135550100", "status": "active", "monthly_usd": "0.99"})
OTHER = ORPHAN.model_copy(update={"record_id": 47000002, "number": "+12135550101"})


def purchase(ledger: Ledger, quantity: int = 1) -> str:
    return ledger.submit(Submission(SearchAndBuy(country="US", quantity=quantity))).id


def found(ledger: Ledger, *owned: OwnedNumber) -> Gate:
    """The gate waits for a person to decide about these."""
    findings = Findings("default", {one.number: one.record_id for one in owned})
    ledger.client.hset(ledger.keys.gate("default"), "findings", json.dumps(findings.as_fields()))
    return Gate(ledger)


def by_command(ledger: Ledger, job_id: str, actor: str) -> None:
    """As `didflow reconcile --give` and the gatekeeper do it."""
    give(ledger, "default", job_id, ORPHAN, actor)


def by_request(ledger: Ledger, job_id: str, actor: str) -> None:
    """As the HTTP API and the console do it."""
    assert Gate(ledger).keep_gift("default", Gift(number=ORPHAN.number, record_id=ORPHAN.record_id, job=job_id, actor=actor))


Way = Callable[[Ledger, str, str], None]
ways = pytest.mark.parametrize("first", [by_command, by_request], ids=lambda way: way.__name__)
ways_after = pytest.mark.parametrize("second", [by_command, by_request], ids=lambda way: way.__name__)


@ways
@ways_after
def test_a_number_is_given_to_one_purchase_and_the_second_person_meets_a_conflict(ledger: Ledger, first: Way, second: Way) -> None:
    found(ledger, ORPHAN)
    one, two = purchase(ledger), purchase(ledger)
    first(ledger, one, "ann")
    with pytest.raises(AlreadyDecided, match=f"given to purchase {one}") as conflict:
        second(ledger, two, "ben")
    assert (conflict.value.job_id, ledger.numbers(two)) == (one, {})


@ways
@ways_after
def test_a_repeated_call_finds_the_number_given(ledger: Ledger, first: Way, second: Way) -> None:
    """The first answer was lost. The purchase takes one number and has it."""
    found(ledger, ORPHAN)
    job_id = purchase(ledger)
    for way in (first, second, second):
        way(ledger, job_id, "ann")
    if by_command in (first, second):
        assert list(ledger.numbers(job_id)) == [ORPHAN.number]
        assert len(ledger.run(script_calls.history(ORPHAN.number)).entries) == 1
        assert Gate(ledger).gifts("default") == {}, "nothing is left to give"


@ways
def test_a_number_that_was_given_is_not_accepted_as_no_jobs(ledger: Ledger, first: Way) -> None:
    gate, job_id = found(ledger, ORPHAN, OTHER), purchase(ledger)
    first(ledger, job_id, "ann")
    with pytest.raises(AlreadyDecided, match=f"given to purchase {job_id}"):
        gate.accept("default", {OTHER.number: OTHER.record_id, ORPHAN.number: ORPHAN.record_id})
    assert str(OTHER.record_id) not in gate.accepted("default"), "none of them"
    assert [entry.happened.what for entry in ledger.run(script_calls.history(OTHER.number)).entries] == []


@ways
def test_a_number_that_was_accepted_is_given_to_nobody(ledger: Ledger, first: Way) -> None:
    gate, job_id = found(ledger, ORPHAN), purchase(ledger)
    assert gate.accept("default", {ORPHAN.number: ORPHAN.record_id}) == 1
    with pytest.raises(AlreadyDecided, match="accepted as no job's"):
        first(ledger, job_id, "ben")
    assert (ledger.numbers(job_id), gate.gifts("default")) == ({}, {})


def test_a_purchase_is_given_no_more_numbers_than_it_ordered(ledger: Ledger) -> None:
    job_id = purchase(ledger)
    give(ledger, "default", job_id, ORPHAN, "ann")
    with pytest.raises(InvalidRequest, match="already has all 1 numbers"):
        give(ledger, "default", job_id, OTHER, "ben")
    assert list(ledger.numbers(job_id)) == [ORPHAN.number]


def test_a_number_that_another_purchase_may_be_buying_is_given_to_nobody(ledger: Ledger) -> None:
    job_id = purchase(ledger)
    reserve_for(ledger, "another", ORPHAN.number)
    with pytest.raises(InvalidRequest, match="reserved for job another"):
        give(ledger, "default", job_id, ORPHAN, "ann")


def test_no_other_purchase_can_bind_a_number_that_was_given(ledger: Ledger) -> None:
    """Also where the stock list still offers it."""
    job_id = purchase(ledger)
    give(ledger, "default", job_id, ORPHAN, "ann")
    assert job_id in str(ledger.client.hget(ledger.keys.reserved("default"), ORPHAN.number))


def test_a_number_that_is_no_finding_any_more_is_not_kept_for_a_worker(ledger: Ledger) -> None:
    """The gate opened, or the number went, after the person read the findings."""
    gate = found(ledger, OTHER)
    assert not gate.keep_gift("default", Gift(number=ORPHAN.number, record_id=ORPHAN.record_id, job=purchase(ledger), actor="ann"))
    assert not gate.keep_gift("default", Gift(number=OTHER.number, record_id=ORPHAN.record_id, job=purchase(ledger), actor="ann"))
    assert gate.gifts("default") == {}


def test_a_gift_that_was_refused_gives_way_to_another_and_no_late_word_touches_that_one(ledger: Ledger) -> None:
    gate, one, two = found(ledger, ORPHAN), purchase(ledger), purchase(ledger)
    by_request(ledger, one, "ann")
    (old,) = gate.gifts("default").values()
    assert gate.refuse_gift("default", old, "job is cancelled")
    assert gate.gifts("default")[ORPHAN.number].refused == "job is cancelled"
    by_request(ledger, two, "ben")
    assert not gate.refuse_gift("default", old, "said late, by a process that hung")
    gate.forget_gift("default", old)
    assert [(gift.job, gift.refused) for gift in gate.gifts("default").values()] == [(two, "")]


def test_a_purchase_that_has_ended_is_given_nothing_and_the_number_stays_free(ledger: Ledger) -> None:
    one, two = purchase(ledger), purchase(ledger)
    ledger.run(script_calls.cancel(one))
    with pytest.raises(InvalidRequest, match="only a waiting job"):
        give(ledger, "default", one, ORPHAN, "ann")
    give(ledger, "default", two, ORPHAN, "ben")
    assert ledger.get(two).state is JobState.QUEUED
