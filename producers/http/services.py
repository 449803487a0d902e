"""What the routes work with: one client of the ledger for all requests."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

from fastapi import Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from didflow.client.aio.client import AsyncDidflow
from didflow.client.sync.client import Didflow
from didflow.contract.errors import JobNotFound
from didflow.contract.jobs import JobView
from producers.http.access import Access, Caller
from producers.http.feed import Feed

T = TypeVar("T")

#: Proxies close a connection that is silent for long.
HEARTBEAT_S = 15.0


@dataclass(frozen=True)
class Services:
    """Made once for a server. `blocking`: a client for the parts of didflow that have no coroutines; they run in threads."""

    didflow: AsyncDidflow
    blocking: Didflow
    access: Access
    feed: Feed
    heartbeat_s: float = HEARTBEAT_S
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Answer who waits and end the streams, so that the server can stop."""
        self.stopping.set()
        self.feed.wake()

    def acting_for(self, caller: Caller) -> AsyncDidflow:
        """A client whose changes are the caller's, on the same connections."""
        ledger = self.didflow.ledger
        return AsyncDidflow(ledger.client, ledger.commands.keys.namespace, actor=caller.name, catalogue_age_s=self.didflow.catalogue_age_s)

    async def blocked(self, caller: Caller, do: Callable[[Didflow], T]) -> T:
        """What `do` returns, in a thread, with a client whose changes are the caller's."""
        ledger = self.blocking.ledger
        return await run_in_threadpool(do, Didflow(ledger.client, ledger.keys.namespace, actor=caller.name))

    async def job(self, caller: Caller, job_id: str) -> JobView:
        """A job that is the caller's business; any other is as if it weren't there. Raises JobNotFound."""
        view = await self.didflow.get(job_id)
        if not caller.sees(view.account, view.reference):
            raise JobNotFound(job_id)
        return view


def services_of(connection: HTTPConnection) -> Services:
    found: Services = connection.app.state.services
    return found


Serving = Annotated[Services, Depends(services_of)]
