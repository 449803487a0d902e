"""Waiting for a job's end, as long as the client is there."""

import asyncio
import time
from contextlib import suppress

from starlette.requests import Request

from didflow.contract.jobs import JobView
from didflow.contract.states import REPORTED
from producers.http.services import Services

#: How often the job itself is read.
LOOK_EVERY_S = 5.0


async def waited(services: Services, view: JobView, wait_s: float, request: Request | None) -> JobView:
    """The job when it has ended, when the time is over, or when the client has gone; then nobody reads it, and the job continues."""
    waiting = asyncio.ensure_future(_ended(services, view, wait_s))
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return waiting.result() if waiting.done() else view
    finally:
        for task in (waiting, leaving):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _ended(services: Services, view: JobView, wait_s: float) -> JobView:
    until_s = time.monotonic() + wait_s
    async with services.feed.listening(lambda item: item.is_result, subject=view.id) as listener:
        while True:
            view = await services.view(view.id)
            left_s = until_s - time.monotonic()
            if view.state in REPORTED or left_s <= 0 or services.stopping.is_set():
                return view
            # A result that is missed, because Redis was away, is found a little later.
            if await listener.next(min(left_s, LOOK_EVERY_S)) is not None:
                listener.waiting.clear()


async def _gone(request: Request | None) -> None:
    """Returns when the client has disconnected. Its body has been read, so nothing else comes."""
    if request is None:
        await asyncio.Event().wait()
        return
    while (await request.receive())["type"] != "http.disconnect":
        pass
