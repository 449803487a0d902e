"""The short way of a script to the server: each caller has the reply to what he asked, whatever broke off before."""

import threading
from typing import Any

import pytest
import redis

from worker.ledger.connection import ScriptClient, connect
from worker.runtime.embedded import EmbeddedValkey

ECHO = "return ARGV[1]"


class BreaksOff(redis.UnixDomainSocketConnection):
    """When it is told to, its next reply is waited for and never read, as by a thread that an exception hits just then."""

    breaks_off = False

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        if not self.breaks_off:
            return super().read_response(*args, **kwargs)
        self.breaks_off = False
        raise KeyboardInterrupt


def echo(client: redis.Redis, sha: str, said: str) -> object:
    return client.evalsha(sha, 1, "key", said)


@pytest.fixture
def sha(valkey: EmbeddedValkey) -> str:
    return str(connect(valkey.url).script_load(ECHO))


def test_a_reply_that_nobody_read_is_not_taken_for_the_next_one(valkey: EmbeddedValkey, sha: str) -> None:
    path = valkey.url.removeprefix("unix://").partition("?")[0]
    client = ScriptClient(connection_pool=redis.ConnectionPool(connection_class=BreaksOff, path=path, decode_responses=True))
    assert echo(client, sha, "first") == "first"
    (connection,) = client._kept
    assert isinstance(connection, BreaksOff)
    connection.breaks_off = True
    with pytest.raises(KeyboardInterrupt):
        echo(client, sha, "second")
    assert echo(client, sha, "third") == "third"


def test_a_refusal_is_the_callers_alone_and_a_cut_connection_nobodys(valkey: EmbeddedValkey, sha: str) -> None:
    client = connect(valkey.url)
    with pytest.raises(redis.exceptions.NoScriptError):
        echo(client, "0" * 40, "first")
    assert echo(client, sha, "second") == "second"
    connect(valkey.url).client_kill_filter(_type="normal", skipme=True)
    assert echo(client, sha, "third") == "third"


def test_many_threads_have_their_own_replies_over_no_more_connections_than_threads(valkey: EmbeddedValkey, sha: str) -> None:
    client, wrong = connect(valkey.url), list[object]()
    assert isinstance(client, ScriptClient)

    def ask(name: str) -> None:
        wrong.extend(reply for place in range(200) if (reply := echo(client, sha, f"{name}-{place}")) != f"{name}-{place}")

    threads = [threading.Thread(target=ask, args=(str(name),)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert 1 <= len(client._kept) <= 6


def test_a_process_that_was_forked_leaves_its_parents_connections_alone(valkey: EmbeddedValkey, sha: str) -> None:
    client = connect(valkey.url)
    assert isinstance(client, ScriptClient)
    echo(client, sha, "the parent's")
    (parents,) = client._kept
    parents.pid -= 1  # What a child sees.
    assert echo(client, sha, "the child's") == "the child's"
    (childs,) = client._kept
    assert childs is not parents
