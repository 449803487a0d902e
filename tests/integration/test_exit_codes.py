"""How commands end: each way in the table of exit codes, by the commands that can end so; and what needs --yes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from didflow import Didflow, Failback, Reroute, SearchAndBuy, Selector
from didflow.contract import errors
from didflow.contract.destinations import Destination
from didflow.contract.error_exit_codes import exit_code
from didflow.contract.exit_codes import MEANINGS, ExitCode
from didflow.contract.jobs import Job
from didflow.ledger.connection import connect
from didflow.terminal.confirmation import MANY_NUMBERS, Stake
from tests.support.shell import Shell
from worker.local.embedded_valkey import EmbeddedValkey

NUMBER = "+12135550100"
TO = ("--to", "sip:backup@example.net")
PBX = (Destination.sip("pbx@example.net"),)


@pytest.fixture
def shell(tmp_path: Path, valkey: EmbeddedValkey, namespace: str) -> Shell:
    return Shell(tmp_path, {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": namespace})


@pytest.fixture
def didflow(valkey: EmbeddedValkey, namespace: str) -> Didflow:
    return Didflow.from_url(valkey.url, namespace)


def cancelled(didflow: Didflow) -> Job:
    """A job that has ended without a worker."""
    job = didflow.submit(SearchAndBuy(country="US"))
    didflow.cancel(job.id)
    return job


def test_every_code_has_a_meaning_which_the_documentation_has() -> None:
    assert set(MEANINGS) == set(ExitCode)
    page = (Path(__file__).parents[2] / "docs/operations.md").read_text()
    assert [code for code, meaning in MEANINGS.items() if f"| {code.value} | {meaning} |" not in page] == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidRequest("x"), ExitCode.INPUT),
        (errors.JobNotFound("x"), ExitCode.INPUT),
        (errors.WrongJob("x"), ExitCode.INPUT),
        (errors.InvalidSettings("x"), ExitCode.INPUT),
        (errors.LoginRefused("x"), ExitCode.INPUT),
        (errors.WaitTimeout("x"), ExitCode.TIMEOUT),
        (errors.IdempotencyConflict("k", "j"), ExitCode.CONFLICT),
        (errors.AlreadyLeaving("r", "j", "grace"), ExitCode.CONFLICT),
        (errors.AlreadyDecided("+12135550100", "j"), ExitCode.CONFLICT),
        (errors.ServiceUnavailable("x"), ExitCode.UNREACHABLE),
        (errors.UnsafeRedis("x"), ExitCode.UNREACHABLE),
    ],
)
def test_each_error_has_its_code(error: errors.DidflowError, code: ExitCode) -> None:
    assert exit_code(error) is code


#: The commands that a job's id is enough for, on a job that was cancelled, and on no job.
OF_A_JOB: dict[tuple[str, ...], int] = {
    ("status",): ExitCode.JOB,
    ("status", "--wait"): ExitCode.JOB,
    ("status", "--numbers"): ExitCode.DONE,
    ("explain",): ExitCode.DONE,
    ("cancel",): ExitCode.DONE,  # It is cancelled, as asked.
    ("retry",): ExitCode.NOTHING_DONE,
    ("resolve", "--not-bought", "--yes"): ExitCode.INPUT,
    ("failback",): ExitCode.INPUT,
}


@pytest.mark.parametrize("command", OF_A_JOB, ids=" ".join)
def test_commands_about_a_job_that_has_ended_and_about_none(shell: Shell, didflow: Didflow, command: tuple[str, ...]) -> None:
    name, *more = command
    assert shell(name, cancelled(didflow).id, *more).code == OF_A_JOB[command]
    assert shell(name, "nobody", *more).code == ExitCode.INPUT


SUBMITTED: dict[str, tuple[str, ...]] = {
    "buy": ("buy", "--country", "US", "--yes"),
    "reroute": ("reroute", "--number", NUMBER, *TO),
    "release": ("release", "--number", NUMBER, "--yes"),
    "failover": ("failover", "--number", NUMBER, *TO, "--no-check", "--no-wait"),
    "documents": ("documents", "follow", "--number", NUMBER),
}


@pytest.mark.parametrize("name", SUBMITTED)
def test_what_is_submitted_is_done_what_is_waited_for_times_out_and_another_request_is_a_conflict(shell: Shell, name: str) -> None:
    command = SUBMITTED[name]
    keyed = ("--incident", "INC-1") if name == "failover" else ("--key", "key-1")
    wait = ("--wait", "--timeout", "0.3")
    again = {"buy": "nothing is bought again", "reroute": "nothing is rerouted again", "release": "nothing is released again"}
    remark = again.get(name, "the same job")
    first = shell(*command, *keyed)
    assert (first.code, remark in first.err) == (ExitCode.DONE, False)
    repeated = shell(*command, *keyed)
    assert (repeated.code, remark in repeated.err) == (ExitCode.DONE, True), "the same once more"
    late = shell(*(word for word in command if word != "--no-wait"), *keyed, *wait)
    assert (late.code, "0.3 s" in late.err, remark in late.err) == (ExitCode.TIMEOUT, True, True), late.err
    other = {"buy": ("--quantity", "2"), "documents": ("--number", "+12135550101")}.get(name, ("--number", "+12135550101"))
    refused = shell(*command, *keyed, *other)
    assert (refused.code, "asked" in refused.err) == (ExitCode.CONFLICT, True), refused.err


@pytest.mark.parametrize(
    "command", [*SUBMITTED.values(), ("jobs",), ("status", "x"), ("cancel", "x"), ("pool", "list"), ("spend",)], ids=str
)
def test_without_redis_and_with_a_wrong_password(tmp_path: Path, command: tuple[str, ...], protected: EmbeddedValkey) -> None:
    assert Shell(tmp_path, {"DIDFLOW_REDIS_URL": "redis://127.0.0.1:1/0"})(*command).code == ExitCode.UNREACHABLE
    refused = Shell(tmp_path, {"DIDFLOW_REDIS_URL": protected.url.replace("redis://", "redis://:wrong-hunter2@")})(*command, "--json")
    assert (refused.code, refused.json["error"]["code"], refused.json["error"]["retryable"]) == (ExitCode.INPUT, "login_refused", False)
    assert "hunter2" not in refused.out + refused.err


@pytest.fixture(scope="module")
def protected() -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey(None) as server:
        client = connect(server.url)
        client.config_set("requirepass", "right")
        client.close()
        yield server


def test_where_nothing_is_changed_the_code_says_so(shell: Shell, didflow: Didflow) -> None:
    assert shell("pool", "return", "--number", NUMBER).code == ExitCode.NOTHING_DONE
    assert shell("churn", "returned", "nobody").code == ExitCode.NOTHING_DONE
    assert shell("retry", cancelled(didflow).id, "--json").json["state"] == "cancelled"


NEEDS_YES: dict[str, tuple[str, ...]] = {
    "buy": ("buy", "--country", "US"),
    "release": ("release", "--number", NUMBER),
    "churned": ("churn", "churned", "acme"),
    "csv": ("churn", "csv", "leavers.csv"),
    "reroute of nobody knows how many": ("reroute", "--all", *TO),
    "reroute of many": ("reroute", "--numbers-file", "many.txt", *TO),
    "drop": ("dead-letters", "--drop", "messages", "--drop", "x"),
    "replay of many": ("dead-letters", *(word for place in range(MANY_NUMBERS + 1) for word in ("--replay", str(place)))),
}


@pytest.mark.parametrize("name", NEEDS_YES)
def test_what_cannot_be_undone_or_changes_many_numbers_needs_yes(shell: Shell, didflow: Didflow, name: str) -> None:
    (shell.folder / "leavers.csv").write_text("reference,event\nacme,churned\n")
    (shell.folder / "many.txt").write_text("\n".join(f"+1213555{place:04}" for place in range(100, 201)))
    refused = shell(*NEEDS_YES[name])
    assert (refused.code, "give --yes" in refused.err) == (ExitCode.INPUT, True), refused.err
    assert didflow.find() == ()
    assert "give --yes" not in shell(*NEEDS_YES[name], "--yes").err


def test_a_failback_of_many_numbers_needs_yes_and_of_few_none(shell: Shell, didflow: Didflow) -> None:
    few = didflow.submit(Reroute(numbers=(NUMBER,), destinations=PBX), idempotency_key="failover:few")
    assert shell("failback", "few", "--no-wait").code == ExitCode.DONE
    assert [view.request for view in didflow.find(idempotency_key="failback:few")] == [Failback(job_id=few.id)]
    numbers = tuple(f"+1213555{place:04}" for place in range(100, 201))
    didflow.submit(Reroute(numbers=numbers, destinations=PBX), idempotency_key="failover:many")
    didflow.submit(Reroute(selector=Selector(all=True), destinations=PBX), idempotency_key="failover:all")
    for incident, why in (("many", "this changes 101 numbers, more than 100"), ("all", "isn't known yet how many")):
        refused = shell("failback", incident, "--no-wait")
        assert (refused.code, why in refused.err) == (ExitCode.INPUT, True), refused.err
        assert shell("failback", incident, "--no-wait", "--yes").code == ExitCode.DONE
        assert shell("failback", incident, "--no-wait").code == ExitCode.DONE, "it is under way already"


@pytest.mark.parametrize(
    ("stake", "needed"),
    [
        (Stake(), False),
        (Stake(numbers=MANY_NUMBERS), False),
        (Stake(numbers=MANY_NUMBERS + 1), True),
        (Stake(numbers=None), True),
        (Stake(irreversible=True, numbers=1), True),
    ],
)
def test_the_rule(stake: Stake, needed: bool) -> None:
    assert stake.needs_yes is needed


@pytest.mark.parametrize("command", [("failover", "--number", NUMBER, *TO), ("failover", "plan", "run", "evening")], ids=str)
def test_an_empty_incident_is_refused(shell: Shell, didflow: Didflow, command: tuple[str, ...]) -> None:
    for empty in ("", " "):
        refused = shell(*command, "--incident", empty, "--yes")
        assert (refused.code, "incident: is empty" in refused.err) == (ExitCode.INPUT, True)
    assert didflow.find() == ()


def test_a_failover_that_is_not_waited_for_to_its_end_says_for_how_long_it_was(shell: Shell) -> None:
    late = shell("failover", "--number", NUMBER, *TO, "--no-check", "--timeout", "1.2")
    assert (late.code, "is queued after 1.2 s" in late.err) == (ExitCode.TIMEOUT, True), late.err


@pytest.mark.parametrize("lines", ["", "nonsense\n", "reference,event\nacme,left\n"])
def test_a_list_of_leavers_prints_one_document(shell: Shell, lines: str) -> None:
    (shell.folder / "leavers.csv").write_text(lines)
    ended = shell("churn", "csv", "leavers.csv", "--yes", "--json")
    assert ended.json  # More than one document can't be read.
    assert ended.code == (ExitCode.JOB if "left" in lines else ExitCode.INPUT)
