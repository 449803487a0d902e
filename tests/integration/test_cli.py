"""The command line as a person and a script meet it: what it prints, where, and how it ends."""

import json
import re
import socket
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest

from didflow.contract import errors
from didflow.ledger.commands import Entries
from didflow.ledger.observed_behaviour import Learned
from didflow.ledger.rate_limit import Breaker, report
from didflow.ledger.worker_settings import note_running, running_with
from didflow.terminal.output import clean, exit_code
from producers.cli.processes import ROLES
from tests.support.cluster import NAMESPACE, Cluster, cluster, until
from tests.support.cluster_shell import shell_of
from tests.support.inline_worker import settings_for
from tests.support.shell import Shell
from worker.wavix.sandbox.options import SANDBOX_KEY

OF_LOS_ANGELES = ("--country", "US", "--city", "LOS ANGELES, CA")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("plant"), processes=1) as running:
        yield running


@pytest.fixture
def didflow(running: Cluster, tmp_path: Path) -> Shell:
    return shell_of(running.stack, tmp_path)


@pytest.fixture
def offline(tmp_path: Path) -> Shell:
    return Shell(tmp_path, {"DIDFLOW_REDIS_URL": "redis://user:hunter2@127.0.0.1:1/0", "WAVIX_API_KEY": "k-secret-3f9a"})


def test_many_numbers_are_summed_up_and_listed_page_by_page_and_as_csv(tmp_path: Path) -> None:
    with cluster(tmp_path, processes=1, sandbox=("--numbers-per-city", "400"), DIDFLOW_RATE_LIMIT="1000") as many:
        assert len(many.sandbox.order("seed_owned", count=1_150)) == 1_150
        didflow = shell_of(many.stack, tmp_path)
        moved = didflow("reroute", "--all", "--to", "sip:b@example.net", "--wait", "--yes")
        assert moved.code == 0
        assert re.search(r"outcome\tconfirmed\t1150\t", moved.out)
        job = re.search(r"^job\t(\w+)", moved.out, re.MULTILINE)
        assert job is not None
        assert f"didflow status {job[1]} --numbers --page 1 (of 12)" in moved.out
        page = didflow("status", job[1], "--numbers", "--page", "12", "--json").json
        assert len(page) == 50
        assert {number["outcome"] for number in page} == {"confirmed"}
        assert len(set(re.findall(r"\+\d{11}", didflow("status", job[1], "--numbers").out))) == 100
        assert len(set(re.findall(r"\+\d{11}", didflow("status", job[1], "--numbers", "--all").out))) == 1_150
        written = didflow("status", job[1], "--csv", "numbers.csv")
        assert (written.code, written.err.strip()) == (0, "1150 numbers in numbers.csv")
        assert len((tmp_path / "numbers.csv").read_text().splitlines()) == 1_151
        assert len(didflow("status", job[1], "--csv", "-").out.splitlines()) == 1_151
        assert didflow("status", job[1], "--csv", "no/such/folder.csv").code == 2
        assert len(didflow("jobs", "--json").json) == 1, "batches aren't listed"


def test_a_purchase_is_explained_from_submit_to_result(didflow: Shell) -> None:
    bought = didflow("buy", "--yes", *OF_LOS_ANGELES, "--quantity", "2", "--key", "cli-1", "--to", "sip:pbx@example.net", "--wait")
    assert bought.code == 0
    numbers = re.findall(r"\+1\d{10}", bought.out)
    assert len(set(numbers)) == 2
    assert "succeeded" in bought.out
    assert re.search(r"charged \d+\.\d\d USD for 2 of 2 numbers", bought.out)
    again = didflow("buy", "--yes", *OF_LOS_ANGELES, "--quantity", "2", "--key", "cli-1", "--to", "sip:pbx@example.net", "--wait")
    assert (again.code, re.findall(r"\+1\d{10}", again.out)) == (0, numbers)
    other = didflow("buy", "--yes", *OF_LOS_ANGELES, "--quantity", "3", "--key", "cli-1")
    assert (other.code, "quantity: 3 asked, 2 there; destinations: none asked, sip:pbx@example.net there" in other.err) == (4, True)
    assert "idempotency_conflict" in other.err


def test_json_is_one_document_and_nothing_else(didflow: Shell) -> None:
    quote = didflow("buy", "--yes", *OF_LOS_ANGELES, "--dry-run", "--json")
    assert quote.code == 0
    assert quote.json["state"] == "succeeded"
    assert quote.json["result"]["quote"]["setup_usd"]
    job = didflow("buy", "--yes", *OF_LOS_ANGELES, "--key", "cli-2", "--reference", "customer-7", "--wait", "--json").json
    assert didflow("status", job["id"], "--json").json["id"] == job["id"]
    assert [one["id"] for one in didflow("jobs", "--reference", "customer-7", "--json").json] == [job["id"]]
    story = didflow("explain", job["id"], "--json").json
    assert {step["name"] for step in story["steps"]} >= {"submitted", "bind", "fence"}
    (checkout,) = (call for step in story["steps"] for call in step["calls"] if call["call"] == "checkout")
    assert (len(checkout["request"]), checkout["answer"]) == (8, "yes")
    assert [step["witness"] for step in story["steps"] if step["name"] == "settled"] == ["owned list shows all"]
    refused = didflow("buy", "--yes", "--country", "US", "--quantity", "0", "--json")
    assert refused.code == 2
    assert refused.json["error"]["code"] == "invalid_request"


def test_a_story_has_its_columns_on_a_narrow_terminal(didflow: Shell) -> None:
    job = didflow("buy", "--yes", *OF_LOS_ANGELES, "--key", "cli-narrow", "--wait", "--json").json
    for columns in (80, 160):
        shown_now = didflow("explain", job["id"], columns=columns).out.splitlines()
        assert [line for line in shown_now if len(line) > columns] == []
        heading = next(line for line in shown_now if "time (UTC)" in line)
        assert re.split(r"  +", heading.strip()) == ["time (UTC)", "att.", "step", "request", "answer", "what it showed"]
        line = next(line for line in shown_now if "checkout_yes" in line)
        assert line[heading.index("answer") :].split() == ["yes"]
        assert line[heading.index("request") :].split()[0] == "checkout"


def test_a_dry_run_changes_nothing(running: Cluster, didflow: Shell) -> None:
    before = (running.charged(), running.sandbox.state()["accounts"])
    numbers = list(before[1]["default"]["owned"])
    assert didflow("buy", "--yes", *OF_LOS_ANGELES, "--quantity", "5", "--dry-run").code == 0
    if numbers:
        assert didflow("reroute", "--all", "--to", "trunk:144", "--dry-run").code == 0
        assert didflow("release", "--number", f"+{numbers[0]}", "--dry-run").code == 0
    assert (running.charged(), running.sandbox.state()["accounts"]) == before


def test_a_round_of_operations(running: Cluster, didflow: Shell, tmp_path: Path) -> None:
    numbers = [f"+{number}" for number in running.sandbox.order("seed_owned", count=3, label="round")]
    (tmp_path / "numbers.txt").write_text("# three\n" + "\n".join(numbers) + "\n")
    moved = didflow("reroute", "--numbers-file", "numbers.txt", "--to", "sip:b@example.net", "--wait", "--json")
    assert moved.code == 0
    assert {number["outcome"] for number in moved.json["result"]["numbers"]} == {"confirmed"}
    assert didflow("failback", moved.json["id"], "--wait").code == 0
    unsure = didflow("release", "--label", "round", "--expected-count", "3", "--wait")
    assert unsure.code == 2
    assert "--yes" in unsure.err
    wrong = didflow("release", "--label", "round", "--expected-count", "2", "--yes", "--wait")
    assert wrong.code == 1
    assert "3" in wrong.out
    assert didflow("release", "--label", "round", "--expected-count", "3", "--yes", "--wait").code == 0
    assert not set(numbers) & {f"+{number}" for number in running.sandbox.owned()}


def test_numbers_come_through_a_pipe(running: Cluster, didflow: Shell) -> None:
    (number,) = running.sandbox.order("seed_owned", count=1)
    gone = didflow("release", "--numbers-file", "-", "--yes", "--wait", stdin=f"{number}\n")
    assert gone.code == 0
    assert "released" in gone.out


def test_a_job_that_ends_badly_ends_the_command_with_one(didflow: Shell) -> None:
    nothing = didflow("buy", "--yes", *OF_LOS_ANGELES, "--max-monthly", "0.01", "--wait")
    assert nothing.code == 1
    assert "failed" in nothing.out
    assert "refused" in nothing.out


def test_a_job_that_was_refused_says_how_many_were_asked_for(running: Cluster, didflow: Shell) -> None:
    refused = didflow("buy", "--yes", "--country", "Nowhere", "--quantity", "7", "--wait", "--json")
    assert refused.json["result"]["totals"]["requested"] == 7
    numbers = [f"+{number}" for number in running.sandbox.order("seed_owned", count=2)]
    stopped = didflow("reroute", *(word for number in numbers for word in ("--number", number)), "--to", "trunk:999", "--wait", "--json")
    assert stopped.json["error"]["code"] == "unknown_trunk"
    assert stopped.json["result"]["totals"]["requested"] == 2


def test_waiting_too_long_ends_with_three_and_the_job_goes_on(running: Cluster, didflow: Shell) -> None:
    late = didflow("buy", "--yes", *OF_LOS_ANGELES, "--not-before", "1h", "--wait", "--timeout", "0.2", "--json")
    assert late.code == 3
    assert late.json["error"]["code"] == "wait_timeout"
    (job,) = didflow("jobs", "--state", "scheduled", "--json").json
    assert didflow("cancel", job["id"]).code == 0
    assert running.ledger.get(job["id"]).state == "cancelled"


def test_every_fault_is_named_at_once(offline: Shell) -> None:
    bad = offline("buy", "--country", "", "--quantity", "1001", "--max-monthly", "-1", "--to", "trunk:x", "--not-before", "soon")
    assert bad.code == 2
    for where in ("country", "quantity", "max_monthly_usd", "to", "not_before"):
        assert f"  {where}: " in bad.err
    assert "nothing was changed" in bad.err


def test_a_file_that_cannot_be_read_hides_no_other_fault_and_makes_none(offline: Shell) -> None:
    bad = offline("reroute", "--numbers-file", "missing.txt", "--to", "trunk:x", "--deadline", "soon", "--number", "12")
    assert bad.code == 2
    found = [line.strip().partition(": ")[0] for line in bad.err.splitlines() if line.startswith("  ")]
    assert found == ["numbers_file", "numbers.0", "to", "deadline"]
    alone = offline("release", "--numbers-file", "missing.txt", "--yes")
    assert [line.strip() for line in alone.err.splitlines() if line.startswith("  ")] == [
        "numbers_file: missing.txt can't be read (FileNotFoundError)"
    ]


def test_what_a_pattern_may_hold_is_said_in_words(offline: Shell) -> None:
    bad = offline("buy", "--country", "US", "--pattern", "12[a-z]")
    assert "pattern: needs digits, with ? for any one digit and * for any number of digits, such as *777" in bad.err
    assert "\\d" not in bad.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("buy", "--country", "", "--priority", "10"),
        ("reroute", "--to", "sip:pbx@example.net", "--priority", "10"),
        ("failback", ""),
        ("release", "--number", "12", "--yes"),
    ],
)
def test_a_fault_of_the_request_hides_none_of_its_labels(offline: Shell, arguments: tuple[str, ...]) -> None:
    bad = offline(*arguments, "--key", "", "--reference", "k" * 201)
    assert bad.code == 2
    labels = ("idempotency_key", "reference", *(["priority"] if "--priority" in arguments else []))
    assert all(f"  {where}: " in bad.err for where in labels)
    assert bad.err.count("\n  ") == len(labels) + 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("reroute", "--to", "sip:pbx@example.net"),
        ("reroute", "--number", "+12135550100", "--number", "12135550100", "--to", "sip:pbx@example.net"),
        ("reroute", "--number", "12", "--to", "sip:pbx@example.net"),
        ("reroute", "--number", "+12135550100"),
        ("reroute", "--numbers-file", "missing.txt", "--to", "sip:pbx@example.net"),
        ("release", "--number", "12", "--yes"),
        ("buy", "--country", "US", "--at-least", "3", "--quantity", "2"),
        ("buy", "--country", "US", "--max-setup", "free"),
        ("jobs", "--state", "lost"),
        ("nonsense",),
    ],
)
def test_bad_input_ends_with_two_before_anything_is_asked(offline: Shell, arguments: tuple[str, ...]) -> None:
    ended = offline(*arguments)
    assert ended.code == 2
    assert ended.err.strip()


@pytest.mark.parametrize(
    "arguments", [("buy", "--country", "US", "--yes"), ("jobs",), ("spend",), ("status", "x"), ("results",), ("doctor",)]
)
def test_an_unreachable_redis_exits_with_five_and_its_password_is_not_printed(offline: Shell, arguments: tuple[str, ...]) -> None:
    ended = offline(*arguments)
    assert ended.code == 5
    assert "hunter2" not in ended.out + ended.err
    assert "DIDFLOW_REDIS_URL" in ended.out + ended.err


@pytest.mark.parametrize("role", ROLES)
def test_a_role_explains_itself_and_takes_no_unknown_word(offline: Shell, role: str) -> None:
    helped = offline(role, "--help")
    assert (helped.code, f"usage: didflow {role}" in helped.out.lower()) == (0, True)
    assert offline(role, "--nonsense").code == 2


def test_settings_are_listed_without_secrets(offline: Shell) -> None:
    listed = offline("settings")
    assert listed.code == 0
    assert "DIDFLOW_LEASE_SECONDS" in listed.out
    assert "WAVIX_API_KEY" in listed.out
    assert "hunter2" not in listed.out
    assert "k-secret" not in listed.out
    rows = {row["name"]: row for row in offline("settings", "--json").json}
    assert rows["WAVIX_API_KEY"] == rows["WAVIX_API_KEY"] | {"value": "********", "source": "environment"}
    assert rows["DIDFLOW_BATCH_SIZE"]["source"] == "default"


def test_a_wrong_setting_is_named_and_its_value_is_not(tmp_path: Path) -> None:
    ended = Shell(tmp_path, {"DIDFLOW_LEASE_SECONDS": "k-secret"})("jobs")
    assert ended.code == 2
    assert "DIDFLOW_LEASE_SECONDS" in ended.err
    assert "k-secret" not in ended.err


@pytest.mark.parametrize("what", ["requests", "events", "business-events"])
def test_schemas_are_json_schemas(offline: Shell, what: str) -> None:
    from jsonschema import Draft202012Validator

    schema = offline("schema", what).json
    Draft202012Validator.check_schema(schema)
    assert schema.get("discriminator") or schema["anyOf"]


def test_every_entry_of_both_streams_is_as_its_schema_says(running: Cluster, didflow: Shell) -> None:
    from jsonschema import Draft202012Validator

    running.sandbox.order("set_key_valid", valid=False)
    job = didflow("buy", "--yes", *OF_LOS_ANGELES, "--reference", "customer-8", "--json").json
    until(lambda: running.ledger.account_state("default").paused, what="the pause")
    running.sandbox.order("set_key_valid", valid=True)
    assert didflow("status", job["id"], "--wait").code == 0
    assert didflow("buy", "--yes", "--country", "Nowhere", "--wait").code == 1
    schema = Draft202012Validator(didflow("schema", "events").json)
    types = set()
    for key in (running.ledger.keys.results, running.ledger.keys.events):
        for _, fields in cast("Entries", running.ledger.client.xrange(key)):
            event = fields | {"data": json.loads(fields["data"])}
            assert [fault.message for fault in schema.iter_errors(event)] == [], event
            types.add(fields["type"])
    assert {"didflow.job.succeeded.v1", "didflow.account.paused.v1", "didflow.account.resumed.v1"} <= types


def test_a_reference_cannot_drive_the_terminal(didflow: Shell) -> None:
    refused = didflow("buy", "--yes", *OF_LOS_ANGELES, "--reference", "\x1b[2Jgone")
    assert refused.code == 2
    assert "\x1b" not in refused.err + refused.out
    assert clean("a\x1b[2J\x07b\u202e") == "a\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"


def test_results_are_read_once_by_a_group(didflow: Shell) -> None:
    job = didflow("buy", "--yes", *OF_LOS_ANGELES, "--wait", "--json").json
    first = [json.loads(line) for line in didflow("results", "--group", "cli", "--json").out.splitlines()]
    assert job["id"] in {event["subject"] for event in first}
    assert didflow("results", "--group", "cli", "--json").out == ""
    assert didflow("results", "--group", "cli").err == "nothing new for group cli\n"
    assert job["id"] in didflow("results").out


def test_results_say_that_there_are_none(running: Cluster, tmp_path: Path) -> None:
    empty = shell_of(running.stack, tmp_path, DIDFLOW_NAMESPACE="empty")
    assert empty("results").err == "no results yet: no job has ended\n"
    assert (empty("results", "--json").out, empty("results").code) == ("", 0)


def test_spending_is_shown_with_its_limits_and_the_jobs_that_hold_it(running: Cluster, tmp_path: Path) -> None:
    didflow = shell_of(running.stack, tmp_path)
    bought = didflow("buy", "--yes", *OF_LOS_ANGELES, "--quantity", "2", "--reference", "customer-1", "--wait", "--json").json
    usd = Decimal(bought["result"]["totals"]["charged_usd"])
    limits: dict[str, object] = {"spend_account_usd_per_day": "1.49", "spend_reference_numbers_per_hour": 50}
    other = running_with(settings_for(running.sandbox.url, NAMESPACE, **limits))
    running.ledger.worker_alive("other:1:a")
    running.ledger.perform(note_running(running.ledger.keys, "other:1:a", other))
    (of_reference,) = didflow("spend", "--reference", "customer-1", "--json").json
    assert of_reference["hour"] == of_reference["day"]
    assert (of_reference["day"]["numbers"], Decimal(of_reference["day"]["usd"])) == (2, usd)
    assert [limit["most"] for limit in of_reference["limits"]] == ["50"]
    account, *others = didflow("spend", "--json").json
    assert (account["scope"], account["name"]) == ("account", "default")
    charged = running.sandbox.charged_usd()
    assert Decimal(account["day"]["usd"]) == charged
    assert "customer-1" in {other["name"] for other in others}
    shown = didflow("spend").out
    assert f"{charged:.2f} of 1.49" in shown
    assert re.search(r"ref. customer-1\t2 of 50\t", shown)
    checks = {check["name"]: check for check in didflow("doctor", "--json").json}
    assert checks["spend default"]["verdict"] == "warn"
    assert f"{charged:.2f} USD of 1.49 USD per day: purchases wait" in checks["spend default"]["message"]
    running.ledger.worker_gone("other:1:a")


def test_a_job_that_waits_for_a_limit_says_for_which_and_until_when(tmp_path: Path) -> None:
    with cluster(tmp_path, processes=1, DIDFLOW_SPEND_ACCOUNT_NUMBERS_PER_HOUR="2") as limited:
        didflow = shell_of(limited.stack, tmp_path)
        assert didflow("buy", "--yes", *OF_LOS_ANGELES, "--quantity", "2", "--wait").code == 0
        job = didflow("buy", "--yes", *OF_LOS_ANGELES, "--json").json["id"]
        until(lambda: limited.ledger.get(job).reason == "spend_limit", what="a job that waits")
        story = didflow("explain", job)
        assert "waiting (spend_limit)" in story.out
        assert "account default may spend 2 numbers per hour: 2 numbers used, 1 number needed; enough is free at" in story.out
        assert "didflow spend" in story.out


def test_doctor_finds_all_well_and_says_what_is_not(running: Cluster, didflow: Shell) -> None:
    well = didflow("doctor")
    assert well.code == 0, well.out
    running.ledger.client.config_set("maxmemory-policy", "allkeys-lru")
    running.sandbox.order("set_key_valid", valid=False)
    try:
        ill = didflow("doctor", "--json")
        assert ill.code == 1
        bad = {check["name"]: check["message"] for check in ill.json if check["verdict"] == "fail"}
        assert "noeviction" in bad["eviction"]
        assert "refuses the key" in bad["account default"]
        assert SANDBOX_KEY not in ill.out
    finally:
        running.ledger.client.config_set("maxmemory-policy", "noeviction")
        running.sandbox.order("set_key_valid", valid=True)


def test_doctor_names_a_paused_account_that_this_shell_does_not_know(running: Cluster, didflow: Shell) -> None:
    running.ledger.pause_account("acme", 401, "unknown appid")
    try:
        verdict, message = shown_now(didflow)["account acme"]
        assert verdict == "fail"
        assert "the provider said 401 unknown appid: correct its key where its workers run, unless done already; this shell" in message
    finally:
        running.ledger.resume_account("acme")
    assert "account acme" not in shown_now(didflow)


def test_doctor_shows_how_several_ids_are_sent(running: Cluster, didflow: Shell) -> None:
    kept = running.ledger.keys.learned("default")
    running.ledger.client.delete(kept)  # Other tests of this module have released numbers.
    assert shown_now(didflow)["ids default"] == ("ok", "a release is sent as ids=1&ids=2 until it is learned what the server takes")
    running.ledger.client.hset(kept, "ids_form", Learned(value="single", seen_ms=running.ledger.now_ms()).model_dump_json())
    try:
        assert shown_now(didflow)["ids default"][1].startswith("a release is sent as one id a call: so it was learned on 20")
    finally:
        running.ledger.client.delete(kept)


def test_doctor_shows_each_account_s_request_rate_and_whether_it_is_paused(running: Cluster, didflow: Shell) -> None:
    well = shown_now(didflow)
    assert well["rate default"] == ("ok", "200 requests a second, of which emergencies keep 50%")
    assert well["breaker default"] == ("ok", "closed")
    breaker = Breaker(failures=1, first_s=600.0, last_s=600.0)
    try:
        running.ledger.run(report("default", 1, "limited", "Too many requests", breaker, pause_s=600.0, jitter=0.5))
        running.ledger.run(report("default", 2, "down", "ConnectTimeout", breaker, pause_s=0.0, jitter=0.5))
        ill = shown_now(didflow)
        assert ill["rate default"][0] == "warn"
        assert re.search(
            r"nothing is sent until .* 5\d% of 200 requests a second, .*: the provider said Too many requests", ill["rate default"][1]
        )
        assert ill["breaker default"][0] == "fail"
        assert re.search(r"open since .*, next probe after .*: ConnectTimeout", ill["breaker default"][1])
        assert ill["account default"][0] == "warn", "it keeps to the pause like everybody"
    finally:
        running.ledger.client.delete(running.ledger.keys.rate("default"))


def shown_now(didflow: Shell) -> dict[str, tuple[str, str]]:
    """The doctor's checks by name: verdict and message."""
    return {check["name"]: (check["verdict"], check["message"]) for check in didflow("doctor", "--json").json}


def test_every_error_has_its_exit_code() -> None:
    assert exit_code(errors.WaitTimeout("x")) == 3
    assert exit_code(errors.IdempotencyConflict("k", "j")) == 4
    assert exit_code(errors.ServiceUnavailable("x")) == 5
    assert {exit_code(error) for error in (errors.InvalidRequest("x"), errors.JobNotFound("x"), errors.WrongJob("x"))} == {2}


@pytest.mark.parametrize("command", ["jobs", "doctor", "worker"])
def test_an_address_without_a_scheme_is_named_and_not_shown(tmp_path: Path, command: str) -> None:
    ended = Shell(tmp_path, {"DIDFLOW_REDIS_URL": "k-secret@localhost:6379"})(command)
    assert ended.code in (1, 2)
    assert "DIDFLOW_REDIS_URL: begins with redis://" in ended.out + ended.err
    assert "k-secret" not in ended.out + ended.err


def test_a_port_that_is_taken_is_said_in_a_line(tmp_path: Path, free_port: int) -> None:
    with socket.create_server(("127.0.0.1", free_port)):
        ended = Shell(tmp_path, {})("sandbox", "--port", str(free_port))
    assert ended.code == 1
    assert ended.err.startswith(f"the sandbox can't listen on 127.0.0.1:{free_port} (")


def test_a_job_that_has_ended_is_too_late_to_cancel(didflow: Shell) -> None:
    job = didflow("buy", "--yes", *OF_LOS_ANGELES, "--dry-run", "--json").json
    late = didflow("cancel", job["id"])
    assert (late.code, "too late" in late.err) == (6, True)
    again = didflow("retry", job["id"])
    assert (again.code, "only a parked job can be retried" in again.err) == (6, True)
    assert "\tyes\t" in didflow("jobs").out
    assert "no such jobs" in didflow("jobs", "--reference", "nobody", columns=80).out
    assert didflow("results", "--follow").code == 2


def test_a_number_s_history_is_shown_and_an_edit_of_it_is_detected(running: Cluster, didflow: Shell) -> None:
    bought = didflow("buy", "--yes", *OF_LOS_ANGELES, "--to", "sip:pbx@example.net", "--wait", "--reference", "customer-9", "--json").json
    number = bought["result"]["numbers"][0]["number"]
    shown = didflow("history", number)
    assert shown.code == 0
    assert re.search(rf"^1\t.*\tbought\t{bought['id']}\tcustomer-9\trecord \d+; \S+ \+ \S+ USD a month", shown.out, re.MULTILINE)
    assert "-> sip:pbx@example.net" in shown.out
    shown_now = didflow("history", number, "--json").json
    assert [entry["happened"]["what"] for entry in shown_now["entries"]] == ["bought", "routed"]
    anchor = shown_now["anchor"]
    assert {line.count("\t") for line in shown.out.splitlines()} == {5}, "in a pipe all is one table"
    assert shown.out.splitlines()[-1].endswith(anchor)
    assert didflow("history", number, "--verify", "--anchor", anchor, "--json").json["anchors"] == {anchor: True}
    assert {"number": number, "anchor": anchor, "faults": []} in didflow("history", "--all", "--json").json
    running.ledger.client.rpop(running.ledger.keys.history_of(number))
    verdict = didflow("history", number, "--verify", "--anchor", anchor)
    assert (verdict.code, "broken" in verdict.out, "IS NOT IN THE CHAIN" in verdict.out) == (1, True, True)
    assert didflow("history", "--all").code == 1
    assert "no job ever had" in didflow("history", "+12135559999").err
    assert [didflow("history", *wrong).code for wrong in ((), ("12",), (number, "--anchor", "yesterday"), (number, "--all"))] == [2] * 4


def test_an_order_is_followed_by_its_name_and_handed_over(didflow: Shell) -> None:
    bought = didflow("buy", "--yes", *OF_LOS_ANGELES, "--key", "onboarding:4711", "--reference", "acme", "--wait", "--json").json
    assert didflow("onboarding", "status", "4711", "--wait", "--json").json["id"] == bought["id"]
    none = didflow("onboarding", "status", "4712")
    assert (none.code, "there is no order '4712'" in none.err) == (2, True)
    (line,) = didflow("onboarding", "fulfilments", "--group", "crm", "--json").out.splitlines()
    shown_now = json.loads(line)
    assert (shown_now["order"], shown_now["customer"], shown_now["state"], len(shown_now["active"])) == ("4711", "acme", "succeeded", 1)
    assert didflow("onboarding", "fulfilments", "--group", "crm").out == ""
    assert "4711\tacme\tsucceeded" in didflow("onboarding", "fulfilments", "--group", "mail").out


def test_a_customer_leaves_and_comes_back_from_the_shell(didflow: Shell, running: Cluster) -> None:
    didflow("buy", "--yes", *OF_LOS_ANGELES, "--reference", "leaver", "--to", "sip:pbx@example.net", "--wait")
    unasked = didflow("churn", "churned", "leaver", "--grace", "7d")
    assert (unasked.code, "--yes" in unasked.err) == (2, True)
    assert didflow("churn", "churned", "leaver", "--grace", "-1d", "--yes").code == 2
    job = didflow("churn", "churned", "leaver", "--grace", "7d", "--park", "sip:goodbye@example.net", "--yes", "--json").json
    until(lambda: didflow("status", job["id"], "--json").json.get("reason") == "grace", what="the grace period")
    back = didflow("churn", "returned", "leaver", "--json")
    assert (back.code, back.json["outcome"], back.json["called_off"]) == (0, "kept", [job["id"]])
    assert didflow("status", job["id"], "--json").json["state"] == "cancelled"
    (number,) = back.json["kept"]
    assert [one["destination"] for one in running.sandbox.owned()[number[1:]]["destinations"]] == ["pbx@example.net"]


def test_a_list_of_leavers_is_reported_line_by_line(didflow: Shell) -> None:
    didflow("buy", "--yes", *OF_LOS_ANGELES, "--reference", "listed", "--wait")
    (didflow.folder / "leavers.csv").write_text("reference,event,grace\nlisted,churned,7d\nlisted,churned,soon\nnobody,returned,\n")
    shown_now = didflow("churn", "csv", "leavers.csv", "--yes", "--json")
    assert shown_now.code == 1
    assert [(line["line"], line["outcome"]) for line in shown_now.json] == [(2, "submitted"), (3, "refused"), (4, "nothing")]
    assert "grace" in shown_now.json[1]["fault"]
    assert didflow("churn", "returned", "listed").code == 0
