"""Waiting for a job's end, as long as the client is there."""

import asyncio
from contextlib import suppress

from starlette.requests import Request

from didflow.contract.errors import WaitTimeout
from didflow.contract.jobs import JobView
from producers.http.services import Services


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
    try:
        return await services.didflow.wait(view.id, wait_s)
    except WaitTimeout:
        return await services.didflow.get(view.id)


async def _gone(request: Request | None) -> None:
    """Returns when the client has disconnected. Its body has been read, so nothing else comes."""
    if request is None:
        await asyncio.Event().wait()
        return
    while (await request.receive())["type"] != "http.disconnect":
        pass
