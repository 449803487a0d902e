"""A Redis whose memory is full: nothing new comes in, what is under way gets to its end."""

from collections.abc import Iterator

import pytest

from didflow.contract.attempt_write import Write
from didflow.contract.errors import ServiceUnavailable
from didflow.contract.requests import FollowDocuments
from didflow.contract.spending import Spend
from didflow.contract.states import JobState
from didflow.ledger.connection import connect
from didflow.ledger.ledger import Ledger
from didflow.ledger.number_pool import hand_out, take_back
from didflow.ledger.rate_limit import Breaker, Pace, admit, report
from didflow.ledger.release_guards import quarantine
from didflow.ledger.replies import LeaseState, Saved
from didflow.ledger.route_claims import RoutesClaimed, claim_routes
from tests.support.ledger_roles import claimed, finished, states, submitted
from worker.local.embedded_valkey import EmbeddedValkey


@pytest.fixture
def own_ledger(namespace: str) -> Iterator[Ledger]:
    """On a server of its own, because the memory is the whole server's."""
    with EmbeddedValkey(None) as server:
        client = connect(server.url)
        yield Ledger(client, namespace)
        client.close()


def full(ledger: Ledger, *, yes: bool = True) -> None:
    ledger.client.config_set("maxmemory", "1" if yes else "0")


def test_a_submit_is_refused_whole_and_may_be_repeated(own_ledger: Ledger) -> None:
    full(own_ledger)
    before = sorted(own_ledger.client.keys())
    with pytest.raises(ServiceUnavailable, match="memory"):
        submitted(own_ledger, "order-1")
    assert sorted(own_ledger.client.keys()) == before
    full(own_ledger, yes=False)
    assert submitted(own_ledger, "order-1").is_new


def test_what_is_under_way_is_written_to_its_end(own_ledger: Ledger) -> None:
    running, queued = claimed(own_ledger, submitted(own_ledger).id), submitted(own_ledger)
    full(own_ledger)
    page = Write(step="bound", detail="", checkpoint="{}", numbers={"+12135550100": "{}"}, reserve=("+12135550100",))
    assert own_ledger.save(running, 1, page) == Saved()
    assert own_ledger.limit_against(running, Spend(numbers=1), ()) is None
    assert own_ledger.save(running, 2, Write("fence", hold=Spend(numbers=1))) == Saved()
    assert own_ledger.save(running, 3, Write("settled", settle=Spend(numbers=1))) == Saved()
    assert own_ledger.spending([("account", "default")])[0].hour.numbers == 1
    assert own_ledger.renew([(running.job_id, running.token)], lease_ms=1000) == {(running.job_id, running.token): LeaseState.HELD}
    assert quarantine(own_ledger, running, ["+12135550101"]) == frozenset()
    assert hand_out(own_ledger, running, [("+12135550102", 47000001, "{}")]) == frozenset({"+12135550102"})
    assert take_back(own_ledger, running, {"+12135550102": "{}"})
    assert own_ledger.follow_up(running, "documents", FollowDocuments(job_id=running.job_id), delay_ms=1000)
    assert own_ledger.emit(running, [("+12135550100", "{}", "didflow.number.activated.v1", "{}")])
    assert claim_routes(own_ledger, running, ["+12135550100"]) == RoutesClaimed()
    leave = own_ledger.run(admit("default", "ask-1", Pace.of(10, 0.5), emergency=False, patience_s=5.0, probe_s=30.0))
    assert leave.word == "go", "what is under way may also ask the provider"
    assert own_ledger.run(report("default", leave.moment_us, "limited", "", Breaker(), pause_s=0.0, jitter=0.0)) == "slowed"
    assert finished(own_ledger, running)
    assert states(own_ledger, "results") == ["succeeded"]
    with pytest.raises(ServiceUnavailable):
        own_ledger.claim(queued.id, "worker-1", lease_ms=1000)
    full(own_ledger, yes=False)
    assert own_ledger.get(queued.id).state is JobState.QUEUED
    assert finished(own_ledger, claimed(own_ledger, queued.id))
