"""An event that makes didflow itself fail is set aside with its reason, and stops neither its consumer nor the events after it."""

import json
from typing import Any, cast

import pytest
import structlog
from hypothesis import HealthCheck, Phase, given, settings

from didflow import Didflow, InvalidRequest
from didflow.contract.business_events import CHURNED, REQUEST
from didflow.contract.errors import InternalError
from didflow.ledger.ledger import Ledger
from producers.business_events import BusinessEvents, TakenIn
from tests.support.generated_requests import events

BUY: dict[str, Any] = {"kind": "search_and_buy", "country": "US"}
#: What each event asks for that can't be counted, or is of another type than it must be.
WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "wait_until": (REQUEST, {"request": BUY | {"wait_until": "0001-01-01T00:00:00+01:00"}}),
    "deadline": (
        REQUEST,
        {"request": {"kind": "follow_documents", "numbers": ["+12135550100"], "deadline": "0001-01-01T00:00:00+01:00"}},
    ),
    "at": (CHURNED, {"reference": "acme", "at": "9999-12-31"}),
    "at with a zone": (CHURNED, {"reference": "acme", "at": "9999-12-31T23:59:59-05:00"}),
    "grace": (CHURNED, {"reference": "acme", "grace": "-999999999.9d"}),
    "policy": (REQUEST, {"request": BUY | {"policy": [], "ladder": [{"city": "TORONTO"}]}}),
}


@pytest.fixture
def didflow(real_ledger: Ledger) -> Didflow:
    return Didflow(real_ledger.client, real_ledger.keys.namespace)


def send(didflow: Didflow, event_id: str, kind: str, data: dict[str, Any]) -> None:
    BusinessEvents(didflow).send(kind, data, event_id=event_id)


def taken_in(didflow: Didflow) -> list[TakenIn]:
    return list(BusinessEvents(didflow, consumer="a").take_in(block_s=0.01, give_up_idle=True))


@pytest.mark.parametrize("what", WRONG)
def test_a_value_that_cannot_be_counted_is_refused_and_the_next_event_is_acted_on(didflow: Didflow, what: str) -> None:
    kind, data = WRONG[what]
    send(didflow, "bad", kind, data)
    send(didflow, "good", REQUEST, {"request": BUY})
    bad, good = taken_in(didflow)
    assert isinstance(bad.refusal, InvalidRequest)
    assert any(what.split(" ")[0] in where for where, _ in bad.refusal.faults)
    assert good.job is not None
    (dead,) = didflow.dead_letters().requests
    assert dead.code == "invalid_request"


def test_an_error_of_ours_sets_that_event_aside_and_is_logged(didflow: Didflow) -> None:
    send(didflow, "known", REQUEST, {"request": BUY})
    (first,) = taken_in(didflow)
    assert first.job is not None
    # The counter of submits is overwritten: a new submit fails in the script, one that is repeated doesn't come so far.
    didflow.ledger.client.set(f"{didflow.ledger.keys.namespace}:order", "not a number")
    send(didflow, "new\x1b[2J", REQUEST, {"request": BUY})
    send(didflow, "new", REQUEST, {"request": BUY})
    send(didflow, "known", REQUEST, {"request": BUY})
    with structlog.testing.capture_logs() as lines:
        unreadable, failed, again = taken_in(didflow)
    assert unreadable.refusal is not None
    assert unreadable.refusal.code == "invalid_event"
    assert isinstance(failed.refusal, InternalError)
    assert (again.job and again.job.id) == first.job.id
    (line,) = [line for line in lines if line["event"] == "requests.internal_error"]
    assert (line["event_id"], line["log_level"]) == ("new", "error")
    (dead,) = [dead for dead in didflow.dead_letters().requests if dead.code == "internal_error"]
    assert json.loads(dead.fields["data"]) == {"request": BUY}
    didflow.ledger.client.set(f"{didflow.ledger.keys.namespace}:order", 1)
    didflow.replay(dead.name)
    (replayed,) = taken_in(didflow)
    assert replayed.job is not None


def test_no_generated_event_makes_the_consumer_fail(didflow: Didflow) -> None:
    sent: list[dict[str, str]] = []

    @settings(max_examples=150, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(events())
    def collect(fields: dict[str, str]) -> None:
        sent.append(fields | {"id": fields["id"] if fields["id"] != "e-1" else f"e-{len(sent)}"})

    collect()
    sent.append({"id": "the last one", "type": REQUEST, "data": json.dumps({"request": BUY})})
    for fields in sent:
        didflow.ledger.client.xadd(didflow.ledger.keys.requests, cast("Any", fields))
    taken = taken_in(didflow)
    assert len(taken) == len(sent)
    assert not [(one, sent[place]) for place, one in enumerate(taken) if isinstance(one.refusal, InternalError)]
    assert taken[-1].job is not None
