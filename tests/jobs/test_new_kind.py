"""The steps of docs/adding-a-job-kind.md, taken: a kind of which only this file knows is submitted, taken, run and reported."""

from collections.abc import Callable
from typing import Any, Literal, cast

import pytest

from didflow.contract.errors import InvalidRequest, JobError
from didflow.contract.job_kinds import KINDS, JobKind, parse_request
from didflow.contract.requests import Request, RequestBase
from didflow.contract.results import NumberResult, Result, Totals
from didflow.contract.states import JobState, Lane, Outcome
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.script_calls import Submission
from tests.support.inline_worker import InlineWorker, result_of
from worker.jobs.handlers import HANDLERS, KindHandler
from worker.jobs.partial_result import nothing_of
from worker.jobs.ports.context import JobContext
from worker.jobs.ports.endings import AttemptFailed, Ended, Refused
from worker.jobs.ports.provider import Provider
from worker.jobs.ports.rules import Rules

Register = Callable[..., None]


class Look(RequestBase):
    """Read one number of ours."""

    kind: Literal["look"] = "look"
    number: str


def look(request: Look, context: JobContext, provider: Provider, _rules: Rules) -> Ended:
    context.check_interrupts()
    found = [one for one in provider.owned(page=1).items if one.number == request.number]
    if not found:
        raise Refused(JobError(code="not_found", message="this account has no such number"))
    if found[0].label == "damaged":
        raise AttemptFailed(JobError(code="damaged", message="it can't be read", retryable=True))
    shown = NumberResult(number=request.number, record_id=found[0].record_id, outcome=Outcome.UNCHANGED)
    return Ended(JobState.SUCCEEDED, Result(numbers=(shown,), totals=Totals(requested=1, done=1)))


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Register:
    """Adds the kind, with these answers in the place of its own."""

    def add(**facts: bool) -> None:
        given = {"moves_money": False, "buys": False, "gives_back": False, "changes_routes": False} | facts
        monkeypatch.setitem(KINDS, "look", JobKind(name="look", request=Look, lane=Lane.BULK, **given))
        handler: KindHandler[Any] = KindHandler(
            model=Look, run=look, known_so_far=lambda _request, _context, error: nothing_of(1, error), requested=lambda _: 1
        )
        monkeypatch.setitem(HANDLERS, "look", handler)

    return add


def asked(number: str) -> Request:
    return cast("Request", Look(number=number))


def take(ledger: Ledger, lane: Lane = Lane.BULK) -> list[str]:
    """The jobs that a worker gets from that lane now."""
    taken = ledger.take(lane, 10, worker="worker-1", consumer="one", claimant="worker-1:once", lease_ms=60_000)
    return [claim.job_id for claim in taken.claims]


def test_a_job_of_a_new_kind_is_submitted_taken_run_and_reported(inline: InlineWorker, register: Register) -> None:
    register()
    number = inline.own(1)[0]
    job = inline.submit(asked(number), key="look-1", reference="acme")
    assert inline.submit(asked(number), key="look-1").id == job.id
    attempts, emptied = inline.runner.take(Lane.BULK, 10, "bulk")
    assert emptied
    assert [one.claim.job_id for one in attempts] == [job.id]
    inline.runner.attempt(attempts[0])
    view = inline.ledger.get(job.id)
    assert (view.kind, view.lane, view.state, view.request) == ("look", Lane.BULK, JobState.SUCCEEDED, asked(number))
    assert [one.number for one in result_of(view).numbers] == [number]
    event = cast("list[Any]", inline.ledger.client.xrange(inline.ledger.keys.results))[-1][1]
    assert (event["subject"], event["type"]) == (job.id, "didflow.job.succeeded.v1")


def test_one_that_is_refused_or_fails_has_the_numbers_that_its_kind_asked_for(inline: InlineWorker, register: Register) -> None:
    register()
    view = inline.run(asked("+12135550100"))
    assert (view.state, result_of(view).totals) == (JobState.FAILED, Totals(requested=1, done=0))
    damaged = inline.own(1, label="damaged")[0]
    view = inline.run(asked(damaged))
    assert (view.state, result_of(view).totals, view.error and view.error.code) == (
        JobState.FAILED,
        Totals(requested=1, done=0),
        "damaged",
    )


@pytest.mark.parametrize("moves_money", [True, False])
def test_behind_a_closed_gate_a_new_kind_runs_only_if_it_says_that_it_moves_no_money(
    real_ledger: Ledger, register: Register, moves_money: bool
) -> None:
    register(moves_money=moves_money)
    close_gate(real_ledger)
    job = real_ledger.submit(Submission(asked("+12135550100")))
    assert take(real_ledger) == ([] if moves_money else [job.id])
    assert real_ledger.get(job.id).reason == ("reconciling" if moves_money else None)


def test_behind_a_closed_gate_a_kind_that_this_worker_does_not_know_waits(
    real_ledger: Ledger, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    register()
    close_gate(real_ledger)
    job = real_ledger.submit(Submission(asked("+12135550100")))
    monkeypatch.delitem(KINDS, "look")
    assert take(real_ledger) == []
    assert real_ledger.get(job.id).reason == "reconciling"
    claim = real_ledger.claim(job.id, "worker-1:alone", lease_ms=60_000)
    assert not isinstance(claim, Claim)


def close_gate(ledger: Ledger) -> None:
    """As after a restart of the server, with a worker that looks after the account."""
    ledger.client.hset(ledger.keys.epoch, mapping={"server": "another", "number": "1"})
    ledger.sweep(max_crashes=5)
    ledger.client.hset(ledger.keys.gate("default"), "checker", "worker-2")


def test_an_unknown_kind_is_no_request(real_ledger: Ledger, register: Register) -> None:
    fields = {"kind": "look", "number": "+12135550100"}
    with pytest.raises(InvalidRequest):
        parse_request(dict(fields))
    register()
    assert parse_request(dict(fields)) == asked("+12135550100")
