"""Shell completion: the words that a shell is offered, and none where the ledger can't be asked."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from didflow import Destination, Didflow, Reroute, SearchAndBuy
from didflow.terminal import completion, shells
from producers.failover import Failover
from tests.support.shell import Shell
from worker.local.embedded_valkey import EmbeddedValkey

TO = (Destination.sip("backup@example.net"),)
MOVE = Reroute(numbers=("+12135550100",), destinations=TO)


@pytest.fixture
def didflow(valkey: EmbeddedValkey, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Didflow:
    monkeypatch.setenv("DIDFLOW_REDIS_URL", valkey.url)
    monkeypatch.setenv("DIDFLOW_NAMESPACE", namespace)
    return Didflow.from_url(valkey.url, namespace)


def offered(shell: Shell, *words: str) -> list[str]:
    """What bash is offered for the last word."""
    shell.environment |= {"_DIDFLOW_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    end = shell()
    assert (end.code, end.err) == (0, "")
    return end.out.split()


def test_a_shell_is_offered_jobs_incidents_plans_countries_and_states(tmp_path: Path, didflow: Didflow) -> None:
    shell = Shell(tmp_path, {})
    shell.environment |= {name: value for name, value in os.environ.items() if name.startswith("DIDFLOW_")}
    job = didflow.submit(SearchAndBuy(country="US"), reference="acme")
    moved = Failover(didflow).move("INC-7", MOVE)
    Failover(didflow).keep_plan("trunk-144", MOVE, "me")
    assert offered(shell, "didflow", "status", job.id[:20]) == [job.id]
    assert offered(shell, "didflow", "jobs", "--state", "need") == ["needs_review"]
    assert [name for name, _ in completion.jobs("")] == [moved.id, job.id]
    assert [name for name, _ in completion.jobs_and_incidents("")] == ["INC-7", moved.id]
    assert completion.incidents("X") == []
    assert completion.plans("trunk") == [("trunk-144", "0 numbers")]
    assert ("DE", "Germany") in completion.countries("D")


def test_nothing_is_offered_where_redis_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("DIDFLOW_REDIS_URL", f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        assert completion.jobs("") == []
        silent.close()
        assert completion.plans("") == completion.incidents("") == []
    monkeypatch.delenv("DIDFLOW_REDIS_URL")
    monkeypatch.setenv("DIDFLOW_STATE_DIR", str(tmp_path))
    assert completion.jobs("") == []
    monkeypatch.setenv("DIDFLOW_REDIS_URL", "redis://:hunter2#x@127.0.0.1:6399/0")
    assert completion.jobs("") == []


#: What a list of commands has no use for. (Typer itself loads pydantic to complete one.)
HEAVY = {"redis", "httpx", "dramatiq", "structlog", "iso3166", "phonenumbers", "worker"}
LISTING = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
from producers.cli import main
sys.argv = ["didflow", *sys.argv[1:]]
main()
"""


def loaded_by(*words: str, **environment: str) -> set[str]:
    """The modules that `didflow` imports with these words."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DIDFLOW_")}
    command = [sys.executable, "-c", LISTING, *words]
    ran = subprocess.run(command, env=inherited | environment, capture_output=True, text=True, check=True)
    assert "failover" in ran.stdout
    return set(json.loads(ran.stderr))


@pytest.mark.parametrize(
    ("words", "environment", "most"),
    [
        ((), {"_DIDFLOW_COMPLETE": "complete_bash", "COMP_WORDS": "didflow ", "COMP_CWORD": "1"}, 300),
        ((), {"_DIDFLOW_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "didflow "}, 470),
        (("--help",), {}, 370),
    ],
    ids=["bash", "zsh", "help"],
)
def test_a_list_of_commands_loads_no_command(words: tuple[str, ...], environment: dict[str, str], most: int) -> None:
    modules = loaded_by(*words, **environment)
    assert {name.partition(".")[0] for name in modules} & HEAVY == set()
    assert {name for name in modules if name.startswith("producers.")} == {
        "producers.cli",
        "producers.cli.app",
        "producers.cli.commands",
        "producers.cli.processes",
    }
    assert len(modules) <= most


@pytest.mark.parametrize("shell", shells.Shell)
def test_each_shell_has_a_script(tmp_path: Path, shell: shells.Shell) -> None:
    end = Shell(tmp_path, {})("completion", shell)
    assert (end.code, f"_DIDFLOW_COMPLETE=complete_{shell}" in end.out) == (0, True)
