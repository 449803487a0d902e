"""The processes as a user starts them: the Procfile's roles with honcho. `didflow up`, which runs them all: `test_up.py`."""

import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from honcho.environ import parse_procfile

from didflow import Didflow
from didflow.contract.business_events import ORDER
from didflow.ledger.address import address_file
from producers.business_events import BusinessEvents
from tests.support.cli_commands import COMMANDS
from tests.support.cluster import until
from tests.support.role_processes import ROOT, bought, started
from worker.wavix.sandbox.options import SANDBOX_KEY


def test_every_line_of_the_procfile_is_a_role_that_exists() -> None:
    """What `make test` sees of it. Each role is started alone by its own tests, and all of them together by `didflow up`."""
    roles = parse_procfile((ROOT / "Procfile").read_text()).processes
    assert set(roles) == {"valkey", "sandbox", "worker", "requests", "http", "webhooks"}
    for role, line in roles.items():
        path, replaces, *command = shlex.split(line)
        assert (path, replaces) == ("PATH=$PWD/.venv/bin:$PATH", "exec"), role
        if command[0] == "didflow":
            assert tuple(command[1:]) in COMMANDS, role
        else:
            assert command[:2] == ["python", "-m"], role
            assert find_spec(command[2]), role


@pytest.mark.faults
@pytest.mark.long
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
