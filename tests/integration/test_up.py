"""`didflow up` as a person runs it: what it prints, what works beside it, that it can be stopped, killed and started again, and emptied."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from rich.console import Console

from didflow import Didflow, SearchAndBuy
from didflow.contract.business_events import ORDER
from didflow.contract.errors import InvalidRequest, InvalidSettings, ServiceUnavailable
from didflow.ledger.address import address_file
from didflow.ledger.connection import connect
from didflow.ledger.ledger import Ledger
from didflow.ledger.provider_identity import claim_ledger
from didflow.settings import Settings
from producers.business_events import BusinessEvents
from tests.support.cluster import until
from tests.support.role_processes import BIN, started
from tests.support.shell import Shell
from worker.local.embedded_valkey import EmbeddedValkey
from worker.local.reset import reset
from worker.local.stack import LocalStack
from worker.local.up import described, exports, print_addresses
from worker.operate.beside_up import UpFile, beside_up
from worker.wavix.sandbox.options import SANDBOX_KEY

REAL_KEY = "k-secret-3f9a"


@contextmanager
def up(state: Path, log: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A running one, and what it printed with `--json`; ended with Ctrl-C if the test hasn't ended it.

    It is started in a folder of another project, whose packages have the names of ours.
    """
    for package in ("worker", "producers"):
        (elsewhere := state.parent / "another_project" / package).mkdir(parents=True, exist_ok=True)
        (elsewhere / "__init__.py").write_text("raise SystemExit('another project')\n")
    command = [str(BIN / "didflow"), "up", "--sandbox-port", "0", "--processes", "1", "--json", *arguments]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DIDFLOW_", "WAVIX_"))}
    with log.open("w") as err:
        child = subprocess.Popen(
            command,
            cwd=state.parent / "another_project",
            env=inherited | {"DIDFLOW_STATE_DIR": str(state)},
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
        )
    assert child.stdout is not None
    text = ""
    while line := child.stdout.readline():
        text += line
        if line == "}\n":
            break
    assert text, log.read_text()
    try:
        yield child, json.loads(text)
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
            child.wait(60)
        child.stdout.close()


def troubles(log: Path) -> list[str]:
    """What it warned of, but for a machine that is too busy."""
    return [line for line in log.read_text().splitlines() if re.search(r"\[(warning|error|critical) ", line) and "watchdog." not in line]


def buy(shell: Shell, key: str) -> str:
    bought = shell("buy", "--country", "DE", "--documents", "allow_inactive", "--key", key, "--wait", "--yes", "--json", "--timeout", "50")
    assert bought.code == 0, bought.err
    return str(bought.json["result"]["numbers"][0]["number"])


@pytest.mark.faults
@pytest.mark.timeout(300)
def test_all_works_beside_it_and_it_starts_again_silently_after_ctrl_c_and_after_a_kill_and_ends_if_its_valkey_does(
    tmp_path: Path,
) -> None:
    state, shell = tmp_path / "state", Shell(tmp_path, {"DIDFLOW_STATE_DIR": str(tmp_path / "state"), "COLUMNS": "200"})
    with up(state, tmp_path / "log-1") as (_, shown_now):
        assert shown_now["sandbox"] == {"base_url": shown_now["environment"]["WAVIX_BASE_URL"], "api_key": SANDBOX_KEY}
        number = buy(shell, "order-1")
        found = httpx.get(f"{shown_now['http']['base_url']}/v1/jobs", params={"key": "order-1"}, trust_env=False, timeout=60)
        assert [job["state"] for job in found.json()["jobs"]] == ["succeeded"]
        compared = shell("reconcile", "--json")
        assert (compared.code, compared.json["claimed"]) == (0, 1), compared.err
        (tmp_path / "passport.pdf").write_bytes(b"%PDF-1.4\ntrailer << /Root 1 0 R >>")
        handed_in = shell("documents", "upload", "--number", number, "--type", "id", "--file", "passport.pdf", "--json")
        assert [one["fate"] for one in handed_in.json] == ["handed_in"], handed_in.err
        assert "takes the key" in shell("doctor").out
        assert SANDBOX_KEY not in compared.out + compared.err + handed_in.out + handed_in.err
        (file,) = state.glob("up-*.json")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert not [one for one in Path("/proc").glob("[0-9]*/cmdline") if SANDBOX_KEY in _text(one)]
        # What it prints is enough for a system that knows nothing of this folder.
        elsewhere = Shell(tmp_path, {"DIDFLOW_STATE_DIR": str(tmp_path / "elsewhere")} | shown_now["environment"])
        assert "order-1" in elsewhere("jobs").out
        assert elsewhere("reconcile").code == 0
    assert not list(state.glob("up-*.json"))
    with up(state, tmp_path / "log-2") as (running, _):
        buy(shell, "order-2")
        refused = shell("up", "--reset", "--yes", "--sandbox-port", "0")
        assert (refused.code, "already running" in refused.err) == (5, True), "another one runs"
        running.kill()
        running.wait()
    # As on a terminal, and with its third way to end.
    with started([str(BIN / "didflow"), "up", "--sandbox-port", "0", "--processes", "1"], state) as shown:
        until(lambda: "export DIDFLOW_REDIS_URL" in (state / "output").read_text(), what="its addresses")
        buy(shell, "order-3")
        assert len(shell("jobs", "--json").json) >= 3, "nothing was lost"
        compared = shell("reconcile", "--json")
        assert (compared.code, compared.json["claimed"]) == (0, 3), "the sandbox still has what it sold"
        didflow = Didflow.from_url(address_file(state).read_text())
        BusinessEvents(didflow).send(ORDER, {"request": {"country": "US"}}, event_id="4711")
        until(lambda: didflow.find(idempotency_key="onboarding:4711"), what="the job of the event")
        for log in (tmp_path / "log-1", tmp_path / "log-2", state / "output"):
            assert not troubles(log)
            assert "gate." not in log.read_text()
        # The one that the killed process left behind, which isn't a child of this one.
        os.kill(connect(address_file(state).read_text()).info("server")["process_id"], signal.SIGKILL)
        until(lambda: shown.poll() is not None, what="the end of didflow up")
        assert shown.returncode == 1
    assert "the embedded Valkey ended by itself" in (state / "output").read_text()


def test_it_knows_that_its_valkey_has_died(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path) as server:
        assert server.pid is not None
        assert not server.died
        os.kill(server.pid, signal.SIGKILL)
        until(lambda: server.died)


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:  # It has ended.
        return ""


# What it prints


def settings_of(folder: Path, **more: Any) -> Settings:
    return Settings(_env_file=None, state_dir=folder, wavix_base_url="https://api.wavix.com", **more)


@pytest.mark.parametrize(
    ("url", "shown"),
    [("unix:///run/a.sock", True), ("redis://127.0.0.1:6379/0", True), ("redis://:hunter2@127.0.0.1:6379/0", False)],
)
def test_a_real_key_and_a_password_are_never_printed(tmp_path: Path, url: str, shown: bool, capsys: pytest.CaptureFixture[str]) -> None:
    settings = settings_of(tmp_path, redis_url=SecretStr(url), wavix_api_key=SecretStr(REAL_KEY))
    stack = LocalStack(redis_url=url, sandbox=None)
    print_addresses(Console(stderr=True, width=200), stack, settings)
    said = capsys.readouterr().err + json.dumps(described(stack, settings))
    assert REAL_KEY not in said
    assert "hunter2" not in said
    assert (f"export DIDFLOW_REDIS_URL={url}" in said) == shown
    assert exports(stack, settings).get("WAVIX_API_KEY") is None
    assert "default at https://api.wavix.com" in said


def test_its_lines_can_be_pasted_whatever_the_folder_is_called(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack = LocalStack(redis_url=f"unix://{tmp_path}/a%20[b]'$(c)/valkey.sock", sandbox_url="http://127.0.0.1:8788")
    print_addresses(Console(stderr=True, width=40), stack, settings_of(tmp_path))
    lines = "\n".join(line for line in capsys.readouterr().err.splitlines() if line.startswith("  export "))
    pasted = subprocess.run(["sh", "-c", lines + "\nenv"], env={}, capture_output=True, text=True, check=True).stdout.splitlines()
    assert {f"{name}={value}" for name, value in exports(stack, settings_of(tmp_path)).items()} <= set(pasted)
    assert len(exports(stack, settings_of(tmp_path))) == 4


# What other commands find


def test_commands_take_the_sandbox_of_an_up_that_lives_and_has_their_ledger(tmp_path: Path) -> None:
    url = "redis://127.0.0.1:1/0"
    mine = settings_of(tmp_path, redis_url=SecretStr(url))
    with UpFile(tmp_path, url, "didflow", "http://127.0.0.1:8788"):
        found = beside_up(mine).account("default")
        assert found is not None
        assert (found.base_url, found.api_key.get_secret_value()) == ("http://127.0.0.1:8788", SANDBOX_KEY)
        others = [
            settings_of(tmp_path, redis_url=SecretStr(url), namespace="other"),
            settings_of(tmp_path, redis_url=SecretStr("redis://127.0.0.1:2/0")),
            settings_of(tmp_path / "other", redis_url=SecretStr(url)),
            settings_of(tmp_path),
        ]
        assert not [one for one in others if beside_up(one).account("default")]
        with_key = settings_of(tmp_path, redis_url=SecretStr(url), wavix_api_key=SecretStr(REAL_KEY))
        assert beside_up(with_key) is with_key, "an account that is named is the one that is meant"
        with pytest.raises(ServiceUnavailable, match="another `didflow up`"), UpFile(tmp_path, url, "didflow", "http://127.0.0.1:1"):
            pass
    assert beside_up(mine).account("default") is None


def test_what_a_killed_one_left_is_not_believed(tmp_path: Path) -> None:
    url = "redis://127.0.0.1:1/0"
    with UpFile(tmp_path, url, "didflow", "http://127.0.0.1:8788"):
        (file,) = tmp_path.glob("up-*.json")
        left = file.read_text()
    file.write_text(left)
    assert beside_up(settings_of(tmp_path, redis_url=SecretStr(url))).account("default") is None


# --reset


def filled(folder: Path, provider: str | None, *, sandbox: bool) -> Path:
    """A ledger with a job, that belongs to that provider; where its data are."""
    with EmbeddedValkey(folder, sandbox=sandbox) as valkey:
        Didflow.from_url(valkey.url).submit(SearchAndBuy(country="US"))
        if provider is not None:
            client = connect(valkey.url)
            Ledger(client, "didflow").run(claim_ledger("default", provider))
            client.close()
        return valkey.folder / "appendonlydir"


def test_it_says_what_it_deletes_and_deletes_that(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, real = filled(tmp_path, "sandbox", sandbox=True), filled(tmp_path, "https://api.wavix.com", sandbox=False)
    reset(settings_of(tmp_path), sandbox=True, named=(), yes=True)
    said = re.sub(r"\s+", " ", capsys.readouterr().err)
    assert f"the ledger in {data.parent}: 1 jobs of namespace didflow, done at sandbox" in said
    assert not data.exists()
    assert real.exists(), "the other one's"
    reset(settings_of(tmp_path), sandbox=True, named=(), yes=False)  # There is nothing left, so nothing to ask about.


def test_without_a_terminal_it_needs_yes(tmp_path: Path) -> None:
    data = filled(tmp_path, "sandbox", sandbox=True)
    with pytest.raises(InvalidRequest, match="--yes"):
        reset(settings_of(tmp_path), sandbox=True, named=(), yes=False)
    assert data.exists()


@pytest.mark.parametrize("noted", ["https://api.wavix.com", None])
def test_a_real_provider_s_ledger_must_be_named(tmp_path: Path, noted: str | None) -> None:
    data = filled(tmp_path, noted, sandbox=False)
    settings = settings_of(tmp_path, wavix_api_key=SecretStr(REAL_KEY))
    for wrong in ((), ("https://api.example.net",)):
        with pytest.raises(InvalidSettings, match=r"--reset https://api\.wavix\.com"):
            reset(settings, sandbox=False, named=wrong, yes=True)
    with pytest.raises(InvalidSettings, match="begins with"):
        reset(settings, sandbox=False, named=("api.wavix.com",), yes=True)
    assert data.exists()
    reset(settings, sandbox=False, named=("https://API.wavix.com/",), yes=True)
    assert not data.exists()


def test_one_on_which_no_server_starts_can_be_emptied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = filled(tmp_path, "sandbox", sandbox=True)
    next(data.glob("*.manifest")).write_text("nothing")
    reset(settings_of(tmp_path), sandbox=True, named=(), yes=True)
    assert "can't be read" in re.sub(r"\s+", " ", capsys.readouterr().err)
    assert not data.exists()


def test_another_redis_is_not_emptied(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="DIDFLOW_REDIS_URL"):
        reset(settings_of(tmp_path, redis_url=SecretStr("redis://127.0.0.1:1/0")), sandbox=True, named=(), yes=True)


def test_one_that_is_running_is_not_emptied(tmp_path: Path) -> None:
    data = filled(tmp_path, "sandbox", sandbox=True)
    with EmbeddedValkey(tmp_path, sandbox=True), pytest.raises(ServiceUnavailable, match="already running"):
        reset(settings_of(tmp_path), sandbox=True, named=(), yes=True)
    assert data.exists()


# Parts that are left behind


@pytest.mark.faults
def test_a_sandbox_whose_up_was_killed_ends_by_itself(tmp_path: Path) -> None:
    starts = "from worker.local.stack import LocalStack; import threading\n"
    starts += "stack = LocalStack(processes=0, redis_url='unix:///unused', sandbox=('--port', '0')).start()\n"
    starts += "print(stack.children['sandbox'].pid, flush=True); threading.Event().wait()"
    with subprocess.Popen([sys.executable, "-c", starts], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    until(lambda: "sandbox" not in _text(Path(f"/proc/{pid}/cmdline")), what="the sandbox's end")
