"""Events as they happen: Server-Sent Events, of all jobs or of one."""

import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from didflow.contract.api_keys import ApiScope
from didflow.contract.jobs import JobView
from producers.http.access import Asking, Caller, needs
from producers.http.feed import Listener, TooSlow
from producers.http.jobs import JobId, job_id_in
from producers.http.problems import ProblemFault, Refused, problems
from producers.http.representation import shown
from producers.http.routes import StrictRoute
from producers.http.services import Services, Serving
from producers.http.stream_reading import Item, Position, sent_event

#: How long a client waits before it connects again.
_RETRY = b"retry: 3000\n\n"
_HEADERS = {"X-Accel-Buffering": "no", "Cache-Control": "no-cache"}
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "CloudEvents, one for each message"}
}

LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", max_length=100, description="Continue behind this event; 0: begin with the oldest that is kept"),
]

router = APIRouter(tags=["events"], route_class=StrictRoute)


@router.get(
    "/events",
    dependencies=[needs(ApiScope.READ)],
    response_class=StreamingResponse,
    responses={**_STREAM, **problems()},
    summary="Listen to all events",
)
async def listen(
    services: Serving,
    caller: Asking,
    request: Request,
    last_event_id: LastEventId = None,
    type: Annotated[list[str] | None, Query(max_length=50, description="Only events of these types")] = None,  # noqa: A002
    account: Annotated[str | None, Query(max_length=200, description="Only events of this account")] = None,
    reference: Annotated[str | None, Query(max_length=200, description="Only events of jobs with this reference")] = None,
) -> Response:
    """What becomes of jobs, accounts and numbers. Each event once, at least; its `id` in the data is stable. Begins now."""

    def wants(item: Item) -> bool:
        if type is not None and item.type not in type:
            return False
        if caller.sees_all and account is None and reference is None:
            return True
        its_account, its_reference = str(item.data.get("account", "")), item.data.get("reference")
        fits = account in (None, its_account) and reference in (None, its_reference)
        return fits and caller.sees(its_account, its_reference if isinstance(its_reference, str) else None)

    return _streamed(_events(services, caller, request, wants, _position(last_event_id)))


@router.get(
    "/jobs/{job_id}/events",
    dependencies=[needs(ApiScope.READ)],
    response_class=StreamingResponse,
    responses={**_STREAM, 204: {"description": "The job has ended, and the client has its last event"}, **problems(404)},
    summary="Listen to a job",
)
async def listen_to_job(services: Serving, caller: Asking, request: Request, job_id: JobId, last_event_id: LastEventId = None) -> Response:
    """First the job as it is (`event: job`), unless the client continues; then its events. Ends behind the last one."""
    position = _position(last_event_id)
    view = await services.job(caller, job_id_in(job_id))
    if position is not None and view.state.is_terminal:
        missed = [item.sent async for item in _missed(services, position, lambda item: item.subject == view.id)]
        return Response(b"".join(missed), media_type="text/event-stream", headers=_HEADERS) if missed else Response(status_code=204)
    return _streamed(_events_of(services, caller, request, view, position))


async def _events(
    services: Services, caller: Caller, request: Request, wants: Callable[[Item], bool], position: Position | None
) -> AsyncIterator[bytes]:
    yield _RETRY
    async with services.feed.listening(wants) as listener:
        position = listener.since if position is None else position
        # Its id is where the client continues if the connection breaks before the first event.
        yield f"id: {position}\n\n".encode()
        async for item in _missed(services, position, wants):
            yield item.sent
            position = item.after
        async for sent in _live(services, caller, request, listener, position):
            yield sent if isinstance(sent, bytes) else sent.sent


async def _events_of(
    services: Services, caller: Caller, request: Request, view: JobView, position: Position | None
) -> AsyncIterator[bytes]:
    def wants(item: Item) -> bool:
        return item.subject == view.id

    yield _RETRY
    async with services.feed.listening(wants, subject=view.id) as listener:
        if position is None:
            position = listener.since
            text = (await shown(await services.view(view.id))).body
            yield sent_event(bytes(text).decode(), event_id=str(position), name="job")
        async for item in _missed(services, position, wants):
            yield item.sent
            position = item.after
        if (await services.view(view.id)).state.is_terminal:
            async for item in _missed(services, position, wants):  # The end, if it was written since.
                yield item.sent
            return
        async for sent in _live(services, caller, request, listener, position):
            yield sent if isinstance(sent, bytes) else sent.sent
            if isinstance(sent, Item) and sent.is_result and (await services.view(view.id)).state.is_terminal:
                return


async def _missed(services: Services, position: Position, wants: Callable[[Item], bool]) -> AsyncIterator[Item]:
    """What was written behind the position until now. Later entries come from the feed; one may be in both."""
    end = await services.feed.end()
    while position.results < end.results or position.events < end.events:
        items = await services.feed.since(position)
        if not items:
            return
        for item in items:
            if item.is_ours and wants(item):
                yield item
        position = items[-1].after


async def _live(
    services: Services, caller: Caller, request: Request, listener: Listener, position: Position
) -> AsyncIterator[bytes | Item]:
    """New entries, and a heartbeat between them; until the server stops, or the key isn't valid any more."""
    checked_s = time.monotonic()
    while not services.stopping.is_set():
        # Also where entries never pause for as long as a heartbeat.
        if time.monotonic() - checked_s >= services.heartbeat_s:
            if not await services.access.is_still(caller, request):
                return
            checked_s = time.monotonic()
        try:
            item = await listener.next(services.heartbeat_s)
        except TooSlow:
            return
        if item is None:
            yield b":\n\n"
        elif item.is_behind(position):
            yield item


def _streamed(content: AsyncIterator[bytes]) -> Response:
    return StreamingResponse(content, media_type="text/event-stream", headers=_HEADERS)


def _position(last_event_id: str | None) -> Position | None:
    """Raises Refused (422)."""
    if not last_event_id:
        return None
    if (position := Position.parse(last_event_id)) is None:
        what = "is no id of an event of this stream: send the last one that came, or none"
        fault = ProblemFault(detail=what, code="value_error", next_step="leave it out", parameter="Last-Event-ID")
        raise Refused(422, "invalid_request", f"Last-Event-ID: {what}", faults=(fault,))
    return position
