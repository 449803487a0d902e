"""The processes as a user starts them: the Procfile's roles with honcho, and `didflow up`."""

import os
import signal
import sys
from pathlib import Path

import pytest

from didflow import Didflow
from didflow.contract.business_events import ORDER
from didflow.ledger.address import address_file
from producers.business_events import BusinessEvents
from tests.support.cluster import until
from tests.support.role_processes import BIN, ROOT, bought, started
from worker.wavix.sandbox.options import SANDBOX_KEY


@pytest.mark.faults
def test_the_procfile_is_a_whole_didflow(tmp_path: Path, free_port: int) -> None:
    wavix = {"WAVIX_API_KEY": SANDBOX_KEY, "WAVIX_BASE_URL": f"http://127.0.0.1:{free_port}"}
    procfile = tmp_path / "Procfile"
    procfile.write_text(
        (ROOT / "Procfile")
        .read_text()
        .replace("didflow sandbox", f"didflow sandbox --port {free_port}")
        .replace("didflow serve", "didflow serve --port 0")
    )
    command = [sys.executable, "-m", "honcho", "-f", str(procfile), "-d", str(ROOT), "start"]
    with started(command, tmp_path, **wavix):
        assert bought(tmp_path) == "succeeded"
        didflow = Didflow.from_url(address_file(tmp_path).read_text())
        BusinessEvents(didflow).send(ORDER, {"request": {"country": "US"}}, event_id="4711")
        until(lambda: didflow.find(idempotency_key="onboarding:4711"), what="the job of the event")
        # It says so after it has acknowledged the event: later than the job is there.
        until(lambda: "requests.taken_in" in (tmp_path / "output").read_text(), what="what the events' consumer says")
    said = (tmp_path / "output").read_text()
    assert all(role in said for role in ("valkey", "sandbox", "worker", "requests.taken_in", "http listening on http://127.0.0.1:"))
    assert SANDBOX_KEY not in "".join(line for line in said.splitlines() if "sandbox listening" not in line)


@pytest.mark.faults
def test_up_runs_everything_and_ends_when_its_valkey_does(tmp_path: Path) -> None:
    with started([str(BIN / "didflow"), "up", "--sandbox-port", "0", "--processes", "1"], tmp_path) as up:
        assert bought(tmp_path) == "succeeded"
        didflow = Didflow.from_url(address_file(tmp_path).read_text())
        BusinessEvents(didflow).send(ORDER, {"request": {"country": "US"}}, event_id="4711")
        until(lambda: didflow.find(idempotency_key="onboarding:4711"), what="the job of the event")
        server = next(child for child in children(up.pid) if "valkey" in child.read_text())
        os.kill(int(server.parent.name), signal.SIGKILL)
        until(lambda: up.poll() is not None, within_s=60, what="the end of didflow up")
        assert up.returncode == 1
    assert "the embedded Valkey ended by itself" in (tmp_path / "output").read_text()


def children(pid: int) -> list[Path]:
    """The command lines of a process's children, as files."""
    ids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [Path(f"/proc/{child}/cmdline") for child in ids]
