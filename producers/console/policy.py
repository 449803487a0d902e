"""What a browser may do with a page: load from this server only, run no inline script, be in no frame, keep no copy."""

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from producers.console.error_pages import is_shown
from producers.http.problems import REQUEST_ID

#: Nothing but our own files. No inline script or style: a text that got into a page unescaped could still do nothing.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    # With `no-referrer` a browser would send `Origin: null` with forms.
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_LINES = tuple((name.lower().encode(), value.encode()) for name, value in HEADERS.items())


log = structlog.stdlib.get_logger("didflow.http")


class Policy:
    """Adds the headers to every answer of the console that doesn't say otherwise, and answers with a page whatever happens."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                message = {**message, "headers": [*message["headers"], *(pair for pair in _LINES if pair[0] not in there)]}
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except Exception as error:
            if not is_shown(scope):
                raise  # An answer has begun: the connection ends here.
            log.exception("http.failed", request_id=REQUEST_ID.get(), error=type(error).__name__)
