"""Around every request: its id, who asks, one line in the log, and an answer whatever happens."""

import itertools
import re
import time
import uuid

import structlog
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from didflow.contract.errors import DidflowError
from producers.http.head import check_head
from producers.http.problems import REQUEST_ID, Refused, of_error, of_http, problem
from producers.http.services import REASON, TRACEPARENT, TRACESTATE, Services

log = structlog.stdlib.get_logger("didflow.http")

#: Headers that an answer has unless its route says otherwise.
_EVERY = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"private, no-cache"))
_READABLE_ID = re.compile(r"[\w.:/+=@-]{1,100}", re.ASCII)


class Gateway:
    """Lets a request of the API, or for metrics, through to `app` once it is known whose it is. Anything else is for everybody."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app, self.services = app, services
        # No secrets, so one look for randomness is enough: each costs a call of the kernel.
        self._ids, self._count = uuid.uuid4().hex[:20], itertools.count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        given = connection.headers.get("x-request-id", "")
        request_id = given if _READABLE_ID.fullmatch(given) else f"{self._ids}{next(self._count):012x}"
        REQUEST_ID.set(request_id)
        reason = connection.headers.get("didflow-reason", "").encode("latin-1").decode(errors="replace")  # Headers are read byte by byte.
        REASON.set(reason or None)
        traces = connection.headers.getlist("traceparent")
        TRACEPARENT.set(traces[0] if len(traces) == 1 else None)  # Several are none, as the W3C says.
        TRACESTATE.set(",".join(connection.headers.getlist("tracestate")) or None)  # Of this one, several are one list.
        seen = _Seen(send, request_id)
        began_s = time.perf_counter()
        try:
            await self._answer(connection, receive, seen)
        except Exception as error:
            log.exception("http.failed", request_id=request_id, error=type(error).__name__)
            if seen.status is not None:
                raise  # The answer has begun: the connection ends here.
            await problem(500, "internal_error", "didflow failed on this request: report it with its request id")(scope, receive, seen)
        finally:
            self._log(connection, seen, request_id, time.perf_counter() - began_s)

    async def _answer(self, connection: HTTPConnection, receive: Receive, send: Send) -> None:
        scope = connection.scope
        if scope["path"].startswith("/v1/") or scope["path"] == "/metrics":
            try:
                check_head(scope["headers"])
                connection.state.caller = await self.services.access.caller(connection)
            except Refused as refused:
                await of_http(refused)(scope, receive, send)
                return
            except DidflowError as error:
                await of_error(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    @staticmethod
    def _log(connection: HTTPConnection, seen: "_Seen", request_id: str, took_s: float) -> None:
        """The route, not the path: a path may hold what doesn't belong into a log, and so may a query."""
        scope = connection.scope
        route = getattr(scope.get("route"), "path", "")
        caller = getattr(connection.state, "caller", None)
        log.info(
            "http.request",
            method=scope["method"],
            route=route,
            status=seen.status,
            took_ms=round(took_s * 1000, 1),
            caller=caller.name if caller else None,
            request_id=request_id,
        )


class _Seen:
    """Passes an answer on, with the headers that each has."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send, self._request_id = send, request_id
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            there = {name.lower() for name, _ in message["headers"]}
            every = ((b"x-request-id", self._request_id.encode()), *_EVERY)
            message = {**message, "headers": [*message["headers"], *(pair for pair in every if pair[0] not in there)]}
        await self._send(message)
