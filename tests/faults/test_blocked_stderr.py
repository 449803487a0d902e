"""A log that nobody reads any more (a stopped terminal, a log shipper that hangs) stops neither work nor the end of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.requests import Reroute
from didflow.contract.states import JobState
from didflow.ledger.connection import connect
from didflow.ledger.ledger import Ledger
from didflow.ledger.script_calls import Submission
from tests.support.cluster import ENVIRONMENT, NAMESPACE, until
from worker.local.embedded_valkey import EmbeddedValkey
from worker.wavix.sandbox import Sandbox
from worker.wavix.sandbox.options import SANDBOX_KEY


@pytest.fixture
def full_pipe() -> Iterator[int]:
    """The writing end of a pipe that is full and that nobody reads: a write to it never returns."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    yield writing
    os.close(writing)
    os.close(reading)


@pytest.mark.parametrize("module", ["worker.process.worker_process", "worker.process.supervisor"])
def test_a_worker_whose_log_is_blocked_works_and_ends(module: str, full_pipe: int, valkey: EmbeddedValkey, sandbox: Sandbox) -> None:
    environment = ENVIRONMENT | {"DIDFLOW_NAMESPACE": f"{NAMESPACE}-{full_pipe}-{module[-4:]}", "DIDFLOW_REDIS_URL": valkey.url}
    environment |= {"WAVIX_API_KEY": SANDBOX_KEY, "WAVIX_BASE_URL": sandbox.url, "DIDFLOW_PROCESSES": "1"}
    ledger = Ledger(connect(valkey.url), environment["DIDFLOW_NAMESPACE"])
    (number,) = sandbox.order("seed_owned", count=1)
    worker = subprocess.Popen([sys.executable, "-m", module], env=os.environ | environment, stderr=full_pipe, stdout=full_pipe)
    try:
        until(ledger.workers, what="a worker")
        job = ledger.submit(Submission(Reroute(numbers=(f"+{number}",), destinations=(Destination.sip("pbx@example.net"),))))
        until(lambda: ledger.get(job.id).state is JobState.SUCCEEDED, what="the emergency reroute")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(15) == 0
        assert not ledger.workers(), "it signed off"
    finally:
        worker.kill()
        worker.wait()
        ledger.client.close()
