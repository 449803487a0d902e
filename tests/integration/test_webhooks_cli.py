"""`didflow webhooks`: from an endpoint to a delivery that the receiver took, in commands."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook
from typer.testing import CliRunner, Result

from didflow.contract.audit import AuditFilter
from didflow.contract.exit_codes import ExitCode
from didflow.ledger.audit import audit_page
from didflow.ledger.ledger import Ledger
from producers.cli.app import app
from tests.support.cluster import until
from tests.support.ledger_roles import submitted
from tests.support.role_processes import BIN, started
from tests.support.webhook_process import forked
from tests.support.webhook_receiver import Reply, receiving
from worker.local.embedded_valkey import EmbeddedValkey

Didflow = Callable[..., Result]


@pytest.fixture
def didflow(real_ledger: Ledger, valkey: EmbeddedValkey) -> Didflow:
    """Runs a command on this test's ledger."""

    def run(*words: str) -> Result:
        environment = {
            "DIDFLOW_REDIS_URL": valkey.url,
            "DIDFLOW_NAMESPACE": real_ledger.keys.namespace,
            "DIDFLOW_WEBHOOK_NETWORKS": "127.0.0.0/8",
            "COLUMNS": "200",
        }
        return CliRunner().invoke(app, ["webhooks", *words], env=environment, input="")

    return run


def read(ended: Result) -> Any:
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def test_a_secret_is_printed_once_and_everything_else_is_shown_without_it(didflow: Didflow) -> None:
    made = didflow("create", "shop", "http://127.0.0.1:9/hook", "--type", "didflow.job.*", "--reference-prefix", "shop-")
    secret = made.stdout.strip()
    assert secret.startswith("whsec_")
    rotated = read(didflow("rotate", "shop", "--json"))["secret"]
    assert rotated != secret
    shown = "".join(didflow(*words).output for words in (("list",), ("list", "--json"), ("show", "shop"), ("deliveries", "shop")))
    assert "whsec_" not in shown
    assert "didflow.job.*" in shown
    assert "references shop-…" in shown
    assert read(didflow("show", "shop", "--json"))["secrets"] == 2


def test_an_endpoint_is_shown_as_a_table_without_raw_values(didflow: Didflow, real_ledger: Ledger) -> None:
    didflow("create", "shop", "http://127.0.0.1:9/hook")
    endpoint_id = read(didflow("show", "shop", "--json"))["id"]
    real_ledger.client.hset(real_ledger.keys.webhook(endpoint_id), mapping={"count_delivered": 3, "count_given_up": 1})
    record = {"event_id": "job:1", "type": "t", "key": "job", "attempt": 1, "outcome": "retried", "failure": "name_not_found"}
    real_ledger.client.xadd(f"{real_ledger.keys.webhook(endpoint_id)}:log", {"record": json.dumps(record), "next_ms": ""})
    shown = didflow("show", "shop").stdout
    assert "{" not in shown
    lines = [line.split("\t") if "\t" in line else line.split() for line in shown.splitlines()]
    assert ["attempts", "delivered", "3"] in [" ".join(line).split() for line in lines]
    assert ["attempts", "given", "up", "1"] in [" ".join(line).split() for line in lines]
    assert read(didflow("show", "shop", "--json"))["attempts"]["delivered"] == 3
    assert "name_not_found" in (listed := didflow("deliveries", "shop").stdout)
    assert "the host's name has no address" in listed


def test_a_change_by_command_and_each_reason_is_in_the_audit(didflow: Didflow, real_ledger: Ledger) -> None:
    """What every command that changes an endpoint is for."""
    because = ("--reason", "the receiver moved")
    didflow("create", "shop", "http://127.0.0.1:9/hook", "--type", "didflow.job.*", "--account", "main", *because)
    found = read(didflow("update", "shop", "--url", "http://127.0.0.1:9/new", "--every-type", "--every-account", "--json", *because))
    assert (found["url"], found["types"], found.get("account")) == ("http://127.0.0.1:9/new", [], None)
    for words in (("rotate",), ("disable",), ("enable",), ("test", "--timeout", "0"), ("redeliver", "--since", "1h"), ("delete", "--yes")):
        assert didflow(words[0], "shop", *words[1:], *because).exit_code in (0, 3, 6)
    entries = real_ledger.perform(audit_page(real_ledger.commands, AuditFilter(), limit=20)).entries
    assert {one.reason for one in entries} == {"the receiver moved"}
    verbs = ["create", "update", "rotate", "disable", "enable", "test", "delete"]
    assert [one.what for one in reversed(entries)] == [f"webhooks {verb}" for verb in verbs]


@pytest.mark.parametrize("words", [(), ("--every-type", "--type", "didflow.job.*"), ("--account", "main", "--every-account")])
def test_a_change_of_nothing_or_of_both_is_refused(didflow: Didflow, words: tuple[str, ...]) -> None:
    didflow("create", "shop", "http://127.0.0.1:9/hook")
    assert didflow("update", "shop", *words).exit_code == ExitCode.INPUT


def test_a_test_says_what_the_receiver_answered(didflow: Didflow, real_ledger: Ledger, valkey: EmbeddedValkey, tmp_path: Path) -> None:
    with (
        receiving(lambda _, count: Reply(204 if count == 1 else 500, body=b"no")) as receiver,
        forked(real_ledger, valkey.url, tmp_path, lease_s=60.0, limit_s=15.0),
    ):
        secret = didflow("create", "shop", receiver.url).stdout.strip()
        first = read(didflow("test", "shop", "--json"))
        assert (first["outcome"], first["status"]) == ("delivered", 204)
        (got,) = receiver.got
        Webhook(secret).verify(got.body, dict(got.headers))
        second = didflow("test", "shop")
        assert second.exit_code == ExitCode.JOB
        assert "500" in second.stdout
        assert [one["status"] for one in read(didflow("deliveries", "shop", "--json"))] == [500, 204]


def test_a_test_without_a_process_stays_queued_and_says_what_to_do(didflow: Didflow) -> None:
    didflow("create", "shop", "http://127.0.0.1:9/hook")
    ended = didflow("test", "shop", "--timeout", "0")
    assert ended.exit_code == ExitCode.TIMEOUT
    assert "didflow webhooks run" in ended.output
    assert read(didflow("show", "shop", "--json"))["queued"] == 1


def test_states_are_changed_and_shown(didflow: Didflow) -> None:
    didflow("create", "shop", "http://127.0.0.1:9/hook")
    assert read(didflow("disable", "shop", "--json"))["state"] == "disabled"
    assert "disabled (person)" in didflow("list").stdout
    assert read(didflow("enable", "shop", "--json"))["state"] == "enabled"
    assert didflow("delete", "shop").exit_code == ExitCode.INPUT, "without a terminal it needs --yes"
    assert read(didflow("delete", "shop", "--yes", "--json")) == {"deleted": "shop"}
    assert read(didflow("list", "--json")) == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("create", "a b", "https://shop.example.net/"), ExitCode.INPUT, "name"),
        (("create", "shop", "https://10.0.0.1/"), ExitCode.INPUT, "url"),
        (("create", "shop", "https://shop.example.net/", "--type", "X"), ExitCode.INPUT, "types"),
        (("show", "none"), ExitCode.INPUT, "no webhook 'none'"),
        (("redeliver", "none", "a:1"), ExitCode.INPUT, "no webhook 'none'"),
        (("redeliver", "shop"), ExitCode.INPUT, "--since"),
        (("rotate", "shop", "--overlap", "soon"), ExitCode.INPUT, "overlap"),
    ],
)
def test_wrong_input_is_refused_with_what_is_wrong(didflow: Didflow, words: tuple[str, ...], code: ExitCode, said: str) -> None:
    ended = didflow(*words)
    assert ended.exit_code == code, ended.output
    assert said in ended.output


def test_nothing_kept_of_what_is_to_be_redelivered_is_exit_code_6(didflow: Didflow) -> None:
    didflow("create", "shop", "http://127.0.0.1:9/hook")
    assert didflow("redeliver", "shop", "--since", "1h").exit_code == ExitCode.NOTHING_DONE
    assert didflow("redeliver", "shop", "job:1").exit_code == ExitCode.NOTHING_DONE


def test_the_role_delivers_and_ends_with_0_on_sigterm(
    real_ledger: Ledger, valkey: EmbeddedValkey, didflow: Didflow, tmp_path: Path
) -> None:
    settings = {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": real_ledger.keys.namespace, "DIDFLOW_WEBHOOK_NETWORKS": "127.0.0.0/8"}
    with receiving() as receiver:
        secret = didflow("create", "shop", receiver.url).stdout.strip()
        with started([str(BIN / "didflow"), "webhooks", "run", "--json"], tmp_path, DIDFLOW_LOG_LEVEL="debug", **settings) as running:
            job = submitted(real_ledger).id
            (got,) = receiver.wait_for(lambda got: len(got) == 1)
            assert (got.event["subject"], got.event["type"]) == (job, "didflow.job.queued.v1")
            until(lambda: read(didflow("show", "shop", "--json"))["queued"] == 0, what="an empty queue")
            running.terminate()
            assert running.wait(30) == 0
        log = (tmp_path / "output").read_text()
        assert "webhooks.delivered" in log
        assert secret not in log
        assert receiver.url not in log


def test_a_filter_that_names_no_type_of_event_is_refused(didflow: Didflow) -> None:
    read(didflow("create", "shop", "http://127.0.0.1:9/hook", "--type", "didflow.number.*", "--json"))
    for words in (("create", "other", "http://127.0.0.1:9/hook"), ("update", "shop")):
        refused = didflow(*words, "--type", "didflow.jobs.*")
        assert refused.exit_code == ExitCode.INPUT
        assert "write didflow.job.*" in refused.output
    assert [(one["name"], one["types"]) for one in read(didflow("list", "--json"))] == [("shop", ["didflow.number.*"])]
