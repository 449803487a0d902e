"""The short way of a submit. Most orders are small and have no faults, and these need little of what FastAPI does for each request."""

from collections.abc import Mapping

from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from producers.http.access import caller_of
from producers.http.services import services_of
from producers.http.strict_json import StrictRequest
from producers.http.submit import submit, wait_of


class QuickSubmits:
    """Answers submits without faults before `app` looks for their route. It reads and checks the body as the route does, and calls the same
    `submit`. All others, and whatever has a fault, go to their route, which finds and describes the faults."""

    def __init__(self, app: ASGIApp, routes: Mapping[str, APIRoute]) -> None:
        """`routes`: those of submits, by their path."""
        self._app, self._routes = app, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get(scope["path"])
        if route is None or scope["method"] != "POST" or scope["query_string"]:
            await self._app(scope, receive, send)
            return
        scope["route"] = route  # The log has its path.
        request = StrictRequest(scope, receive)
        response = await _answer(request, route)
        if response is None:
            request.pass_on()
            await self._app(scope, receive, send)
            return
        await response(scope, receive, send)


async def _answer(request: StrictRequest, route: APIRoute) -> Response | None:
    """None: the route answers. Raises what `submit` raises, and Refused for a body that can't be read."""
    field = route.body_field
    if field is None or not await request.body() or await request.is_large():
        return None
    order, faults = field.validate(await request.json(), {}, loc=("body",))
    if faults:
        return None
    headers = request.headers
    services, caller, wait_s = await services_of(request), await caller_of(request), wait_of(None, headers.get("prefer"))
    return await submit(services, caller, order, headers.get("idempotency-key"), wait_s=wait_s, request=request)
