"""An embedded server that ended cleanly is no restart; every other end is one; a server whose owner was killed is taken over."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from didflow import SearchAndBuy
from didflow.contract.errors import ServiceUnavailable
from didflow.ledger.address import address_file
from didflow.ledger.connection import connect
from didflow.ledger.gate import Gate
from didflow.ledger.ledger import Ledger
from didflow.ledger.script_calls import Submission
from worker.local.clean_end import server_that_ended
from worker.local.embedded_valkey import EmbeddedValkey

NAMESPACE = "clean"


def server(folder: Path, *, sandbox: bool = False) -> EmbeddedValkey:
    return EmbeddedValkey(folder, namespace=NAMESPACE, sandbox=sandbox)


def used(running: EmbeddedValkey) -> str:
    """Submit a job, as something that writes; `open` or `closed`, as the account's gate is then."""
    client = connect(running.url)
    ledger = Ledger(client, NAMESPACE)
    ledger.submit(Submission(SearchAndBuy(country="US")))
    gate = Gate(ledger)
    gate.take_turn("default", "worker-1", turn_ms=1_000)  # Notices a restart.
    closed = gate.closed("default")
    client.close()
    return "closed" if closed else "open"


def run_id(url: str) -> str:
    return str(redis.Redis.from_url(url, decode_responses=True).info("server")["run_id"])


def test_after_a_clean_end_nothing_waits_however_often(tmp_path: Path) -> None:
    names = set()
    for _ in range(3):
        with server(tmp_path) as running:
            assert used(running) == "open"
            names.add(run_id(running.url))
    assert len(names) == 3


def test_a_server_that_was_killed_may_have_lost_something(tmp_path: Path) -> None:
    running = server(tmp_path).start()
    assert used(running) == "open"
    assert running.pid is not None
    os.kill(running.pid, signal.SIGKILL)
    while not running.died:
        pass
    running.stop()
    with server(tmp_path) as again:
        assert used(again) == "closed"


def test_a_restored_backup_is_a_restart_though_the_server_ended_cleanly(tmp_path: Path) -> None:
    folder, backup = tmp_path / "state", tmp_path / "backup"
    with server(folder) as running:
        assert used(running) == "open"
    shutil.copytree(folder, backup)
    with server(folder) as running:
        assert used(running) == "open"
    shutil.rmtree(folder)
    shutil.copytree(backup, folder)
    with server(folder) as running:
        assert used(running) == "closed"


def test_files_that_were_changed_after_the_end_are_no_clean_end(tmp_path: Path) -> None:
    with server(tmp_path) as running:
        assert used(running) == "open"
    log = next((tmp_path / "appendonlydir").glob("*.incr.aof"))
    text = log.read_bytes()
    log.write_bytes(text)
    with server(tmp_path) as running:
        assert used(running) == "closed"


def test_an_end_is_believed_once(tmp_path: Path) -> None:
    with server(tmp_path) as running:
        used(running)
    assert server_that_ended(tmp_path) is not None
    assert server_that_ended(tmp_path) is None


def test_a_ledger_that_was_last_written_on_another_server_is_none_that_goes_on(tmp_path: Path) -> None:
    with server(tmp_path) as running:
        used(running)
        client = connect(running.url)
        client.hset(f"{NAMESPACE}:epoch", "server", "another")  # No script has run since this server came.
        client.close()
    with server(tmp_path) as running:
        assert used(running) == "closed"


#: Starts the folder's server and waits to be killed.
OWNER = """
import sys, threading
from pathlib import Path
from worker.local.embedded_valkey import EmbeddedValkey
server = EmbeddedValkey(Path(sys.argv[1]), sandbox=sys.argv[2] == "sandbox", namespace="clean").start()
print(server.url, flush=True)
threading.Event().wait()
"""


def killed_owner(folder: Path, kind: str) -> str:
    """The URL of a server whose owner is dead, and which runs on."""
    with subprocess.Popen([sys.executable, "-c", OWNER, str(folder), kind], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        url = owner.stdout.readline().strip()
        with pytest.raises(ServiceUnavailable, match="already running"):
            server(folder).start()
        owner.kill()
    return url


def test_a_server_whose_owner_was_killed_is_taken_over_as_it_runs(tmp_path: Path) -> None:
    url = killed_owner(tmp_path, "real")
    before = run_id(url)
    taken = server(tmp_path).start()
    assert (taken.url, run_id(taken.url), taken.died) == (url, before, False)
    assert used(taken) == "open"
    with pytest.raises(ServiceUnavailable, match="already running"):
        server(tmp_path).start()
    taken.stop()
    assert taken.died
    assert not address_file(tmp_path).exists()
    with server(tmp_path) as again:
        assert used(again) == "open", "it was ended cleanly"


def test_one_of_the_other_kind_is_ended_first(tmp_path: Path) -> None:
    url = killed_owner(tmp_path, "sandbox")
    with server(tmp_path) as running:
        assert running.url != url
        assert used(running) == "open"
        with pytest.raises(redis.ConnectionError):
            run_id(url)
