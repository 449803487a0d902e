"""Clients follow the server: to another address of its host name, and to the one that Sentinels name after a failover."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from didflow.contract.errors import ServiceUnavailable
from didflow.contract.requests import SearchAndBuy
from didflow.ledger.connection import ScriptClient, connect, connect_async, translated
from didflow.ledger.ledger import Ledger
from didflow.ledger.script_calls import Submission
from didflow.settings import Settings
from didflow.urls import check_redis_url, sentinel_url, shown_redis_url
from tests.support.queue_workers import until
from worker.local.embedded_valkey import server_binaries
from worker.local.stack import LocalStack
from worker.local.up import exports

HOST = "ledger.example.net"
#: Of a test that waits for one. An answer of a machine that is busy comes within it.
TIMEOUT_S = 2.0


class Server:
    """A Valkey on TCP, or a Sentinel, that can be frozen."""

    def __init__(self, folder: Path, address: str, port: int, *arguments: str, config: str = "") -> None:
        folder.mkdir()
        (folder / "conf").write_text(f'bind {address}\nport {port}\ndir {folder}\nsave ""\nprotected-mode no\n{config}')
        self.address, self.port = address, port
        command = [str(server_binaries()[0]), str(folder / "conf"), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.client: Any = redis.Redis(address, port, decode_responses=True)
        until(self._answers)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False

    def freeze(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def end(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()


def free_port(address: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


@contextmanager
def two_servers(folder: Path, other: str) -> Iterator[tuple[Server, Server]]:
    """Each knows who it is."""
    port = free_port()
    servers = [Server(folder / "one", "127.0.0.1", port)]
    try:
        servers.append(Server(folder / "other", other, port if other != "127.0.0.1" else free_port()))
        for name, server in zip(("one", "other"), servers, strict=True):
            server.client.set("name", name)
        yield servers[0], servers[1]
    finally:
        for server in servers:
            server.end()


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What names resolve to; those that aren't in it as ever."""
    names, real = dict[str, str](), socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *args, **more: real(names.get(host, host), *args, **more))
    return names


def names(client: ScriptClient, count: int) -> list[object]:
    """Of the server that each of so many connections is connected to, which are taken one after another."""
    kept = [client._kept_connection() for _ in range(count)]
    client._kept.extend(kept)
    found = []
    for _ in range(count):
        found.append(client.ask("GET", "name"))
        client._kept.rotate(1)
    return found


def test_a_host_that_moves_to_another_address_is_followed_by_all_connections_at_once(tmp_path: Path, resolved: dict[str, str]) -> None:
    """The old server is silent, as a host that is gone. One call waits for it and no other does."""
    with two_servers(tmp_path, "127.0.0.2") as (one, _):
        resolved[HOST] = "127.0.0.1"
        client = connect(f"redis://{HOST}:{one.port}/0", timeout_s=TIMEOUT_S, retries=0)
        assert names(client, 5) == ["one"] * 5
        assert client.get("name") == "one"  # By a connection of redis-py's pool.
        one.freeze()
        resolved[HOST] = "127.0.0.2"
        with pytest.raises(ServiceUnavailable), translated():
            client.ask("GET", "name")
        assert names(client, 5) == ["other"] * 5
        assert client.get("name") == "other"
        client.close()


@contextmanager
def sentinel_of(folder: Path, server: Server, config: str = "") -> Iterator[Server]:
    monitor = f"sentinel monitor ours {server.address} {server.port} 1\nsentinel down-after-milliseconds ours 1000\n"
    sentinel = Server(folder / "sentinel", "127.0.0.1", free_port(), "--sentinel", config=monitor + config)
    try:
        yield sentinel
    finally:
        sentinel.end()


def moved(sentinel: Server, old: Server, new: Server) -> None:
    """As after a failover: the old server is a replica, which refuses to write."""
    sentinel.client.execute_command("SENTINEL REMOVE", "ours")
    sentinel.client.execute_command("SENTINEL MONITOR", "ours", new.address, new.port, 1)
    old.client.replicaof(new.address, new.port)


def test_the_address_that_sentinels_name_is_followed(tmp_path: Path) -> None:
    """One of the Sentinels isn't there."""
    with two_servers(tmp_path, "127.0.0.1") as (one, other), sentinel_of(tmp_path, one) as sentinel:
        client = connect(f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{sentinel.port}/ours/0", timeout_s=TIMEOUT_S)
        assert names(client, 3) == ["one"] * 3
        assert client.set("written", "before")
        moved(sentinel, one, other)
        assert client.ask("SET", "written", "after"), "the refusal of a replica is no answer"
        assert client.set("written", "after")
        assert other.client.get("written") == "after"
        assert names(client, 3) == ["other"] * 3
        client.close()


def test_the_asynchronous_client_follows_it_too(tmp_path: Path) -> None:
    async def asked(sentinel: Server, one: Server, other: Server) -> list[object]:
        client = connect_async(f"redis+sentinel://127.0.0.1:{sentinel.port}/ours/0")
        found: list[object] = [await client.get("name")]
        moved(sentinel, one, other)
        assert await client.set("written", "after")
        found.append(await client.get("name"))
        await client.aclose()
        return found

    with two_servers(tmp_path, "127.0.0.1") as (one, other), sentinel_of(tmp_path, one) as sentinel:
        assert asyncio.run(asked(sentinel, one, other)) == ["one", "other"]


@pytest.mark.long
def test_a_real_failover_is_followed(tmp_path: Path) -> None:
    """The primary goes silent, and the Sentinel makes the replica the primary."""
    with two_servers(tmp_path, "127.0.0.1") as (one, other), sentinel_of(tmp_path, one) as sentinel:
        other.client.replicaof(one.address, one.port)
        until(lambda: other.client.info("replication")["master_link_status"] == "up")
        until(lambda: sentinel.client.sentinel_master("ours")["num-slaves"] == 1)
        ledger = Ledger(connect(f"redis+sentinel://127.0.0.1:{sentinel.port}/ours", timeout_s=TIMEOUT_S), "ours")
        before = ledger.submit(Submission(SearchAndBuy(country="US")))
        until(lambda: other.client.exists(ledger.keys.job(before.id)) == 1)
        one.freeze()

        def again() -> bool:
            try:
                return bool(ledger.submit(Submission(SearchAndBuy(country="US"), idempotency_key="after")).id)
            except ServiceUnavailable:
                return False

        until(again)
        assert ledger.get(before.id).id == before.id
        ledger.client.close()


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://127.0.0.1:1",
        "redis+sentinel://127.0.0.1:1/",
        "redis+sentinel://127.0.0.1:1/a service",
        "redis+sentinel://127.0.0.1:1/ours/first",
        "redis+sentinel://127.0.0.1:0/ours",
        "redis+sentinel://127.0.0.1:1,,/ours",
        "redis+sentinel:///ours",
        "redis+sentinel://[::1/ours",
        "redis+sentinel://127.0.0.1:1/ours?no_such=1",
        "redis+sentinel://127.0.0.1:1/ours#0",
    ],
)
def test_a_url_by_which_no_sentinel_can_be_asked_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"^[a-z]"):
        check_redis_url(url)


def test_the_password_of_a_sentinels_url_is_used_and_not_shown() -> None:
    url = "redis+sentinel://ann:p%40ss@one:1,[::1]:2,three/ours/4?client_name=x&sentinel_password=hidden"
    found = sentinel_url(url)
    assert found is not None
    assert found.sentinels == (("one", 1), ("::1", 2), ("three", 26379))
    assert found.options == {"username": "ann", "password": "p@ss", "db": 4, "client_name": "x"}
    assert found.sentinel_options == {"password": "hidden"}
    assert "p@ss" not in repr(found)
    assert "hidden" not in repr(found)
    shown = shown_redis_url(url)
    assert shown == "redis+sentinel://ann:********@one:1,[::1]:2,three/ours/4?client_name=x&sentinel_password=********"


@pytest.mark.parametrize("hosts", ["[::1]:2,one", "one,[::1]:2", "one,[::1]:2,[::2]"])
def test_an_address_of_ipv6_may_stand_anywhere_among_the_sentinels(hosts: str) -> None:
    """Releases of Python since 2025 refuse it in `urlsplit` unless it is the first one."""
    url = f"redis+sentinel://{hosts}/ours"
    check_redis_url(url)
    assert shown_redis_url(url) == url
    assert exports(LocalStack(redis_url=url, sandbox=None), Settings.model_validate({}))["DIDFLOW_REDIS_URL"] == url
