"""What the routes work with: one client of the ledger for all requests."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, TypeVar

from fastapi import Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from didflow.client.aio.client import AsyncDidflow
from didflow.client.sync.client import Didflow
from didflow.contract.errors import JobNotFound
from didflow.contract.jobs import JobView
from didflow.settings import Network
from producers.http.access import Access, Caller
from producers.http.feed import Feed
from producers.http.held_files import HeldFiles
from producers.http.problems import REQUEST_ID
from producers.http.proxy_login import ProxyLogin
from producers.http.strict_json import PAUSE_S

T = TypeVar("T")

#: Proxies close a connection that is silent for long.
HEARTBEAT_S = 15.0
#: Why the request's change is made, as its header `Didflow-Reason` says.
REASON: ContextVar[str | None] = ContextVar("reason", default=None)
#: Its header `traceparent`, as it came.
TRACEPARENT: ContextVar[str | None] = ContextVar("traceparent", default=None)
#: Its headers `tracestate`, joined.
TRACESTATE: ContextVar[str | None] = ContextVar("tracestate", default=None)


@dataclass(frozen=True)
class ReviewRules:
    """How parked jobs are decided.

    second_person_usd  above this a second person confirms; None: never
    settle_s           how long the provider's lists may lag (assumption A3)
    """

    second_person_usd: Decimal | None = None
    settle_s: float = 10.0


@dataclass(frozen=True)
class Services:
    """Made once for a server.

    blocking          a client for the parts of didflow that have no coroutines; they run in threads
    webhook_networks  private networks that webhooks may be posted to
    proxy_login       how a proxy in front names the person whom it has logged in to the console; None: it doesn't
    """

    didflow: AsyncDidflow
    blocking: Didflow
    access: Access
    feed: Feed
    files: HeldFiles
    heartbeat_s: float = HEARTBEAT_S
    webhook_networks: tuple[Network, ...] = ()
    body_pause_s: float = PAUSE_S
    proxy_login: ProxyLogin | None = None
    review: ReviewRules = ReviewRules()
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Answer who waits and end the streams, so that the server can stop."""
        self.stopping.set()
        self.feed.wake()

    def acting_for(self, caller: Caller) -> AsyncDidflow:
        """A client whose changes are the caller's, on the same connections."""
        return self.didflow.acting(actor=caller.name, **_said())

    async def blocked(self, caller: Caller, do: Callable[[Didflow], T]) -> T:
        """What `do` returns, in a thread, with a client whose changes are the caller's."""
        acting = self.blocking.acting(actor=caller.name, **_said())
        return await run_in_threadpool(do, acting)

    async def job(self, caller: Caller, job_id: str) -> JobView:
        """A job that is the caller's business; any other is as if it weren't there. Raises JobNotFound."""
        view = await self.view(job_id)
        self.check_seen(caller, view)
        return view

    async def view(self, job_id: str) -> JobView:
        """Any job. One of very many numbers is read in a thread, so that other requests are answered meanwhile. Raises JobNotFound."""
        view = await self.didflow.ledger.perform(self.didflow.ledger.commands.get_unless_large(job_id))
        return await run_in_threadpool(self.blocking.get, job_id) if view is None else view

    @staticmethod
    def check_seen(caller: Caller, view: JobView) -> None:
        """Raises JobNotFound for a job that isn't the caller's business."""
        if not caller.sees(view.account, view.reference):
            raise JobNotFound(view.id)


def _said() -> dict[str, str | None]:
    """What the request's headers say for the audit and for its jobs."""
    return {"reason": REASON.get(), "request_id": REQUEST_ID.get(), "traceparent": TRACEPARENT.get(), "tracestate": TRACESTATE.get()}


async def services_of(connection: HTTPConnection) -> Services:  # A plain function would run in a thread, at each request.
    found: Services = connection.app.state.services
    return found


Serving = Annotated[Services, Depends(services_of)]
