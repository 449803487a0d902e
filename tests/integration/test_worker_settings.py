"""The limits that hold are the workers': they write them down, without keys; who differs is found, and so is a misspelt variable."""

from pathlib import Path
from typing import Any

import pytest

from didflow.ledger.ledger import Ledger
from didflow.ledger.worker_settings import note_running, running_with, running_workers
from didflow.settings import Settings
from tests.support.cluster import until
from tests.support.inline_shell import shell_of
from tests.support.inline_worker import InlineWorker, settings_for
from tests.support.shell import Shell
from worker.local.embedded_valkey import EmbeddedValkey
from worker.process.worker_process import WorkerProcess
from worker.wavix.sandbox.options import SANDBOX_KEY

SECRETS = ("key-of-default", "key-of-reseller", "hunter2")


@pytest.fixture
def shell(inline: InlineWorker, valkey: EmbeddedValkey, tmp_path: Path) -> Shell:
    return shell_of(inline, valkey.url, tmp_path)


def works(ledger: Ledger, worker: str, inline: InlineWorker, *unknown: str, **changes: object) -> None:
    """A worker that lives and runs with the test's settings, but for these changes."""
    ledger.worker_alive(worker)
    settings = settings_for(inline.sandbox.url, ledger.keys.namespace, **changes)
    ledger.perform(note_running(ledger.keys, worker, running_with(settings, unknown)))


def checks(shell: Shell) -> dict[str, tuple[str, str]]:
    return {one["name"]: (one["verdict"], one["message"]) for one in shell("doctor", "--json").json}


def account(shell: Shell, name: str) -> dict[str, Any]:
    return next(one for one in shell("spend", "--json").json if one["name"] == name)


def test_no_key_is_written_down(real_ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "accounts.toml").write_text("[reseller]\napi_key = 'key-of-reseller'\nspend_usd_per_day = 5\n")
    values: dict[str, Any] = {
        "WAVIX_API_KEY": "key-of-default",
        "redis_url": "redis://:hunter2@h/0",
        "accounts": tmp_path / "accounts.toml",
    }
    running = running_with(Settings(_env_file=None, **values))
    real_ledger.worker_alive("here:1:a")
    real_ledger.perform(note_running(real_ledger.keys, "here:1:a", running))
    kept = str(real_ledger.client.get(real_ledger.keys.running("here:1:a")))
    assert not [secret for secret in SECRETS if secret in kept]
    assert str(tmp_path) not in kept
    assert running_workers(real_ledger) == {"here:1:a": running}
    assert set(running.accounts) == {"default", "reseller"}
    assert running.settings["DIDFLOW_RATE_LIMIT"] == "10.0"


def test_a_worker_process_writes_down_what_it_runs_with(inline: InlineWorker, valkey: EmbeddedValkey, namespace: str, shell: Shell) -> None:
    settings = settings_for(inline.sandbox.url, namespace, redis_url=valkey.url, threads=1, rate_limit=7.0, spend_account_usd_per_day=3)
    process = WorkerProcess(settings)
    process.start()
    try:
        until(lambda: running_workers(inline.ledger), what="its settings")
        found = checks(shell)
        assert found["rate default"] == ("ok", "7 requests a second, of which emergencies keep 50%")
        assert "0.00 USD of 3.00 USD per day" in found["spend default"][1]
        assert found["worker_settings"][0] == "ok"
        assert "this shell has others:" in found["worker_settings"][1]
        assert "DIDFLOW_RATE_LIMIT" in found["worker_settings"][1]
        assert [limit["most"] for limit in account(shell, "default")["limits"]] == ["3"]
        assert SANDBOX_KEY not in str(found)
    finally:
        process.stop()


def test_workers_that_differ_are_a_finding_and_the_strictest_limit_is_shown(inline: InlineWorker, shell: Shell) -> None:
    works(inline.ledger, "one:1:a", inline, rate_limit=5.0, spend_account_usd_per_day=30, threads=4)
    works(inline.ledger, "two:2:b", inline, rate_limit=2.0, spend_account_usd_per_day=20, threads=8)
    works(inline.ledger, "two:3:c", inline, rate_limit=2.0, spend_account_usd_per_day=20, log_level="debug")
    found = checks(shell)
    verdict, message = found["worker_settings"]
    assert verdict == "warn"
    assert "DIDFLOW_RATE_LIMIT is 5.0 in one:1, 2.0 in two:2 and 1 more" in message
    assert "DIDFLOW_SPEND_ACCOUNT_USD_PER_DAY is 30 in one:1, 20 in two:2 and 1 more" in message
    assert "THREADS" not in message
    assert "LOG_LEVEL" not in message
    assert found["rate default"][1].startswith("2 requests a second")
    assert [limit["most"] for limit in account(shell, "default")["limits"]] == ["20"]
    assert "workers run with different limits" in shell("spend").err


def test_without_workers_the_limits_are_this_shell_s_and_it_says_so(shell: Shell) -> None:
    own = Shell(shell.folder, shell.environment | {"DIDFLOW_SPEND_ACCOUNT_USD_PER_DAY": "9"})
    assert [limit["most"] for limit in account(own, "default")["limits"]] == ["9"]
    assert "no worker runs: the limits are those of this shell" in own("spend").err
    assert checks(own)["worker_settings"] == ("ok", "no worker runs that has written its settings: limits below are those of this shell")


def test_an_account_that_one_worker_lacks_is_a_finding_and_shown(inline: InlineWorker, shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "more.toml").write_text(f"[reseller]\napi_key = 'x'\nbase_url = '{inline.sandbox.url}'\nspend_usd_per_day = 5\n")
    works(inline.ledger, "one:1:a", inline, accounts=tmp_path / "more.toml")
    works(inline.ledger, "two:2:b", inline)
    found = checks(shell)
    assert "account reseller, spend_usd_per_day is 5 in one:1, nothing in two:2" in found["worker_settings"][1]
    assert "5.00 USD per day" in found["spend reseller"][1]


def test_a_misspelt_variable_is_named_wherever_it_is(inline: InlineWorker, shell: Shell) -> None:
    works(inline.ledger, "one:1:a", inline, "DIDFLOW_RATELIMIT (is DIDFLOW_RATE_LIMIT meant?)")
    other = Shell(shell.folder, shell.environment | {"DIDFLOW_SPEND_USD_PER_DAY": "secret-word"})
    verdict, message = checks(other)["unknown_settings"]
    assert verdict == "warn"
    assert "DIDFLOW_RATELIMIT (is DIDFLOW_RATE_LIMIT meant?) in worker one:1" in message
    assert "DIDFLOW_SPEND_USD_PER_DAY" in message
    assert "in this shell" in message
    assert "secret-word" not in message
    listed = other("settings")
    assert "unknown setting, ignored: DIDFLOW_SPEND_USD_PER_DAY" in listed.err
    assert "secret-word" not in listed.out + listed.err
    for name in ("WAVIX_API_KEY", "DIDFLOW_ACCOUNTS"):
        other.environment.pop(name, None)
    started = other("worker", "--processes", "1")
    assert started.code == 2
    assert "supervisor.unknown_setting" in started.err
    assert "DIDFLOW_SPEND_USD_PER_DAY" in started.err


def test_what_cannot_be_read_is_left_out(real_ledger: Ledger) -> None:
    for worker, text in (("one:1:a", "{"), ("two:2:b", "[]"), ("three:3:c", '{"settings": {"x": 1}}')):
        real_ledger.worker_alive(worker)
        real_ledger.client.set(real_ledger.keys.running(worker), text)
    assert running_workers(real_ledger) == {}
