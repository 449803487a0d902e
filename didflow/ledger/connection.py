"""Connections to Redis or Valkey, and what their failures mean to a user."""

import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import redis
import redis.asyncio
from redis.backoff import ExponentialBackoff
from redis.connection import AbstractConnection, ConnectionInterface, ConnectionPool
from redis.driver_info import DriverInfo
from redis.retry import Retry

from didflow.contract.errors import InvalidSettings, LoginRefused, ServiceUnavailable, UnreadableRecord
from didflow.urls import check_redis_url

#: A script that takes longer than this is a server in trouble. Blocking reads wait less than this at a time.
SOCKET_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 2.0


#: First words of refusals that say something of the server, and nothing of what was asked. (BUSYGROUP is another word.)
_UNABLE = frozenset({"NOREPLICAS", "MISCONF", "BUSY", "CLUSTERDOWN", "MASTERDOWN"})


#: What a connection says of itself. Made once: redis-py would open a file for it at each connection.
_DRIVER = DriverInfo()


class CountedPool(ConnectionPool):
    """redis-py's pool, in which a connection that could not even be made has no place. There each one keeps a slot permanently, and after a
    hundred of them, in a short shortage of file descriptors, the pool has "too many connections" until the process ends."""

    def make_connection(self) -> ConnectionInterface:
        before = self._created_connections
        try:
            return super().make_connection()
        except BaseException:
            self._created_connections = before  # The caller holds the pool's lock.
            raise


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
        self.asked_s[threading.get_native_id()] = time.monotonic()
        connection: Any = self._kept_connection()  # redis-py's own methods have no types.
        whole = False

        def ask() -> Any:
            connection.send_command(*command)
            return connection.read_response()

        try:
            reply = connection.retry.call_with_retry(ask, lambda _: connection.disconnect())
            whole = True
        except redis.exceptions.ResponseError as error:
            whole = not isinstance(error, redis.exceptions.ReadOnlyError)  # Another server may be behind the address by now.
            raise
        finally:
            # Whatever broke off in between: a reply that is still to come must not be taken for that of the next command.
            if not whole or connection.should_reconnect():
                connection.disconnect()
            self._kept.append(connection)
        return reply

    def _kept_connection(self) -> AbstractConnection:
        try:
            connection = self._kept.pop()
        except IndexError:
            return self.connection_pool.get_connection()
        if connection.pid == os.getpid():
            return connection
        self._kept.clear()  # Forked since: they are the parent's.
        return self.connection_pool.get_connection()


def connect(
    url: str, *, timeout_s: float = SOCKET_TIMEOUT_S, connect_timeout_s: float = CONNECT_TIMEOUT_S, retries: int = 2
) -> ScriptClient:
    """A client for the ledger's scripts. It sends again after a lost connection: every script may run twice. Raises InvalidSettings."""
    pool = CountedPool.from_url(
        _readable(url),
        decode_responses=True,
        encoding_errors="replace",
        socket_timeout=timeout_s,
        socket_connect_timeout=connect_timeout_s,
        health_check_interval=15,
        retry=Retry(ExponentialBackoff(cap=0.4, base=0.05), retries),
        driver_info=_DRIVER,
    )
    return cast("ScriptClient", ScriptClient.from_pool(pool))


def connect_async(url: str, *, timeout_s: float = SOCKET_TIMEOUT_S) -> redis.asyncio.Redis:
    """The same for asyncio."""
    return redis.asyncio.Redis.from_url(
        _readable(url),
        decode_responses=True,
        encoding_errors="replace",
        socket_timeout=timeout_s,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        health_check_interval=15,
        retry=redis.asyncio.retry.Retry(ExponentialBackoff(cap=0.4, base=0.05), 2),
    )


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
