"""redis-py's client for asyncio, in which the ledger's scripts go a short way."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import hiredis
import redis
import redis.asyncio

#: Pipelines under way at once. What is asked while all are, goes together with the next one.
PIPELINES = 4
#: Commands of one pipeline, about: a caller's commands are never split.
TOGETHER = 200


class AsyncScriptClient(redis.asyncio.Redis):
    """`evalsha` and `hgetall`, which is what a submit asks, go over connections that are kept for them, past the pool's locks and the
    metrics of each command. What several tasks ask at the same moment goes out as one pipeline. The server writes its append-only file
    before it replies, and once for all that it has read by then, so these share an fsync.

    After a lost connection all of a pipeline is sent again: every script may run twice.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._begin_in(None)

    def _begin_in(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop
        self._kept: deque[Any] = deque()  # Idle connections; redis-py's own methods have no types.
        self._asked: deque[tuple[Sequence[tuple[Any, ...]], asyncio.Future[list[Any]]]] = deque()
        self._senders: set[asyncio.Task[None]] = set()

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        return self.ask("EVALSHA", sha, numkeys, *keys_and_args)

    async def hgetall(self, name: Any) -> dict[str, str]:  # type: ignore[override]
        return await self.ask("HGETALL", name)  # type: ignore[no-any-return]

    async def ask(self, *command: Any) -> Any:
        """The reply. Raises redis-py's errors."""
        (reply,) = await self.ask_together([command])
        if isinstance(reply, redis.exceptions.ResponseError):
            raise reply
        return reply

    async def ask_together(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The replies to a pipeline, refusals among them. A caller that is cancelled stops nothing that was asked."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._begin_in(loop)
        replies: asyncio.Future[list[Any]] = loop.create_future()
        self._asked.append((commands, replies))
        if len(self._senders) < PIPELINES:
            sender = loop.create_task(self._send_asked(self._senders))
            self._senders.add(sender)
        return await replies

    async def _send_asked(self, senders: set[asyncio.Task[None]]) -> None:
        """Until nothing is asked any more. What is asked after that finds it among the `senders` no more: nobody would send it."""
        try:
            await self._send_until_empty()
        finally:
            senders.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _send_until_empty(self) -> None:
        while self._asked:
            some, count = [], 0
            while self._asked and count < TOGETHER:
                some.append(self._asked.popleft())
                count += len(some[-1][0])
            try:
                replies = iter(await self._exchange([one for commands, _ in some for one in commands]))
            except BaseException as error:
                for _, waiting in some:
                    if not waiting.done():
                        waiting.set_exception(error if isinstance(error, Exception) else redis.exceptions.ConnectionError("cancelled"))
                if not isinstance(error, Exception):
                    raise
                continue
            for commands, waiting in some:
                found = [next(replies) for _ in commands]
                if not waiting.done():
                    waiting.set_result(found)

    async def _exchange(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        pool: Any = self.connection_pool
        connection = self._kept.pop() if self._kept else await pool.get_connection()
        packed = b"".join(_packed(connection, one) for one in commands)
        whole = False

        async def ask() -> list[Any]:
            return await _asked(connection, packed, commands)

        try:
            replies: list[Any] = await connection.retry.call_with_retry(ask, lambda _: self._disconnect_all(connection))
            whole = not any(isinstance(one, redis.exceptions.ReadOnlyError) for one in replies)  # Another server may be behind the address.
        finally:
            # Whatever broke off in between: a reply that is still to come must not be taken for that of the next command.
            self._kept.append(connection)
            if not whole or connection.should_reconnect():
                await connection.disconnect(nowait=True)
        return replies

    async def _disconnect_all(self, broken: Any) -> None:
        """This one and the idle ones. If the server is gone, or is another one by now, each would keep a caller waiting for a time-out."""
        await broken.disconnect(nowait=True)
        for idle in list(self._kept):
            await idle.disconnect(nowait=True)
        await self.connection_pool.disconnect(inuse_connections=False)


def _packed(connection: Any, command: tuple[Any, ...]) -> bytes:
    try:
        packed: bytes = hiredis.pack_command(command)
    except (TypeError, UnicodeError):  # A lone surrogate, which redis-py replaces, or a value that isn't text. This is much slower.
        return b"".join(connection.pack_command(*command))
    return packed


async def _asked(connection: Any, packed: bytes, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """With one time limit for all of it. redis-py has one for each reply, and a task for each send."""
    if not connection.is_connected:
        await connection.connect()
    await connection.check_health()
    limit_s, connection.socket_timeout = connection.socket_timeout, None
    try:
        async with asyncio.timeout(limit_s):
            await connection.send_packed_command(packed, check_health=False)
            return [await _reply_to(command, connection) for command in commands]
    except TimeoutError:
        raise redis.exceptions.TimeoutError("no reply in time") from None
    finally:
        connection.socket_timeout = limit_s


async def _reply_to(command: tuple[Any, ...], connection: Any) -> Any:
    try:
        reply = await connection.read_response()
    except redis.exceptions.ResponseError as refusal:
        return refusal
    # RESP2 has no maps.
    return dict(zip(reply[::2], reply[1::2], strict=True)) if command[0] == "HGETALL" and isinstance(reply, list) else reply
