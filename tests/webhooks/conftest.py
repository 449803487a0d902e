"""One webhook process for the tests of a module that share it."""

import uuid
from collections.abc import Iterator

import pytest

from didflow.ledger.connection import connect
from didflow.ledger.ledger import Ledger
from tests.support.webhook_process import delivering
from worker.local.embedded_valkey import EmbeddedValkey


@pytest.fixture(scope="module")
def delivered(valkey: EmbeddedValkey) -> Iterator[Ledger]:
    """A ledger whose webhooks are delivered."""
    client = connect(valkey.url)
    ledger = Ledger(client, f"webhooks-{uuid.uuid4().hex[:8]}")
    with delivering(ledger, valkey.url):
        yield ledger
    client.close()
