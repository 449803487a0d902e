"""Connections to Redis or Valkey, and what their failures mean to a user."""

import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

import redis
import redis.asyncio
import redis.asyncio.sentinel
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.connection import AbstractConnection, ConnectionInterface, ConnectionPool
from redis.driver_info import DriverInfo
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedConnection

from didflow.contract.errors import InvalidSettings, LoginRefused, ServiceUnavailable, UnreadableRecord
from didflow.ledger.async_script_client import AsyncScriptClient
from didflow.urls import SentinelUrl, check_redis_url, sentinel_url

#: A script that takes longer than this is a server in trouble. Blocking reads wait less than this at a time.
SOCKET_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 2.0
#: Connections of one client for asyncio. When all are in use, a call waits this long for one: a burst of requests is no outage.
MOST_CONNECTIONS, FREE_CONNECTION_WITHIN_S = 100, 20.0
#: Time-outs of a Sentinel, which answers from memory.
SENTINEL_TIMEOUT_S = 1.0


#: First words of refusals that say something of the server, and nothing of what was asked. (BUSYGROUP is another word.)
_UNABLE = frozenset({"NOREPLICAS", "MISCONF", "BUSY", "CLUSTERDOWN", "MASTERDOWN"})


#: What a connection says of itself. Made once: redis-py would open a file for it at each connection.
_DRIVER = DriverInfo()


class _Counted(ConnectionPool):
    """redis-py's pool, in which a connection that could not even be made has no place. There each one keeps a slot permanently, and after a
    hundred of them, in a short shortage of file descriptors, the pool has "too many connections" until the process ends."""

    def make_connection(self) -> ConnectionInterface:
        before = self._created_connections
        try:
            return super().make_connection()
        except BaseException:
            self._created_connections = before  # The caller holds the pool's lock.
            raise


class CountedPool(_Counted):
    """Of a server at an address. A host's name is looked up again for each connection."""


class FollowingConnection(SentinelManagedConnection):
    """redis-py's asks the Sentinels only in `connect`; when it sends again after a lost connection, it connects to the old address."""

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        if not self.is_connected:
            self.connect()  # type: ignore[no-untyped-call]
        super().send_packed_command(command, check_health)  # type: ignore[no-untyped-call]


class AsyncFollowingConnection(redis.asyncio.sentinel.SentinelManagedConnection):
    """The same for asyncio."""

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        if not self.is_connected:
            await self.connect()  # type: ignore[no-untyped-call]
        await super().send_packed_command(command, check_health)


class CountedSentinelPool(_Counted, SentinelConnectionPool):
    """Of a server that Sentinels watch. They are asked for its address for each connection."""


class WaitingSentinelPool(redis.asyncio.BlockingConnectionPool, redis.asyncio.sentinel.SentinelConnectionPool):
    """The same for asyncio; and a caller waits while all its connections are in use."""


class ScriptClient(redis.Redis):
    """redis-py's client, on which `evalsha` and `ask` go a short way: over connections that are kept for them, past the pool's bookkeeping,
    its look at the socket and the metrics of each command, which took a fifth of the processor time that a job costs a worker."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._kept: deque[AbstractConnection] = deque()  #: idle connections; the one used last is taken first
        #: When each thread, by its native id, last asked (monotonic): one that computes and asks nothing is stuck.
        self.asked_s: dict[int, float] = {}

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        return self.ask("EVALSHA", sha, numkeys, *keys_and_args)

    def ask(self, *command: Any) -> Any:
        """The reply as it comes. Sent again after a lost connection, as any other command of this client."""
        (reply,) = self.ask_together([command])
        if isinstance(reply, redis.exceptions.ResponseError):
            raise reply
        return reply

    def ask_together(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The replies to a pipeline, refusals among them. After a lost connection all of it is sent again.

        The server writes its append-only file before it replies, and once for all that it has read by then: these share an fsync.
        """
        self.asked_s[threading.get_native_id()] = time.monotonic()
        connection: Any = self._kept_connection()  # redis-py's own methods have no types.
        whole = False

        def ask() -> list[Any]:
            # In one piece: redis-py's own pipelines send some thousand bytes at a time, and the server would sync after each.
            connection.send_packed_command((b"".join(part for one in commands for part in connection.pack_command(*one)),))
            return [_reply_of(connection) for _ in commands]

        try:
            replies: list[Any] = connection.retry.call_with_retry(ask, lambda _: self._disconnect_all(connection))
            whole = not any(isinstance(one, redis.exceptions.ReadOnlyError) for one in replies)  # Another server may be behind the address.
        finally:
            # Whatever broke off in between: a reply that is still to come must not be taken for that of the next command.
            if not whole or connection.should_reconnect():
                connection.disconnect()
            self._kept.append(connection)
        return replies

    def _disconnect_all(self, broken: Any) -> None:
        """This one and the idle ones. If the server is gone, or is another one by now, each would keep a caller waiting for a time-out."""
        broken.disconnect()
        for _ in range(len(self._kept)):
            with suppress(IndexError):  # Another thread takes them, too.
                idle: Any = self._kept.pop()
                idle.disconnect()
                self._kept.appendleft(idle)
        self.connection_pool.disconnect(inuse_connections=False)

    def _kept_connection(self) -> AbstractConnection:
        try:
            connection = self._kept.pop()
        except IndexError:
            return self.connection_pool.get_connection()
        if connection.pid == os.getpid():
            return connection
        self._kept.clear()  # Forked since: they are the parent's.
        return self.connection_pool.get_connection()


def _reply_of(connection: Any) -> Any:
    try:
        return connection.read_response()
    except redis.exceptions.ResponseError as refusal:
        return refusal


def connect(
    url: str, *, timeout_s: float = SOCKET_TIMEOUT_S, connect_timeout_s: float = CONNECT_TIMEOUT_S, retries: int = 2
) -> ScriptClient:
    """A client for the ledger's scripts. It sends again after a lost connection: every script may run twice. Raises InvalidSettings."""
    options: dict[str, Any] = {
        "decode_responses": True,
        "encoding_errors": "replace",
        "socket_timeout": timeout_s,
        "socket_connect_timeout": connect_timeout_s,
        "health_check_interval": 15,
        "retry": Retry(ExponentialBackoff(cap=0.4, base=0.05), retries),
        "driver_info": _DRIVER,
    }
    if (found := sentinel_url(_readable(url))) is None:
        return cast("ScriptClient", ScriptClient.from_pool(CountedPool.from_url(url, **options)))
    sentinel = Sentinel(found.sentinels, sentinel_kwargs=_sentinel_options(found) | {"retry": Retry(NoBackoff(), 0)})  # type: ignore[no-untyped-call]
    pool = CountedSentinelPool(found.service, sentinel, connection_class=FollowingConnection, **found.options, **options)  # type: ignore[no-untyped-call]
    return cast("ScriptClient", ScriptClient.from_pool(pool))


def connect_async(url: str, *, timeout_s: float = SOCKET_TIMEOUT_S) -> redis.asyncio.Redis:
    """The same for asyncio."""
    options: dict[str, Any] = {
        "decode_responses": True,
        "encoding_errors": "replace",
        "socket_timeout": timeout_s,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "health_check_interval": 15,
        "retry": redis.asyncio.retry.Retry(ExponentialBackoff(cap=0.4, base=0.05), 2),
        "max_connections": MOST_CONNECTIONS,
        "timeout": FREE_CONNECTION_WITHIN_S,
    }
    if (found := sentinel_url(_readable(url))) is None:
        return AsyncScriptClient.from_pool(redis.asyncio.BlockingConnectionPool.from_url(url, **options))
    theirs = _sentinel_options(found) | {"retry": redis.asyncio.retry.Retry(NoBackoff(), 0)}
    sentinel = redis.asyncio.sentinel.Sentinel(found.sentinels, sentinel_kwargs=theirs)  # type: ignore[no-untyped-call]
    named: dict[str, Any] = {"service_name": found.service, "sentinel_manager": sentinel, "connection_class": AsyncFollowingConnection}
    return AsyncScriptClient.from_pool(WaitingSentinelPool(**(named | found.options | options)))


def _sentinel_options(found: SentinelUrl) -> dict[str, Any]:
    """How Sentinels are asked: one that doesn't answer is soon passed over for the next."""
    return {"socket_timeout": SENTINEL_TIMEOUT_S, "socket_connect_timeout": SENTINEL_TIMEOUT_S} | found.sentinel_options


def _readable(url: str) -> str:
    """Raises InvalidSettings where redis-py would raise an error that quotes the URL, or would connect to something else."""
    try:
        check_redis_url(url)
    except ValueError as error:
        raise InvalidSettings(f"the URL of Redis {error}") from None
    return url


@contextmanager
def translated() -> Iterator[None]:
    """Turn Redis's errors into ours, without the address (which may hold a password)."""
    try:
        yield
    except redis.exceptions.OutOfMemoryError:
        raise ServiceUnavailable(
            "Redis is out of memory and refuses new jobs: give it more memory; jobs that run are still written"
        ) from None
    except redis.exceptions.AuthenticationError:
        raise LoginRefused("Redis refuses the user or password in DIDFLOW_REDIS_URL: correct them") from None
    except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, redis.exceptions.ReadOnlyError, OSError) as error:
        raise ServiceUnavailable(
            f"Redis can't be reached or doesn't answer ({type(error).__name__}): check DIDFLOW_REDIS_URL and the server, then repeat"
            " the call; with the same idempotency key nothing happens twice"
        ) from None
    except redis.exceptions.ResponseError as error:
        if (word := str(error).partition(" ")[0]) == "NOPERM":
            raise LoginRefused("Redis doesn't let the user in DIDFLOW_REDIS_URL run a command: correct the user's ACL") from None
        if word in _UNABLE:
            raise ServiceUnavailable(
                f"Redis can't do it now ({word}): look at its log, then repeat the call; nothing happens twice"
            ) from None
        if str(error).startswith("DB index is out of range"):
            raise InvalidSettings("DIDFLOW_REDIS_URL names a database that this server doesn't have: write /0 behind the host") from None
        if not str(error).startswith("WRONGTYPE"):
            raise
        raise UnreadableRecord("a key of this job in Redis has another type than didflow writes: another program wrote to it") from None
