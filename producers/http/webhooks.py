"""Endpoints of webhooks over HTTP: what `didflow webhooks` does, but for the process that delivers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from didflow.client.aio.webhooks import AsyncWebhooks
from didflow.contract.api_keys import ApiScope
from didflow.contract.errors import InvalidRequest
from didflow.contract.time_values import Moment
from didflow.contract.webhooks import OVERLAP, Attempt, EndpointChange, EndpointView, EndpointWithSecret, NewEndpoint
from producers.http.access import Asking, needs
from producers.http.cursors import cursor_of, of_parts, parts_of
from producers.http.problems import ProblemFault, Refused, pointer, problems
from producers.http.representation import answer
from producers.http.routes import StrictRoute
from producers.http.services import Serving

router = APIRouter(tags=["webhooks"], route_class=StrictRoute, dependencies=[needs(ApiScope.ADMIN)])

Name = Annotated[str, Path(max_length=200, description="The endpoint's name, or its id")]


@dataclass(frozen=True)
class EndpointList:
    """By name."""

    webhooks: tuple[EndpointView, ...]


@dataclass(frozen=True)
class AttemptList:
    """Newest first."""

    deliveries: tuple[Attempt, ...]
    next_cursor: str | None


class Rotation(BaseModel):
    """`overlap_seconds`: for how long the old secret signs beside the new one."""

    model_config = ConfigDict(extra="forbid")

    overlap_seconds: Annotated[int, Field(ge=0, le=31_536_000, strict=True)] = int(OVERLAP.total_seconds())


class Redelivery(BaseModel):
    """An event, or all that the endpoint gets since a time."""

    model_config = ConfigDict(extra="forbid")

    event_id: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    since: Moment | None = None


@dataclass(frozen=True)
class Queued:
    """How many events are queued."""

    queued: int


@dataclass(frozen=True)
class TestQueued:
    """The event that is sent to the endpoint; `/deliveries` shows what it answered."""

    event_id: str


@router.post("/webhooks", status_code=201, response_model=EndpointWithSecret, responses=problems(413, 415), summary="Create a webhook")
async def create_webhook(services: Serving, caller: Asking, body: NewEndpoint) -> Response:
    """It gets what happens from now on. The secret is in no other answer."""
    caller.need_all_seen()
    with _in_the_body():
        found = await _webhooks(services, caller).create(body)
    return answer(found, status=201, headers={"Location": f"/v1/webhooks/{found.name}", "Cache-Control": "no-store"})


@router.get("/webhooks", response_model=EndpointList, responses=problems(), summary="List webhooks")
async def list_webhooks(services: Serving, caller: Asking) -> Response:
    """What each gets, whether it works, and how many events wait for it."""
    caller.need_all_seen()
    return answer(EndpointList(await services.didflow.webhooks.all()))


@router.get("/webhooks/{name}", response_model=EndpointView, responses=problems(404), summary="Read a webhook")
async def read_webhook(services: Serving, caller: Asking, name: Name) -> Response:
    """Its filters, its state and why, what waits and what it missed."""
    caller.need_all_seen()
    return answer(await services.didflow.webhooks.get(name))


@router.patch("/webhooks/{name}", response_model=EndpointView, responses=problems(404, 413, 415), summary="Change a webhook")
async def update_webhook(services: Serving, caller: Asking, name: Name, body: EndpointChange) -> Response:
    """Its URL, its filters, whether it gets deliveries. A field that isn't given stays; null clears `account` and `reference_prefix`.

    It holds at once: what waits goes to the new URL, in the same order, and what the new filters leave out isn't sent.
    """
    caller.need_all_seen()
    with _in_the_body():
        return answer(await _webhooks(services, caller).update(name, body))


@router.delete("/webhooks/{name}", status_code=204, responses=problems(404), summary="Delete a webhook")
async def delete_webhook(services: Serving, caller: Asking, name: Name) -> Response:
    """With what waits for it, and its delivery log."""
    caller.need_all_seen()
    await _webhooks(services, caller).delete(name)
    return Response(status_code=204)


@router.post(
    "/webhooks/{name}/rotate", response_model=EndpointWithSecret, responses=problems(404, 413, 415), summary="Rotate a webhook's secret"
)
async def rotate_webhook(services: Serving, caller: Asking, name: Name, body: Rotation) -> Response:
    """Until the overlap ends, deliveries carry both signatures."""
    caller.need_all_seen()
    found = await _webhooks(services, caller).rotate(name, overlap=timedelta(seconds=body.overlap_seconds))
    return answer(found, headers={"Cache-Control": "no-store"})


@router.post("/webhooks/{name}/enable", response_model=EndpointView, responses=problems(404), summary="Enable a webhook")
async def enable_webhook(services: Serving, caller: Asking, name: Name) -> Response:
    """Deliver what was queued meanwhile, and what comes."""
    caller.need_all_seen()
    return answer(await _webhooks(services, caller).enable(name))


@router.post("/webhooks/{name}/disable", response_model=EndpointView, responses=problems(404), summary="Disable a webhook")
async def disable_webhook(services: Serving, caller: Asking, name: Name) -> Response:
    """Deliver nothing to it until it is enabled. Its events are queued, for seven days."""
    caller.need_all_seen()
    return answer(await _webhooks(services, caller).disable(name))


@router.post("/webhooks/{name}/test", status_code=202, response_model=TestQueued, responses=problems(404), summary="Test a webhook")
async def test_webhook(services: Serving, caller: Asking, name: Name) -> Response:
    """Have an event without meaning delivered to it."""
    caller.need_all_seen()
    return answer(TestQueued(await _webhooks(services, caller).test(name)), status=202)


@router.get("/webhooks/{name}/deliveries", response_model=AttemptList, responses=problems(404), summary="List deliveries of a webhook")
async def list_deliveries(
    services: Serving,
    caller: Asking,
    name: Name,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=200), of_parts(int, int)] = None,
) -> Response:
    """Attempts: status, duration, the beginning of the answer. The newest thousand are kept."""
    caller.need_all_seen()
    before = "{}-{}".format(*parts_of(cursor, int, int)) if cursor else None
    found = await services.didflow.webhooks.deliveries(name, limit=limit, before=before)
    more = cursor_of(*map(int, found[-1].place.split("-"))) if len(found) == limit else None
    return answer(AttemptList(found, more))


@router.post(
    "/webhooks/{name}/redeliver",
    status_code=202,
    response_model=Queued,
    responses=problems(404, 413, 415),
    summary="Redeliver events of a webhook",
)
async def redeliver(services: Serving, caller: Asking, name: Name, body: Redelivery) -> Response:
    """An event, or all that the endpoint gets since a time, as far as they are kept. A job's events are sent in their order."""
    caller.need_all_seen()
    if (body.event_id is None) == (body.since is None):
        what = "give an event's id, or the time since when"
        raise Refused(422, "invalid_request", f"event_id: {what}", faults=(_fault_at("event_id", what),))
    client = _webhooks(services, caller)
    if body.since is not None:
        return answer(Queued(await client.redeliver_since(name, body.since)), status=202)
    return answer(Queued(await client.redeliver(name, body.event_id or "")), status=202)


def _webhooks(services: Serving, caller: Asking) -> AsyncWebhooks:
    """A client whose changes are the caller's."""
    return AsyncWebhooks(services.acting_for(caller), allowed_networks=services.webhook_networks)


@contextmanager
def _in_the_body() -> Iterator[None]:
    """Faults that are found here are those of fields of the body."""
    try:
        yield
    except InvalidRequest as error:
        raise Refused(422, error.code, str(error), faults=[_fault_at(one.path, one.message) for one in error.faults]) from None


def _fault_at(field: str, what: str) -> ProblemFault:
    return ProblemFault(detail=what, code="value_error", next_step=what.rpartition(": ")[2], pointer=pointer([field]))
