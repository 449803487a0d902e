"""The ASGI application: its routers, and how it answers errors."""

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from didflow.client.aio.client import AsyncDidflow
from didflow.client.sync.client import Didflow
from didflow.contract.errors import DidflowError
from producers.http import (
    catalogue,
    churn,
    documents,
    events,
    failover_plans,
    incidents,
    inventory,
    job_numbers,
    jobs,
    monitoring,
    operations,
    quotes,
    spending,
    submit,
)
from producers.http.access import Access
from producers.http.feed import Feed
from producers.http.middleware import Gateway
from producers.http.openapi import describe
from producers.http.problems import of_error, of_http
from producers.http.services import HEARTBEAT_S, Services
from producers.http.validation import of_validation

#: Each has the paths of one thing.
ROUTERS = (
    submit.router,
    jobs.router,
    job_numbers.router,
    events.router,
    quotes.router,
    inventory.router,
    catalogue.router,
    incidents.router,
    failover_plans.router,
    churn.router,
    documents.router,
    spending.router,
    operations.router,
)


def application(didflow: AsyncDidflow, blocking: Didflow, *, open_to: str | None = None, heartbeat_s: float = HEARTBEAT_S) -> Gateway:
    """The API over the ledger of both clients.

    `open_to`: the name of who asks without a key, on a server that only this machine reaches. `heartbeat_s`: how often a stream
    shows that it lives, and whether its key still does.
    """
    access = Access(didflow, open_to)
    app = described()
    app.state.services = services = Services(didflow, blocking, access, Feed(didflow), heartbeat_s)
    return Gateway(app, services)


def described() -> FastAPI:
    """The routes, without anything to work with."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    for router in ROUTERS:
        app.include_router(router, prefix="/v1")
    app.include_router(monitoring.router)
    app.add_exception_handler(DidflowError, _of_error)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_validation)
    describe(app)
    return app


async def _of_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, DidflowError):
        raise error
    return of_error(error)


async def _of_http(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return of_http(error)


async def _of_validation(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    return of_validation(error)
