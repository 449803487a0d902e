"""How tasks are ended that would run for ever."""

import asyncio
from collections.abc import Iterable
from typing import Any

#: How long a task may take to end before it is cancelled once more.
AGAIN_S = 0.5


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel them until each has ended: a client of Redis that is just connecting may swallow a cancellation."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_S)
