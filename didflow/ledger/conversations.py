"""Carries out a conversation with a consumer group: sends its commands, waits its pauses, and yields its entries."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar

import redis

from didflow.contract.errors import ServiceUnavailable
from didflow.ledger.async_client import AsyncLedgerClient
from didflow.ledger.client import LedgerClient
from didflow.ledger.connection import translated
from didflow.ledger.consumer_groups import Conversation, Entry, Pause

T = TypeVar("T")


def converse(ledger: LedgerClient, conversation: Conversation[T], pause: Callable[[Pause], None] = lambda _: None) -> Iterator[Entry[T]]:
    """Yield the entries, each until the next one is requested. `pause` waits for the length of the pause.

    Raises ServiceUnavailable where the member doesn't wait for Redis: begin a new conversation then.
    """
    try:
        step = next(conversation)
        while True:
            if isinstance(step, Pause):
                pause(step)
                step = conversation.send(None)
                continue
            if isinstance(step, Entry):
                yield step
                step = conversation.send(None)
                continue
            try:
                with translated():
                    reply = ledger.send(step)
            except (redis.exceptions.ResponseError, ServiceUnavailable) as error:
                step = conversation.throw(error)
            else:
                step = conversation.send(reply)
    except StopIteration:
        return


async def converse_async(
    ledger: AsyncLedgerClient, conversation: Conversation[T], pause: Callable[[Pause], Awaitable[None]]
) -> AsyncIterator[Entry[T]]:
    """The same for asyncio."""
    try:
        step = next(conversation)
        while True:
            if isinstance(step, Pause):
                await pause(step)
                step = conversation.send(None)
                continue
            if isinstance(step, Entry):
                yield step
                step = conversation.send(None)
                continue
            try:
                with translated():
                    reply = await ledger.send(step)
            except (redis.exceptions.ResponseError, ServiceUnavailable) as error:
                step = conversation.throw(error)
            else:
                step = conversation.send(reply)
    except StopIteration:
        return
