"""Failover plans: saved before they are needed, their numbers kept up to date by workers."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from didflow.client.sync.client import Didflow
from didflow.contract.api_keys import ApiScope
from didflow.contract.failover_plans import FailoverPlan
from didflow.contract.flags import Flag
from didflow.contract.jobs import Job
from didflow.contract.requests import Reroute
from didflow.contract.time_values import Moment
from producers.failover import Failover
from producers.http.access import Asking, needs
from producers.http.orders import Label
from producers.http.problems import problems
from producers.http.representation import answer
from producers.http.routes import StrictRoute
from producers.http.services import Serving

router = APIRouter(tags=["failover plans"], route_class=StrictRoute)
READS, MOVES = [needs(ApiScope.READ)], [needs(ApiScope.REROUTE)]

#: How long a request waits for a worker to select a plan's numbers.
WITHIN_S = 30.0
Name = Annotated[str, Path(min_length=1, max_length=60, pattern=r"^[\w.-]+$", description="The plan's name")]


@dataclass(frozen=True)
class PlanList:
    """By name, without their numbers."""

    plans: tuple[FailoverPlan, ...]


@dataclass(frozen=True)
class PlanJobs:
    """`job` moves the plan's numbers; `sweep` follows it and moves what the plan missed. Null: the plan is a list, which misses none."""

    job: Job
    sweep: Job | None


class SavedPlan(BaseModel):
    """What would be moved where, with its guards."""

    model_config = ConfigDict(extra="forbid")

    request: Reroute
    account: Label = "default"


class PlanRunning(BaseModel):
    """For which incident a plan runs."""

    model_config = ConfigDict(extra="forbid")

    incident: Annotated[Label, Field(max_length=200)]
    deadline: Moment | None = None
    read_routes: Flag = False


@router.get("/failover-plans", dependencies=READS, response_model=PlanList, responses=problems(), summary="List failover plans")
async def list_plans(services: Serving, caller: Asking) -> Response:
    """Every plan."""
    caller.need_all_seen()
    return answer(PlanList(await services.blocked(caller, lambda didflow: Failover(didflow).plans())))


@router.get(
    "/failover-plans/{name}", dependencies=READS, response_model=FailoverPlan, responses=problems(404), summary="Read a failover plan"
)
async def read_plan(services: Serving, caller: Asking, name: Name) -> Response:
    """With its numbers, and why the newest reading of them failed."""
    caller.need_all_seen()
    return answer(await services.blocked(caller, lambda didflow: Failover(didflow).get_plan(name)))


@router.put(
    "/failover-plans/{name}", dependencies=MOVES, response_model=FailoverPlan, responses=problems(413, 415), summary="Save a failover plan"
)
async def save_plan(services: Serving, caller: Asking, name: Name, plan: SavedPlan) -> Response:
    """Replaces one of the same name. A worker finds its numbers soon."""
    caller.need_all_seen()

    def save(didflow: Didflow) -> FailoverPlan:
        failover = Failover(didflow, account=plan.account)
        failover.keep_plan(name, plan.request)
        return failover.get_plan(name)

    return answer(await services.blocked(caller, save))


@router.post(
    "/failover-plans/{name}/run",
    dependencies=MOVES,
    status_code=202,
    response_model=PlanJobs,
    responses=problems(404, 409, 413, 415),
    summary="Run a failover plan",
)
async def run_plan(services: Serving, caller: Asking, name: Name, body: PlanRunning) -> Response:
    """Move its numbers at once. Repeated for the same incident, it is the same jobs."""
    caller.need_all_seen()

    def run(didflow: Didflow) -> PlanJobs:
        found = Failover(didflow).run_plan(name, body.incident, deadline=body.deadline, read_routes=body.read_routes)
        return PlanJobs(found.job, found.sweep)

    return answer(await services.blocked(caller, run), status=202)


@router.post(
    "/failover-plans/{name}/refresh",
    dependencies=MOVES,
    response_model=FailoverPlan,
    responses=problems(404, 504),
    summary="Refresh a failover plan",
)
async def refresh_plan(
    services: Serving, caller: Asking, name: Name, wait: Annotated[float, Query(ge=0, le=WITHIN_S)] = WITHIN_S
) -> Response:
    """A worker selects its numbers now; `trouble` says why it couldn't. 504 if that takes longer than `wait` seconds: it goes on."""
    caller.need_all_seen()
    return answer(await services.blocked(caller, lambda didflow: Failover(didflow).refresh_plan(name, wait)))


@router.delete("/failover-plans/{name}", dependencies=MOVES, status_code=204, responses=problems(404), summary="Delete a failover plan")
async def delete_plan(services: Serving, caller: Asking, name: Name) -> Response:
    """What it moved stays moved, and can be brought back."""
    caller.need_all_seen()
    await services.blocked(caller, lambda didflow: Failover(didflow).delete_plan(name))
    return Response(status_code=204)
