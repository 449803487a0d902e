"""`didflow incidents` as an operator meets it, without a worker: what is listed, cancelled and brought back, and how it ends."""

from pathlib import Path

import pytest

from didflow import Destination, Didflow
from didflow.contract.exit_codes import ExitCode
from producers.failover import Failover
from tests.support.shell import Shell
from worker.local.embedded_valkey import EmbeddedValkey

NUMBERS = ("+12135550100", "+12135550101")
BACKUP = (Destination.sip("backup@example.net"),)


@pytest.fixture
def shell(tmp_path: Path, valkey: EmbeddedValkey, namespace: str) -> Shell:
    return Shell(tmp_path, {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": namespace, "DIDFLOW_ACTOR": "ann"})


@pytest.fixture
def didflow(valkey: EmbeddedValkey, namespace: str) -> Didflow:
    return Didflow.from_url(valkey.url, namespace)


def test_no_incident_is_a_header_alone_and_an_unknown_one_an_error(shell: Shell) -> None:
    assert shell("incidents").out == "incident\tbegan (UTC)\tnumbers\tmoved\tfailed\tstate\tfailed back\n"
    assert shell("incidents", "--json").json == []
    for verb in ("status", "cancel", "failback"):
        unknown = shell("incidents", verb, "INC-1", "--json")
        assert (unknown.code, unknown.json["error"]["code"]) == (ExitCode.INPUT, "incident_not_found")


def test_incidents_are_a_table_and_a_status_has_a_line_for_each_job(shell: Shell, didflow: Didflow) -> None:
    job = Failover(didflow).away("INC-31", NUMBERS, BACKUP)
    header, line = shell("incidents").out.splitlines()
    listed = dict(zip(header.split("\t"), line.split("\t"), strict=True))
    assert (listed["incident"], listed["state"], listed["failed back"]) == ("INC-31", "moving", "no")
    shown = shell("incidents", "status", "INC-31")
    header, line = shown.out.splitlines()
    of_job = dict(zip(header.split("\t"), line.split("\t"), strict=True))
    assert (shown.code, of_job["job"], of_job["part"], of_job["state"]) == (0, job.id, "move", "queued")
    assert shell("incidents", "status", "INC-31", "--json").json["jobs"][0]["id"] == job.id
    assert shell("incidents", "status", "INC-31", "--watch", "--timeout", "0").code == ExitCode.TIMEOUT


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_no_name_and_no_id_is_cut(shell: Shell, didflow: Didflow, columns: int) -> None:
    name = "INC-31-of-a-trunk-with-a-rather-long-name"
    job = Failover(didflow).away(name, NUMBERS, BACKUP)
    assert name in shell("incidents", columns=columns).out
    shown = shell("incidents", "status", name, columns=columns).out
    assert job.id in shown
    assert "…" not in shown


def test_a_cancel_shows_first_what_it_would_do_and_needs_a_yes(shell: Shell, didflow: Didflow) -> None:
    job = Failover(didflow).away("INC-31", NUMBERS, BACKUP)
    looked = shell("incidents", "cancel", "INC-31", "--dry-run")
    assert (looked.code, f"would be cancelled: move {job.id}" in looked.err) == (0, True), looked.err
    refused = shell("incidents", "cancel", "INC-31")
    assert (refused.code, "give --yes" in refused.err) == (ExitCode.INPUT, True), refused.err
    assert didflow.get(job.id).state.value == "queued"
    assert shell("incidents", "cancel", "INC-31", "--yes", "--json").json["state"] == "nothing_moved"
    assert didflow.get(job.id).decided_by == "ann"
    assert shell("incidents", "cancel", "INC-31", "--yes").code == ExitCode.NOTHING_DONE
    looked_again = shell("incidents", "cancel", "INC-31", "--dry-run")
    assert (looked_again.code, "nothing would be cancelled" in looked_again.err) == (0, True), looked_again.err
    assert shell("incidents", "failback", "INC-31", "--yes").code == ExitCode.NOTHING_DONE


def test_a_failback_calls_off_what_goes_on_and_is_the_same_when_asked_twice(shell: Shell, didflow: Didflow) -> None:
    job = Failover(didflow).away("INC-31", NUMBERS, BACKUP)
    didflow.ledger.client.hset(didflow.ledger.keys.job(job.id), "phase", "moving")  # As if a worker had begun it.
    looked = shell("incidents", "failback", "INC-31", "--dry-run", "--json").json
    assert [(way["job"], way["calls_off"], way["is_new"]) for way in looked["failbacks"]] == [(job.id, True, True)]
    assert len(didflow.find()) == 1
    first = shell("incidents", "failback", "INC-31", "--yes", "--json").json["failbacks"][0]
    again = shell("incidents", "failback", "INC-31", "--yes", "--json").json["failbacks"][0]
    assert (first["is_new"], again["is_new"], again["failback"]) == (True, False, first["failback"])
    assert didflow.get(job.id).cancel_requested
    assert didflow.get(first["failback"]).actor == "ann"


def test_a_reroute_of_another_account_needs_confirmation_though_the_incident_is_known(shell: Shell, didflow: Didflow) -> None:
    Failover(didflow).away("INC-31", NUMBERS, BACKUP)
    looked = shell(
        "failover", "--number", NUMBERS[0], "--to", "sip:backup@example.net", "--incident", "INC-31", "--account", "eu", "--timeout", "0"
    )
    assert looked.code == ExitCode.TIMEOUT, "its dry run comes first"
    moves = [view for view in didflow.find() if view.request is not None and not view.request.dry_run]
    assert [view.account for view in moves] == ["default"]


def test_a_failback_by_name_is_of_the_account_that_is_named(shell: Shell, didflow: Didflow) -> None:
    Failover(didflow).away("INC-31", NUMBERS, BACKUP)
    there = Failover(didflow, account="eu").away("INC-31", NUMBERS, BACKUP)
    assert shell("failback", "INC-31", "--account", "eu", "--no-wait", "--json").json["undoes"] == there.id
    Failover(didflow, account="eu").away("INC-32", NUMBERS, BACKUP)
    refused = shell("failback", "INC-32", "--no-wait")
    assert (refused.code, "belongs to account 'eu'" in refused.err) == (ExitCode.INPUT, True), refused.err
