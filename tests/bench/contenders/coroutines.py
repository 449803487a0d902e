"""For queues whose producer is asynchronous: one event loop for one process that measures."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

#: So many submits are under way at once.
AT_ONCE = 50

_runner = asyncio.Runner()


def wait_for(coroutine: Coroutine[Any, Any, T]) -> T:
    return _runner.run(coroutine)


async def many(count: int, submit: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Submit so often, some at once: what an asynchronous producer of many jobs does."""
    for start in range(0, count, AT_ONCE):
        await asyncio.gather(*(submit() for _ in range(min(AT_ONCE, count - start))))
