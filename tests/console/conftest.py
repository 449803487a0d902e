"""One server for the tests of a module, with a key for each role."""

import uuid
from collections.abc import Callable, Iterator

import pytest

from didflow.contract.api_keys import ApiScope
from didflow.ledger.connection import connect
from didflow.ledger.ledger import Ledger
from tests.support.console_desk import Desk, desk_of
from tests.support.console_visitor import Visitor, visiting
from tests.support.http_server import Api, api_of
from tests.support.inline_worker import InlineWorker
from worker.local.embedded_valkey import EmbeddedValkey

#: The scopes of each role.
ROLES = {
    "viewer": (ApiScope.READ,),
    "operator": (ApiScope.READ, ApiScope.OPERATE, ApiScope.REROUTE),
    "resolver": (ApiScope.READ, ApiScope.RESOLVE),
    "admin": (ApiScope.ADMIN,),
}

As = Callable[[str], Visitor]


@pytest.fixture(scope="module")
def api(valkey: EmbeddedValkey) -> Iterator[Api]:
    client = connect(valkey.url)
    with api_of(Ledger(client, f"console-{uuid.uuid4().hex[:8]}"), valkey.url) as api:
        yield api
    client.close()


@pytest.fixture(scope="module")
def secrets(api: Api) -> dict[str, str]:
    """The secret of each role's key."""
    return {role: api.key(role, *scopes) for role, scopes in ROLES.items()}


@pytest.fixture
def as_(api: Api, secrets: dict[str, str]) -> Iterator[As]:
    """A visitor who is logged in with a role's key."""
    open_ones = []

    def visitor(role: str) -> Visitor:
        opened = visiting(api.url, secrets[role])
        open_ones.append(opened)
        return opened.__enter__()

    yield visitor
    for one in open_ones:
        one.__exit__(None, None, None)


@pytest.fixture
def desk(inline: InlineWorker, valkey: EmbeddedValkey) -> Iterator[Desk]:
    with desk_of(inline, valkey.url) as desk:
        yield desk
