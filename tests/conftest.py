"""What all tests stand on: one real Valkey for the session, a namespace and a sandbox for each test."""

import os
import socket
import uuid
from collections.abc import Iterator

import pytest

from tests.stage import Stage
from worker.ledger.connection import connect
from worker.ledger.ledger import Ledger
from worker.runtime.embedded import EmbeddedValkey
from worker.wavix.sandbox import Sandbox, SandboxOptions

#: Whatever a test forgets to set, nothing that it starts reaches beyond this machine.
os.environ["WAVIX_BASE_URL"] = "http://127.0.0.1:1"


@pytest.fixture(scope="session")
def valkey() -> Iterator[EmbeddedValkey]:
    """A real server, AOF on every write, as `didflow up` starts it."""
    with EmbeddedValkey(None) as server:
        yield server


@pytest.fixture
def free_port() -> int:
    """A TCP port on loopback that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def namespace() -> str:
    return f"test-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def real_ledger(valkey: EmbeddedValkey, namespace: str) -> Iterator[Ledger]:
    client = connect(valkey.url)
    yield Ledger(client, namespace)
    client.close()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxOptions(numbers_per_city=30)) as sandbox:
        yield sandbox


@pytest.fixture
def stage(real_ledger: Ledger, sandbox: Sandbox) -> Iterator[Stage]:
    """The real jobs on the real ledger, talking HTTP to a sandbox, run by hand in this thread."""
    stage = Stage(real_ledger, sandbox)
    yield stage
    stage.close()
