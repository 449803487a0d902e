"""Incidents: what was moved away together, and the way back."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from didflow.contract.api_keys import ApiScope
from didflow.contract.flags import Flag
from didflow.contract.incidents import Incident
from didflow.contract.jobs import JobView
from didflow.contract.requests import Reroute
from producers.async_incidents import AsyncIncidents
from producers.failover import Failover
from producers.http.access import Asking, needs
from producers.http.orders import Label
from producers.http.problems import problems
from producers.http.representation import answer
from producers.http.routes import StrictRoute
from producers.http.services import Serving
from producers.http.submit import check_named_jobs, submitted
from producers.incident_jobs import WayBack

router = APIRouter(tags=["incidents"], route_class=StrictRoute)
READS, MOVES = [needs(ApiScope.READ)], [needs(ApiScope.REROUTE)]

Name = Annotated[str, Path(max_length=200, description="The incident's name")]


@dataclass(frozen=True)
class IncidentList:
    """Newest first."""

    incidents: tuple[Incident, ...]


@dataclass(frozen=True)
class WaysBack:
    """What a failback does about each of the incident's jobs."""

    ways: tuple[WayBack, ...]


class Move(BaseModel):
    """Numbers to move away, in one account."""

    model_config = ConfigDict(extra="forbid")

    request: Reroute
    account: Label = "default"


class Back(BaseModel):
    """`dry_run`: only say what would be done."""

    model_config = ConfigDict(extra="forbid")

    dry_run: Flag = False


@router.get("/incidents", dependencies=READS, response_model=IncidentList, responses=problems(), summary="List incidents")
async def list_incidents(services: Serving, caller: Asking, limit: Annotated[int, Query(ge=1, le=1000)] = 20) -> Response:
    """How many numbers each has, and how many were moved and failed back."""
    caller.need_all_seen()
    return answer(IncidentList(await AsyncIncidents(services.didflow).all(limit)))


@router.get("/incidents/{name:path}", dependencies=READS, response_model=Incident, responses=problems(404), summary="Read an incident")
async def read_incident(services: Serving, caller: Asking, name: Name) -> Response:
    """Its jobs and their numbers."""
    caller.need_all_seen()
    return answer(await AsyncIncidents(services.didflow).get(name))


@router.post(
    "/incidents/{name:path}/move",
    dependencies=MOVES,
    status_code=202,
    response_model=JobView,
    responses={200: {"model": JobView, "description": "The job has ended"}, **problems(404, 409, 413, 415)},
    summary="Move numbers away",
)
async def move(services: Serving, caller: Asking, name: Name, body: Move) -> Response:
    """One move for each incident and account: repeated, it is the same job. The incident's name is its key."""
    caller.need_sight(body.account, name)
    if not caller.sees_all:
        await check_named_jobs(services, caller, body.request)
    job = await services.blocked(caller, lambda didflow: Failover(didflow, account=body.account).move(name, body.request))
    return submitted(job, await services.job(caller, job.id))


@router.post(
    "/incidents/{name:path}/cancel", dependencies=MOVES, response_model=Incident, responses=problems(404), summary="Cancel an incident"
)
async def cancel_incident(services: Serving, caller: Asking, name: Name) -> Response:
    """Cancel its jobs that haven't ended, failbacks too. What has moved stays moved."""
    caller.need_all_seen()
    return answer(await AsyncIncidents(services.acting_for(caller)).cancel(name))


@router.post(
    "/incidents/{name:path}/failback",
    dependencies=MOVES,
    response_model=WaysBack,
    responses=problems(404, 409, 413, 415),
    summary="Fail an incident back",
)
async def fail_back(services: Serving, caller: Asking, name: Name, body: Back) -> Response:
    """Restore the routes that its numbers had. Repeated, it is the same failback."""
    caller.need_all_seen()
    return answer(WaysBack(await AsyncIncidents(services.acting_for(caller)).failback(name, dry_run=body.dry_run)))
