"""The ledger for asyncio: performs commands. What only workers and operators read is in `didflow.ledger.client`."""

from typing import Any, TypeVar

import redis
import redis.asyncio

from didflow.ledger.client import FirstCheck
from didflow.ledger.commands import Command, Commands, RedisCommand, perform_async, send_async
from didflow.ledger.connection import translated
from didflow.ledger.script_calls import Call

T = TypeVar("T")


class AsyncLedgerClient:
    """One namespace, as `LedgerClient`. Raises ServiceUnavailable where Redis doesn't answer."""

    def __init__(
        self, client: redis.asyncio.Redis, namespace: str, *, shebang: bool = True, actor: str = "", first: FirstCheck | None = None
    ) -> None:
        """`first`: what is checked before anything else is asked, until it is done."""
        self._first = first
        self.client = client
        self.commands = Commands(namespace, shebang=shebang, actor=actor)
        self.keys = self.commands.keys

    async def perform(self, command: Command[T]) -> T:
        """Run one of `commands`."""
        with translated():
            await self._check_first()
            return await perform_async(self.client, command)

    async def _check_first(self) -> None:
        if self._first is not None and not self._first.is_done:
            await perform_async(self.client, self._first.command(self.keys))

    async def send(self, step: RedisCommand | tuple[RedisCommand, ...]) -> Any:
        """Send one step of a command, for a caller that drives the generator itself."""
        await self._check_first()
        return await send_async(self.client, step)

    async def run(self, call: Call[T]) -> T:
        """Run a producer's script."""
        return await self.perform(self.commands.run(call))
