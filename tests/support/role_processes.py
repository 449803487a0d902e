"""The installed commands as processes, and a purchase through whatever they start."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from didflow import Didflow, SearchAndBuy
from didflow.ledger.address import address_file
from tests.support.cluster import until

ROOT = Path(__file__).parents[2]


BIN = Path(sys.executable).parent


@contextmanager
def started(command: list[str], state: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command in the project's folder, in a group of its own; ended with SIGTERM, and whatever is left of it with it.

    It has none of the settings of the tests' own environment.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DIDFLOW_", "WAVIX_"))}
    settings = {"DIDFLOW_STATE_DIR": str(state), "PATH": f"{BIN}:{os.environ['PATH']}"} | environment
    with (state / "output").open("wb") as output:
        child = subprocess.Popen(
            command, cwd=ROOT, env=inherited | settings, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield child
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait(30)


def bought(state: Path) -> str:
    """Buy a number through whatever runs on this state folder; the job's state."""
    until(address_file(state).exists, what="the embedded Valkey")
    didflow = Didflow.from_url(address_file(state).read_text())
    job = didflow.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",)), idempotency_key="order-1")
    return didflow.wait(job.id, 30).state.value
