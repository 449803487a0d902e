"""One server for the tests of a module."""

import uuid
from collections.abc import Iterator

import pytest

from didflow.ledger.connection import connect
from didflow.ledger.ledger import Ledger
from tests.support.http_server import Api, api_of
from worker.local.embedded_valkey import EmbeddedValkey


@pytest.fixture(scope="module")
def api(valkey: EmbeddedValkey) -> Iterator[Api]:
    client = connect(valkey.url)
    with api_of(Ledger(client, f"http-{uuid.uuid4().hex[:8]}"), valkey.url) as api:
        yield api
    client.close()
