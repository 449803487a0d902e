"""The short way of a script to the server: each caller has the reply to what he asked, whatever broke off before."""

import errno
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis

from didflow.contract.errors import ServiceUnavailable
from didflow.ledger.connection import ScriptClient, connect, translated
from worker.local.embedded_valkey import EmbeddedValkey

ECHO = "return ARGV[1]"


class BreaksOff(redis.UnixDomainSocketConnection):
    """When the test asks for it, its next reply is waited for and never read, as by a thread that an exception hits just then."""

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


def test_an_unread_reply_is_not_taken_for_the_next_one(valkey: EmbeddedValkey, sha: str) -> None:
    path = valkey.url.removeprefix("unix://").partition("?")[0]
    client = ScriptClient(connection_pool=redis.ConnectionPool(connection_class=BreaksOff, path=path, decode_responses=True))
    assert echo(client, sha, "first") == "first"
    (connection,) = client._kept
    assert isinstance(connection, BreaksOff)
    connection.breaks_off = True
    with pytest.raises(KeyboardInterrupt):
        echo(client, sha, "second")
    assert echo(client, sha, "third") == "third"


def test_a_refusal_is_raised_to_its_caller_and_a_cut_connection_is_retried(valkey: EmbeddedValkey, sha: str) -> None:
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


class NotMade(redis.UnixDomainSocketConnection):
    """redis-py opens a file in the constructor, unless it gets its content."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise OSError(errno.EMFILE, "Too many open files")


@pytest.mark.parametrize("ask", [lambda client: client.ask("PING"), lambda client: client.ping()], ids=["short way", "redis-py's way"])
def test_a_connection_that_could_not_be_made_has_no_place_in_the_pool(
    valkey: EmbeddedValkey, ask: Callable[[ScriptClient], object]
) -> None:
    client = connect(valkey.url)
    pool = client.connection_pool
    pool.connection_class, real = NotMade, pool.connection_class
    for _ in range(pool.max_connections + 10):
        with pytest.raises(ServiceUnavailable), translated():
            ask(client)
    pool.connection_class = real
    assert ask(client)
    client.close()


def test_a_shortage_of_descriptors_ends_with_the_shortage(valkey: EmbeddedValkey) -> None:
    """In a process of its own, in which no descriptor is left for a while."""
    code = """
import resource, sys
from didflow.ledger.connection import connect, translated
from didflow.contract.errors import ServiceUnavailable
client = connect(sys.argv[1])
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
refused = 0
for ask in [lambda: client.ask("PING"), client.ping] * 3:
    try:
        with translated():
            ask()
    except ServiceUnavailable:
        refused += 1
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(refused, client.ask("PING"), client.ping())
"""
    ended = subprocess.run([sys.executable, "-c", code, valkey.url], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.split() == ["6", "PONG", "True"]


def test_a_pipeline_has_each_reply_in_its_place_refusals_too_and_is_sent_again_after_a_cut(valkey: EmbeddedValkey, sha: str) -> None:
    client = connect(valkey.url)
    commands = [("EVALSHA", known, 1, "key", place) for place, known in enumerate((sha, "0" * 40, sha))]
    for _ in range(2):
        first, second, third = client.ask_together(commands)
        assert (first, type(second), third) == ("0", redis.exceptions.NoScriptError, "2")
        connect(valkey.url).client_kill_filter(_type="normal", skipme=True)
    assert echo(client, sha, "next") == "next"


def test_the_writes_of_a_pipeline_are_on_disk_with_few_syncs(valkey: EmbeddedValkey) -> None:
    """The server syncs its append-only file once in each round of its event loop, before it replies."""
    client, together = connect(valkey.url), 50
    write = str(client.script_load("return redis.call('INCR', KEYS[1])"))
    assert client.config_get("appendfsync")["appendfsync"] == "always"

    def rounds() -> int:
        return int(client.info("stats")["eventloop_cycles"])

    began = rounds()
    assert client.ask_together([("EVALSHA", write, 1, "together")] * together) == list(range(1, together + 1))
    assert rounds() - began < together / 2
    began = rounds()
    for _ in range(together):
        client.evalsha(write, 1, "one by one")
    assert rounds() - began >= together
