"""`didflow audit`, `freeze` and `unfreeze` as a person uses them."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from didflow import Didflow, SearchAndBuy
from didflow.contract.attempt_write import Write
from didflow.contract.states import JobState, WaitReason
from didflow.ledger.ledger import Ledger
from didflow.settings import Settings
from producers.cli.app import app
from tests.support.ledger_roles import claimed, submitted
from worker.local.embedded_valkey import EmbeddedValkey
from worker.operate.doctor import examine

Shell = Callable[..., Any]


@pytest.fixture
def didflow(valkey: EmbeddedValkey, namespace: str) -> Shell:
    environment = {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": namespace, "DIDFLOW_ACTOR": "ann"}
    return lambda *words: CliRunner().invoke(app, [*words], env=environment)


def test_who_cancelled_what_and_why(real_ledger: Ledger, didflow: Shell) -> None:
    job = submitted(real_ledger).id
    assert didflow("cancel", job, "--reason", "ordered twice").exit_code == 0
    (entry,) = json.loads(didflow("audit", "--job", job, "--json").stdout)
    assert (entry["actor"], entry["what"], entry["reason"], entry["on"]["job"]) == ("ann", "cancel", "ordered twice", job)
    assert "ordered twice" in didflow("audit", "--since", "1h").stdout
    assert json.loads(didflow("audit", "--who", "bob", "--json").stdout) == []
    refused = didflow("audit", "--since", "someday", "--json")
    assert refused.exit_code == 2


def test_a_chain_that_was_changed_by_hand_is_exit_code_1_and_says_where(
    real_ledger: Ledger, didflow: Shell, namespace: str, tmp_path: Path
) -> None:
    api = Didflow(real_ledger.client, namespace, actor="ann")
    for _ in range(3):
        api.submit(SearchAndBuy(country="US"))
    whole = didflow("audit", "--verify")
    assert (whole.exit_code, "the chain of 3 entries is whole" in whole.stdout) == (0, True)
    anchor = json.loads(didflow("audit", "--verify", "--json").stdout)["anchor"]
    assert didflow("audit", "--verify", "--anchor", anchor).exit_code == 0
    assert didflow("audit", "--export", str(tmp_path / "audit.jsonl")).exit_code == 0
    lines = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert anchor == f"3:{hashlib.sha1(lines[-1].encode()).hexdigest()}"
    client: Any = real_ledger.client
    second = client.xrange(f"{namespace}:audit")[1][0]
    client.xdel(f"{namespace}:audit", second)
    broken = didflow("audit", "--verify")
    assert (broken.exit_code, "entry 3 is in its place" in broken.stdout) == (1, True)


def test_a_freeze_is_shown_where_people_look(real_ledger: Ledger, didflow: Shell, valkey: EmbeddedValkey, namespace: str) -> None:
    frozen = didflow("freeze", "--reason", "a wrong list")
    assert (frozen.exit_code, "frozen by ann" in frozen.stdout) == (0, True)
    claim = claimed(real_ledger, submitted(real_ledger).id)
    real_ledger.suspend(claim, JobState.WAITING, WaitReason.FROZEN, delay_ms=60_000, refund=True)
    shown = didflow("status", claim.job_id)
    assert "frozen by ann" in shown.output
    assert "a wrong list" in shown.output
    assert "`didflow unfreeze` lets the job continue" in didflow("explain", claim.job_id).output
    assert "frozen" in didflow("jobs").output
    settings = Settings(_env_file=None, redis_url=valkey.url, namespace=namespace)
    (check,) = [check for check in examine(settings) if check.name == "freeze"]
    assert (check.verdict, "a wrong list" in check.message) == ("warn", True)
    lifted = didflow("unfreeze", "--json")
    assert (lifted.exit_code, json.loads(lifted.stdout)["lifted"]["reason"]) == (0, "a wrong list")
    assert didflow("unfreeze").exit_code == 6


def test_a_freeze_that_waits_in_vain_is_exit_code_3_and_names_the_jobs(real_ledger: Ledger, didflow: Shell) -> None:
    claim = claimed(real_ledger, submitted(real_ledger).id)
    real_ledger.save(claim, 1, Write("fence", money=True))
    frozen = didflow("freeze", "--reason", "a wrong list", "--timeout", "0", "--json")
    assert (frozen.exit_code, json.loads(frozen.stdout)["under_way"]) == (3, [claim.job_id])
