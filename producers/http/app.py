"""The ASGI application: its routers, and how it answers errors."""

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from didflow.client.aio.client import AsyncDidflow
from didflow.client.sync.client import Didflow
from didflow.contract.errors import DidflowError, IdempotencyConflict, JobNotFound
from didflow.settings import Network
from producers.console.app import console
from producers.http import (
    activity,
    audit,
    catalogue,
    churn,
    console_sessions,
    consumer_groups,
    diagnosis,
    document_upload,
    documents,
    events,
    evidence,
    failover_plans,
    freezes,
    incidents,
    inventory,
    job_numbers,
    jobs,
    keys,
    monitoring,
    operations,
    past_routes,
    pool,
    quotes,
    saved_views,
    spending,
    submit,
    webhooks,
)
from producers.http.access import Access
from producers.http.allowed_methods import methods_of
from producers.http.feed import Feed
from producers.http.held_files import HeldFiles
from producers.http.middleware import Gateway
from producers.http.openapi import describe
from producers.http.problems import of_error, of_http, problem, status_of
from producers.http.proxy_login import ProxyLogin
from producers.http.quick_submits import QuickSubmits
from producers.http.services import HEARTBEAT_S, ReviewRules, Services
from producers.http.strict_json import PAUSE_S
from producers.http.validation import of_validation

PREFIX = "/v1"
PREFIX = "/v1"
#: Each has the paths of one thing.
ROUTERS = (
    submit.router,
    jobs.router,
    job_numbers.router,
    evidence.router,
    events.router,
    quotes.router,
    inventory.router,
    catalogue.router,
    incidents.router,
    failover_plans.router,
    churn.router,
    documents.router,
    document_upload.router,
    spending.router,
    operations.router,
    past_routes.router,
    pool.router,
    consumer_groups.router,
    diagnosis.router,
    freezes.router,
    webhooks.router,
    audit.router,
    activity.router,
    keys.router,
    console_sessions.router,
    saved_views.router,
)


def application(
    didflow: AsyncDidflow,
    blocking: Didflow,
    *,
    open_to: str | None = None,
    heartbeat_s: float = HEARTBEAT_S,
    webhook_networks: tuple[Network, ...] = (),
    body_pause_s: float = PAUSE_S,
    proxy_login: ProxyLogin | None = None,
    review: ReviewRules = ReviewRules(),  # noqa: B008 - frozen
) -> Gateway:
    """The API and the console over the ledger of both clients.

    `open_to`: the name of who asks without a key, on a server that only this machine reaches. `heartbeat_s`: how often a stream
    shows that it lives, and whether its key still does. `body_pause_s`: the longest pause within a body.
    `proxy_login`, `review`: see `Services`.
    """
    access = Access(didflow, open_to)
    app = described()
    app.state.services = services = Services(
        didflow, blocking, access, Feed(didflow), HeldFiles(didflow), heartbeat_s, webhook_networks, body_pause_s, proxy_login, review
    )
    app.mount("/console", console(services))
    app.add_route("/", _to_console, include_in_schema=False)
    app.add_route("/console", _to_console, include_in_schema=False)
    return Gateway(app, services)


class _Api(FastAPI):
    """FastAPI without its outer layers. What no route answers is the `Gateway`'s to answer; here a plain text would come before it."""

    def build_middleware_stack(self) -> ASGIApp:
        routed = AsyncExitStackMiddleware(self.router)
        return ExceptionMiddleware(QuickSubmits(routed, submit.by_path(PREFIX)), handlers=self.exception_handlers)


def described() -> FastAPI:
    """The routes, without anything to work with."""
    app = _Api(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    for router in ROUTERS:
        app.include_router(router, prefix=PREFIX)
    app.include_router(monitoring.router)
    app.add_exception_handler(DidflowError, _of_error)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_validation)
    describe(app)
    return app


async def _to_console(request: Request) -> Response:
    """A person's browser, which asks for HTML, goes to the console; any other client gets the 404 that says where the paths are listed."""
    if "text/html" not in request.headers.get("accept", ""):
        raise HTTPException(404)
    return RedirectResponse("/console/", 303)


async def _of_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, DidflowError):
        raise error
    return await _of_conflict(request, error) if isinstance(error, IdempotencyConflict) else of_error(error)


async def _of_conflict(request: Request, error: IdempotencyConflict) -> Response:
    """What differs is the other job's request: for a key that doesn't see that job only that the idempotency key is taken."""
    services: Services = request.app.state.services
    try:
        await services.job(request.state.caller, error.job_id)
    except JobNotFound:
        if not request.state.caller.sees_all:
            return problem(status_of(error), error.code, submit.KEY_TAKEN, retryable=error.retryable)
    except DidflowError as other:
        return of_error(other)
    return of_error(error)


async def _of_http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    before, _, kind = request.url.path.rpartition("/")
    if error.status_code == 405 and (request.method, before) == ("POST", "/v1/jobs"):
        return submit.unknown_kind(kind)
    if error.status_code == 405 and (methods := methods_of(request.url.path.removeprefix(PREFIX), ROUTERS)):
        return of_http(HTTPException(405, headers={"Allow": ", ".join(methods)}))
    return of_http(error)


async def _of_validation(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    field = getattr(request.scope.get("route"), "body_field", None)
    return of_validation(error, None if field is None else field.field_info.annotation)
