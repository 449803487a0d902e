"""A backlog that the sweeper has to look through doesn't hold up an emergency that waits for its next look."""

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.requests import Reroute
from didflow.contract.states import JobState, WaitReason
from didflow.ledger.ledger import Ledger
from didflow.ledger.script_calls import Submission
from tests.support.ledger_roles import claimed, submitted, wait_until_ms

MOVE = Reroute(numbers=("+12135550100",), destinations=(Destination.sip("pbx@example.net"),))


def overdue(ledger: Ledger, count: int) -> None:
    """As if these jobs had waited for long: all of them are due for a look."""
    for _ in range(count):
        ledger.client.zadd(ledger.keys.namespace + ":due", {submitted(ledger).id: 1})


def queued(ledger: Ledger, lane: str) -> int:
    return int(ledger.client.llen(f"{ledger.keys.broker}:{lane}"))


@pytest.mark.parametrize("settled", [True, False], ids=["waiting", "lost-nudge"])
def test_an_emergency_is_nudged_before_an_overdue_backlog(ledger: Ledger, settled: bool) -> None:
    overdue(ledger, 5)
    job = ledger.submit(Submission(MOVE))
    if settled:
        claim = claimed(ledger, job.id)
        assert ledger.suspend(claim, JobState.WAITING, WaitReason.SETTLING, delay_ms=1, refund=True)
        wait_until_ms(ledger, ledger.now_ms() + 2)
    else:
        ledger.client.zadd(ledger.keys.namespace + ":due_first", {job.id: 1})
    ledger.client.delete(f"{ledger.keys.broker}:emergency", f"{ledger.keys.broker}:emergency.msgs")
    ledger.sweep(max_crashes=5, batch=1)
    assert queued(ledger, "emergency") == 1


def test_what_is_stale_among_them_goes(ledger: Ledger) -> None:
    job = ledger.submit(Submission(MOVE))
    claimed(ledger, job.id)
    ledger.client.zadd(ledger.keys.namespace + ":due_first", {job.id: 1, "gone": 1})
    ledger.sweep(max_crashes=5)
    assert ledger.client.zcard(ledger.keys.namespace + ":due_first") == 0
    assert queued(ledger, "emergency") == 1, "only the message of the submit"
