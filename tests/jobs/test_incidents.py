"""An incident is one thing, though it is several jobs: checked, cancelled and brought back by its name."""

import asyncio

import pytest

from didflow import AsyncDidflow, Destination, Didflow, Selector
from didflow.contract.errors import IncidentNotFound
from didflow.contract.incidents import IncidentState
from didflow.contract.jobs import Job
from didflow.contract.requests import Reroute
from didflow.contract.states import JobState
from didflow.ledger.connection import connect_async
from didflow.ledger.script_calls import Submission
from producers.async_incidents import AsyncIncidents
from producers.failover import Failover
from producers.incidents import Incidents
from tests.support.inline_worker import InlineWorker
from worker.local.embedded_valkey import EmbeddedValkey

BACKUP = (Destination.sip("backup@example.net"),)
pytestmark = pytest.mark.provider()


@pytest.fixture
def didflow(inline: InlineWorker) -> Didflow:
    return Didflow(inline.ledger.client, inline.ledger.keys.namespace, actor="ann")


def job_of(job_id: str) -> Job:
    return Job(job_id, is_new=False, state=JobState.QUEUED)


def test_one_incident_is_its_reroute_and_its_failback(inline: InlineWorker, didflow: Didflow) -> None:
    numbers, failover, incidents = inline.own(3), Failover(didflow), Incidents(didflow)
    moved = failover.away("INC-31", numbers, BACKUP)
    assert incidents.get("INC-31").state is IncidentState.MOVING
    inline.finish(moved)
    incident = incidents.get("INC-31")
    assert (incident.state, incident.numbers, incident.moved, incident.failed_back) == (IncidentState.MOVED, 3, 3, "no")
    looked = incidents.failback("INC-31", dry_run=True)
    assert [(way.job, way.numbers, way.failback, way.is_new) for way in looked] == [(moved.id, 3, None, True)]
    assert len(didflow.find()) == 1, "a dry run submits nothing"
    (way,) = incidents.failback("INC-31")
    assert incidents.failback("INC-31")[0].failback == way.failback, "asked twice it is the same failback"
    assert incidents.get("INC-31").failed_back == "running"
    inline.finish(job_of(str(way.failback)))
    incident = incidents.get("INC-31")
    assert (incident.state, incident.failed_back, incident.back) == (IncidentState.MOVED, "yes", 3)
    assert [(job.part, job.actor) for job in incident.jobs] == [("move", "ann"), ("failback", "ann")]
    assert incidents.failback("INC-31")[0] == way.__class__(moved.id, "default", 3, way.failback, False, False)
    assert set(map(tuple, inline.routes().values())) == {("old@example.net",)}


def test_a_failback_that_left_numbers_undone_goes_on_with_the_rest(inline: InlineWorker, didflow: Didflow) -> None:
    failover, incidents = Failover(didflow), Incidents(didflow)
    inline.finish(failover.away("INC-32", inline.own(2), BACKUP))
    (first,) = incidents.failback("INC-32")
    didflow.cancel(str(first.failback))
    assert incidents.get("INC-32").failed_back == "no"
    (looked,) = incidents.failback("INC-32", dry_run=True)
    assert (looked.failback, looked.after) == (None, first.failback)
    (second,) = incidents.failback("INC-32")
    assert second.failback != first.failback
    assert incidents.failback("INC-32")[0].failback == second.failback
    inline.finish(job_of(str(second.failback)))
    assert incidents.get("INC-32").failed_back == "yes"
    assert set(map(tuple, inline.routes().values())) == {("old@example.net",)}


def test_a_cancel_calls_off_all_that_goes_on(inline: InlineWorker, didflow: Didflow) -> None:
    inline.own(2)
    failover, incidents = Failover(didflow), Incidents(didflow)
    failover.away("INC-33", Selector(destination="sip:old@example.net"), BACKUP)
    incident = incidents.cancel("INC-33")
    assert (incident.state, incident.goes_on) == (IncidentState.NOTHING_MOVED, False)
    assert [job.state for job in incident.jobs] == [JobState.CANCELLED]
    assert incidents.failback("INC-33") == (), "nothing was moved"


def test_an_incident_has_a_reroute_in_each_account(inline: InlineWorker, didflow: Didflow) -> None:
    numbers = inline.own(1)
    here = Failover(didflow).away("INC-34", numbers, BACKUP)
    there = Failover(didflow, account="eu").away("INC-34", numbers, BACKUP)
    assert here.id != there.id
    assert Failover(didflow, account="eu").away("INC-34", numbers, BACKUP).id == there.id
    assert Failover(didflow, account="eu").moved("INC-34").id == there.id
    assert [job.account for job in Incidents(didflow).get("INC-34").jobs] == ["default", "eu"]
    assert [way.account for way in Incidents(didflow).failback("INC-34", dry_run=True)] == ["default", "eu"]


def test_an_unknown_incident_is_an_error_that_names_similar_ones(inline: InlineWorker, didflow: Didflow) -> None:
    Failover(didflow).away("INC-35", inline.own(1), BACKUP)
    with pytest.raises(IncidentNotFound, match="did you mean INC-35") as raised:
        Incidents(didflow).get("INC-36")
    assert (raised.value.code, raised.value.similar) == ("incident_not_found", ("INC-35",))


def test_incidents_of_before_they_were_listed_are_found(inline: InlineWorker, didflow: Didflow) -> None:
    request = Reroute(numbers=tuple(inline.own(1)), destinations=BACKUP)
    old = inline.ledger.submit(Submission(request, "failover:INC-37", "INC-37"))
    assert Incidents(didflow).get("INC-37").jobs[0].id == old.id
    assert [incident.name for incident in Incidents(didflow).all()] == ["INC-37"]
    assert inline.ledger.get(old.id).incident == "INC-37"


def test_an_incident_is_kept_as_long_as_one_of_its_jobs(inline: InlineWorker, didflow: Didflow) -> None:
    job = Failover(didflow).away("INC-38", inline.own(1), BACKUP)
    didflow.cancel(job.id)
    client, keys = inline.ledger.client, inline.ledger.keys
    client.zadd(f"{keys.namespace}:retention", {job.id: 1})
    assert inline.ledger.sweep(max_crashes=5).deleted == 1
    assert Incidents(didflow).all() == ()
    assert not client.exists(keys.incident("INC-38"), keys.incidents)


def test_the_async_twin(inline: InlineWorker, didflow: Didflow, valkey: EmbeddedValkey) -> None:
    Failover(didflow).away("INC-39", inline.own(1), BACKUP)

    async def verbs() -> None:
        client = AsyncDidflow(connect_async(valkey.url), inline.ledger.keys.namespace, actor="bob")
        incidents = AsyncIncidents(client)
        assert [incident.name for incident in await incidents.all()] == ["INC-39"]
        assert not (await incidents.cancel("INC-39")).goes_on
        assert didflow.get((await incidents.get("INC-39")).jobs[0].id).decided_by == "bob"
        assert await incidents.failback("INC-39", dry_run=True) == ()
        await client.aclose()

    asyncio.run(verbs())
