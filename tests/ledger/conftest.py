"""The same ledger tests on a real Valkey (AOF on every write) and on fakeredis."""

import fakeredis
import pytest

from didflow.ledger.connection import connect
from didflow.ledger.ledger import Ledger
from worker.local.embedded_valkey import EmbeddedValkey


@pytest.fixture(params=["valkey", "fakeredis"])
def ledger(request: pytest.FixtureRequest, namespace: str) -> Ledger:
    """An empty ledger in a namespace of its own."""
    if request.param == "fakeredis":
        return Ledger(fakeredis.FakeRedis(server=fakeredis.FakeServer(), decode_responses=True), namespace, shebang=False)
    server: EmbeddedValkey = request.getfixturevalue("valkey")
    return Ledger(connect(server.url), namespace)
