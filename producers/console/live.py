"""Notifies a page that something has changed, so that it fetches the changed parts again."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response, StreamingResponse

from didflow.contract.api_keys import ApiScope
from didflow.contract.errors import ServiceUnavailable
from producers.console.visit import Visit, Visiting, session_of, without_session
from producers.http.feed import Listener, TooSlow
from producers.http.problems import Refused
from producers.http.stream_reading import Item

router = APIRouter()
#: Events that come within this time of one another are one change.
TOGETHER_S = 0.3
_HEADERS = {"X-Accel-Buffering": "no", "Cache-Control": "no-cache"}
#: How long a browser waits before it connects again.
_RETRY = b"retry: 1000\n\n"
_LISTENING = b"event: listening\ndata: \n\n"
_CHANGED = b"event: changed\ndata: \n\n"


@router.get("/live")
async def listen(visit: Visiting, job: Annotated[str | None, Query(max_length=200)] = None) -> Response:
    """Server-Sent Events without any content: what changed is for the pages to read, with the rights that they have."""
    visit.caller.need(ApiScope.READ)
    return StreamingResponse(_changes(visit, job), media_type="text/event-stream", headers=_HEADERS)


async def _changes(visit: Visit, job: str | None) -> AsyncIterator[bytes]:
    services = visit.services

    def wants(item: Item) -> bool:
        if job is not None and item.subject != job:
            return False
        if visit.caller.sees_all:
            return True
        reference = item.data.get("reference")
        return visit.caller.sees(str(item.data.get("account", "")), reference if isinstance(reference, str) else None)

    async with services.feed.listening(wants, subject=job) as listener:
        yield _RETRY
        yield _LISTENING  # From here on the page hears of every change. What came since it was read, it fetches now.
        checked_s = time.monotonic()
        while not services.stopping.is_set():
            if time.monotonic() - checked_s >= services.heartbeat_s:
                if not await _is_still(visit):
                    return
                checked_s = time.monotonic()
            try:
                changed = await _next(listener, services.heartbeat_s)
            except TooSlow:
                return
            yield _CHANGED if changed else b":\n\n"


async def _next(listener: Listener, within_s: float) -> bool:
    """Whether something has changed within the time. What comes with it is taken along."""
    if await listener.next(within_s) is None:
        return False
    await asyncio.sleep(TOGETHER_S)
    listener.waiting.clear()
    return True


async def _is_still(visit: Visit) -> bool:
    """Whether the session, or the server that needs none, is still there. A ledger that is away ends none."""
    try:
        if visit.session is not None:
            return await session_of(visit.services, visit.request, visit.token) is not None
        await without_session(visit.services, visit.request)
    except ServiceUnavailable:
        return True
    except Refused:
        return False
    return True
