"""What commands print on terminals of several widths and in a pipe: ids, numbers and keys are always whole, and no column is lost."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from didflow import Destination, Didflow, Reroute
from didflow.contract.attempt_write import Write
from didflow.contract.errors import JobError
from didflow.contract.history import Happened, Happening
from didflow.contract.results import NumberResult, Result, Totals
from didflow.contract.states import JobState, Outcome
from didflow.ledger.ledger import Ledger
from didflow.ledger.replies import Saved
from producers.cli.job_records import COLUMNS, job_records
from producers.cli.next_step import advice
from producers.failover import Failover
from tests.support.ledger_roles import claimed
from tests.support.shell import Shell
from worker.local.embedded_valkey import EmbeddedValkey

WIDTHS = (40, 60, 80, 120)
LONG_KEY = "order-of-a-customer-with-a-rather-long-name-4711"
REFERENCE = "cust-de"
NUMBERS = ("+12135550100", "+4930123456789")


@pytest.fixture
def shell(tmp_path: Path, valkey: EmbeddedValkey, namespace: str) -> Shell:
    return Shell(tmp_path, {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": namespace})


@pytest.fixture
def job(valkey: EmbeddedValkey, namespace: str) -> str:
    didflow = Didflow.from_url(valkey.url, namespace)
    request = Reroute(numbers=NUMBERS, destinations=(Destination.sip("backup@example.net"),))
    return didflow.submit(request, idempotency_key=LONG_KEY, reference=REFERENCE).id


@pytest.mark.parametrize("columns", WIDTHS)
def test_jobs_shows_ids_and_keys_whole_at_every_width(shell: Shell, job: str, columns: int) -> None:
    shown = shell("jobs", columns=columns).out
    for whole in (job, LONG_KEY, REFERENCE, "queued", "reroute"):
        assert whole in shown, shown
    assert "…" not in shown
    assert all(len(line) <= columns for line in shown.splitlines() if LONG_KEY not in line), shown


def test_a_narrow_terminal_gets_a_line_for_each_field(shell: Shell, job: str) -> None:
    lines = shell("jobs", columns=60).out.splitlines()
    assert [re.split(r"  +", line)[0] for line in lines[:3]] == ["job", "state", "kind"]
    assert lines[0].endswith(job)


def test_a_pipe_gets_a_header_and_one_line_for_each_job_with_every_column(shell: Shell, job: str) -> None:
    header, line = shell("jobs").out.splitlines()
    assert header.split("\t") == ["job", "state", "reason", "kind", "dry run", "done", "submitted (UTC)", "account", "reference", "key"]
    record = dict(zip(header.split("\t"), line.split("\t"), strict=True))
    assert (record["job"], record["key"], record["reference"], record["reason"]) == (job, LONG_KEY, REFERENCE, "")
    assert "\x1b" not in line


def test_colours_are_for_terminals_alone(shell: Shell, job: str) -> None:
    shell.environment["FORCE_COLOR"] = "1"
    assert "\x1b" not in shell("jobs").out
    assert shell("jobs").out.count("\n") == 2


def test_an_empty_list_is_a_header_alone_in_a_pipe(shell: Shell) -> None:
    for command in (("jobs",), ("spend",), ("pool", "list"), ("dead-letters",), ("failover", "plan", "list")):
        assert shell(*command).out.count("\n") == 1, command


def test_a_job_in_a_pipe_is_one_table_of_records(shell: Shell, job: str) -> None:
    for command in (("status", job), ("explain", job)):
        header, *lines = [line.split("\t") for line in shell(*command).out.splitlines()]
        assert {len(line) for line in lines} == {len(header)}, command
    records = [dict(zip(COLUMNS, line.split("\t"), strict=True)) for line in shell("status", job).out.splitlines()[1:]]
    assert [(record["what"], record["name"], record["state"]) for record in records] == [("job", job, "queued"), ("advice", "", "")]
    assert f"key {LONG_KEY}" in records[0]["remark"]
    assert records[1]["remark"] == advice(JobState.QUEUED, None)


def test_a_job_with_a_result_in_a_pipe_has_a_record_for_each_number_and_for_its_error(
    valkey: EmbeddedValkey, namespace: str, job: str
) -> None:
    refused = JobError(code="not_found", message="the account doesn't own it")
    numbers = (
        NumberResult(number=NUMBERS[0], outcome=Outcome.CONFIRMED, route_after=(Destination.sip("backup@example.net"),)),
        NumberResult(number=NUMBERS[1], outcome=Outcome.NOT_FOUND, error=refused),
    )
    result = Result(numbers=numbers, totals=Totals(requested=2, done=1), error=refused)
    queued = Didflow.from_url(valkey.url, namespace).get(job)
    view = replace(queued, state=JobState.PARTIAL, result=result, error=refused)
    records = [dict(zip(COLUMNS, record, strict=True)) for record in job_records(view)]
    assert [(one["what"], one["name"], one["state"]) for one in records] == [
        ("job", job, "partial"),
        ("number", NUMBERS[0], "confirmed"),
        ("number", NUMBERS[1], "not_found"),
        ("error", "not_found", ""),
        ("next", "", ""),
        ("advice", "", ""),
    ]
    assert (records[1]["route"], records[2]["remark"]) == ("sip:backup@example.net", refused.message)


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_history_breaks_no_word(shell: Shell, real_ledger: Ledger, job: str, columns: int) -> None:
    place = "sip:a-rather-long-name@of-a-host.of-a-customer.example.net"
    happened = Happened(what=Happening.ROUTED, record_id=987654321, route_before=("sip:old@example.net",), route_after=(place,))
    claim = claimed(real_ledger, job)
    assert real_ledger.save(claim, 1, Write("told", history={NUMBERS[0]: happened})) == Saved()
    shown = shell("history", NUMBERS[0], columns=columns).out
    for whole in (job, REFERENCE, "987654321;", place, "routed"):
        assert re.search(rf"(^|\s){re.escape(whole)}(;|\s|$)", shown, re.MULTILINE), (whole, shown)


@pytest.mark.parametrize("columns", WIDTHS)
def test_dead_letters_break_no_word(shell: Shell, columns: int) -> None:
    event = "order-of-a-customer-with-a-rather-long-name-4712"
    assert shell("requests", "send", "didflow.request.v1", "--id", event, "--data", '{"request":{"kind":"nonsense"}}').code == 0
    assert shell("requests", "consume", "--until-idle").code == 1
    shown = shell("dead-letters", columns=columns).out
    name = re.search(r"request-[\d-]+", shell("dead-letters").out)
    assert name is not None
    for whole in (name[0], event, "didflow.request.v1", "invalid_request"):
        assert re.search(rf"(^|\s){re.escape(whole)}(\s|$)", shown, re.MULTILINE), (whole, shown)


def test_a_plan_a_return_and_a_cancel_in_a_pipe_are_records_alone(shell: Shell, real_ledger: Ledger, job: str) -> None:
    away = Reroute(numbers=NUMBERS, destinations=(Destination.sip("backup@example.net"),))
    Failover(Didflow(real_ledger.client, real_ledger.keys.namespace)).keep_plan("backup-2", away, "ops")
    claimed(real_ledger, job)  # A running job undoes its effects first.
    plan, listed = shell("failover", "plan", "show", "backup-2"), shell("failover", "plan", "list")
    back, stopped = shell("churn", "returned", "nobody", "--no-wait"), shell("cancel", job)
    assert records(plan.out) == records(listed.out)
    assert records(back.out) == [{"reference": "nobody", "what": "outcome", "value": "nothing"}]
    assert {(row["what"], row["name"]) for row in records(stopped.out)} >= {("job", job)}
    assert "wound up" in stopped.err


def records(out: str) -> list[dict[str, str]]:
    header, *lines = out.splitlines()
    return [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]


def test_dead_letters_in_a_pipe_are_one_table(shell: Shell) -> None:
    shell("requests", "send", "nonsense", "--id", "4712", "--data", "{}")
    shell("requests", "consume", "--until-idle")
    header, line = shell("dead-letters").out.splitlines()
    record = dict(zip(header.split("\t"), line.split("\t"), strict=True))
    assert (record["what"], record["concerns"], record["code"]) == ("business event", "4712", "unknown_event_type")
