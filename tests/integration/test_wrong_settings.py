"""Wrong settings end each role once, with the exit code that no supervisor answers with a restart, and nothing secret on any stream."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from didflow.contract.exit_codes import ExitCode
from tests.support.shell import Shell
from worker.local.embedded_valkey import EmbeddedValkey

SECRET = "hunter2"
WRONG: dict[str, dict[str, str]] = {
    "a password with a hash": {"DIDFLOW_REDIS_URL": f"redis://:{SECRET}#x@127.0.0.1:6399/0"},
    "a port that is too high": {"DIDFLOW_REDIS_URL": f"redis://:{SECRET}@127.0.0.1:99999"},
    "a rate that is infinite": {"DIDFLOW_RATE_LIMIT": "inf"},
    "a key with a line break": {"WAVIX_API_KEY": f"{SECRET}\n"},
    "an address without a scheme": {"WAVIX_BASE_URL": SECRET},
}
COMMANDS = [("jobs",), ("settings",), ("settings", "--json"), ("doctor",), ("up",), ("requests", "consume"), ("spend",), ("reconcile",)]


@pytest.mark.parametrize("what", WRONG)
def test_every_command_ends_with_2_and_names_the_variable(tmp_path: Path, what: str) -> None:
    for command in COMMANDS:
        ended = Shell(tmp_path, WRONG[what])(*command)
        assert ended.code == 2, (command, ended)
        assert next(iter(WRONG[what])) in ended.out + ended.err
        assert SECRET not in ended.out + ended.err


ROLES = {"worker.process.supervisor": 2, "worker.process.worker_process": ExitCode.MISCONFIGURED, "worker.local.embedded_valkey": 2}


@pytest.mark.parametrize("module", ROLES)
@pytest.mark.parametrize("what", WRONG)
def test_every_role_ends_once(tmp_path: Path, module: str, what: str) -> None:
    ended = Shell(tmp_path, WRONG[what])(module=module)
    said = ended.out + ended.err
    assert ended.code == ROLES[module], said
    assert next(iter(WRONG[what])) in said
    assert SECRET not in said


@pytest.mark.parametrize("module", ["worker.process.supervisor", "worker.process.worker_process"])
def test_one_account_under_two_names_starts_no_worker(tmp_path: Path, valkey: EmbeddedValkey, module: str) -> None:
    (tmp_path / "accounts.toml").write_text(f"[reseller]\napi_key = '{SECRET}'\nbase_url = 'HTTP://127.0.0.1:1/'\n")
    accounts = {"WAVIX_API_KEY": SECRET, "WAVIX_BASE_URL": "http://127.0.0.1:1", "DIDFLOW_ACCOUNTS": str(tmp_path / "accounts.toml")}
    ended = Shell(tmp_path, {"DIDFLOW_REDIS_URL": valkey.url} | accounts)(module=module)
    said = ended.out + ended.err
    assert ended.code == ROLES[module], said
    assert "'default'" in said
    assert "'reseller'" in said
    assert SECRET not in said


def test_a_database_that_the_server_lacks_is_a_wrong_setting(tmp_path: Path, valkey: EmbeddedValkey) -> None:
    url = f"{valkey.url}?db=99"
    ended = Shell(tmp_path, {"DIDFLOW_REDIS_URL": url})("jobs")
    assert (ended.code, "DIDFLOW_REDIS_URL names a database" in ended.err) == (2, True)
    assert Shell(tmp_path, {"DIDFLOW_REDIS_URL": url})("doctor").code == 2
    worker = Shell(tmp_path, {"DIDFLOW_REDIS_URL": url, "WAVIX_API_KEY": "k"})(module="worker.process.worker_process")
    assert worker.code == ExitCode.MISCONFIGURED


def test_a_setting_that_is_no_utf_8_is_named(tmp_path: Path) -> None:
    environment = os.environb | {
        b"DIDFLOW_REDIS_URL": b"redis://:\xff" + SECRET.encode() + b"@h",
        b"PYTHONPATH": os.fsencode(Path(__file__).parents[2]),
    }
    for command in (["jobs"], ["settings"]):
        run = subprocess.run(
            [sys.executable, "-m", "producers.cli", *command], env=environment, cwd=tmp_path, capture_output=True, timeout=60, check=False
        )
        assert run.returncode == 2
        assert b"DIDFLOW_REDIS_URL" in run.stderr
        assert b"Traceback" not in run.stderr
        assert SECRET.encode() not in run.stdout + run.stderr
