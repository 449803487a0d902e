"""What the routes work with: one client of the ledger for all requests."""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from didflow.client.aio.client import AsyncDidflow
from didflow.contract.errors import JobNotFound
from didflow.contract.jobs import JobView
from producers.http.access import Access, Caller
from producers.http.feed import Feed


@dataclass(frozen=True)
class Services:
    """Made once for a server."""

    didflow: AsyncDidflow
    access: Access
    feed: Feed
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Answer who waits and end the streams, so that the server can stop."""
        self.stopping.set()
        self.feed.wake()

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
