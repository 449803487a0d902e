"""A client of the catalogue beside a worker that is run by the test."""

from collections.abc import Iterator

import pytest

from didflow.client.sync.client import Didflow
from didflow.ledger.connection import connect
from tests.support.inline_worker import InlineWorker
from worker.local.embedded_valkey import EmbeddedValkey


@pytest.fixture
def didflow(valkey: EmbeddedValkey, inline: InlineWorker) -> Iterator[Didflow]:
    client = connect(valkey.url)
    yield Didflow(client, inline.settings.namespace, actor="ann")
    client.close()
