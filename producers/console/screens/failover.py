"""Failover: plans and how old their numbers are, a dry run, the move by the incident's name, and the way back."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import TypeAdapter
from starlette.responses import Response

from didflow.client.sync.client import Didflow
from didflow.contract.api_keys import ApiScope
from didflow.contract.destinations import Destination
from didflow.contract.errors import InvalidRequest, JobNotFound, PlanNotFound, WaitTimeout
from didflow.contract.failover_plans import FailoverPlan, PlanName
from didflow.contract.jobs import Job, JobView
from didflow.contract.requests import Reroute, Selector, built
from didflow.contract.results import NumberResult
from didflow.contract.states import REPORTED, JobState
from didflow.ledger.failover_plans import dry_run_of
from didflow.terminal import options as given
from producers.async_incidents import AsyncIncidents
from producers.console.forms import Form
from producers.console.job_story import title_of
from producers.console.route_groups import grouped, would_move
from producers.console.screen import Screen
from producers.console.visit import Posted, Visit, Visiting
from producers.failover import Failover
from producers.http.job_numbers import pages_of
from producers.http.jobs import job_id_in
from producers.http.problems import Refused

router = APIRouter()
SCREEN = Screen("/failover", "Failover", "route", router)
SHOWN_INCIDENTS = 20
#: Pages of about a hundred numbers whose routes are grouped; of a larger dry run these are the first.
GROUPED_PAGES = 20
#: How long an answer waits for the numbers of a plan. They come all the same.
REFRESH_WITHIN_S = 8.0
#: Numbers of a plan that are older than this are named as old: workers refresh them every five minutes.
OLD_S = 900.0
_REFERENCE = "failover-check"
_PLAN_NAME: TypeAdapter[str] = TypeAdapter(PlanName)


@router.get("/failover")
async def show(visit: Visiting) -> Response:
    """What is prepared, and what was moved."""
    visit.caller.need(ApiScope.READ)
    visit.caller.need_all_seen()
    plans = await visit.services.blocked(visit.caller, lambda didflow: Failover(didflow).plans())
    now = datetime.now(UTC)
    return visit.page(
        "failover.html",
        plans=[(plan, plan.age_s(now)) for plan in plans],
        old_s=OLD_S,
        incidents=await AsyncIncidents(visit.services.didflow).all(SHOWN_INCIDENTS),
        may_move=visit.may(ApiScope.REROUTE),
    )


@router.post("/failover/refresh")
async def refresh(visit: Visiting, form: Posted) -> Response:
    """A worker selects the plan's numbers now."""
    _need_moves(visit)
    return visit.goes_to("/failover", done=await _refreshed(visit, form["plan"], "plan_refreshed"))


@router.post("/failover/plan/save")
async def save_plan(visit: Visiting, form: Posted) -> Response:
    """Keep what a dry run has checked as a plan, and select its numbers. One of the same name is replaced only if that was ticked."""
    _need_moves(visit)
    view, (name,) = await _check_named(visit, form["check"]), given.together(lambda: _PLAN_NAME.validate_python(form["plan_name"]))
    if view.state is not JobState.SUCCEEDED:
        raise Refused(409, "not_checked", "the dry run hasn't succeeded: read what it says first")
    request = view.request
    assert isinstance(request, Reroute)
    if await _plan_named(visit, name) is not None:
        if not form.has("replace"):
            raise Refused(409, "plan_exists", f"there is a plan {name!r}: choose another name, or tick that it is replaced")
        visit.need_reason()

    def keep(didflow: Didflow) -> None:
        Failover(didflow, account=view.account).keep_plan(name, request.model_copy(update={"dry_run": False}))

    await visit.services.blocked(visit.caller, keep)
    return visit.goes_to("/failover", done=await _refreshed(visit, name, "plan_saved"))


@router.post("/failover/plan/remove")
async def remove_plan(visit: Visiting, form: Posted) -> Response:
    """What it has moved stays moved, and can be brought back."""
    _need_moves(visit)
    visit.need_reason()
    name = form["plan"]
    await visit.services.blocked(visit.caller, lambda didflow: Failover(didflow).delete_plan(name))
    return visit.goes_to("/failover", done="plan_removed")


@router.post("/failover/check")
async def check(visit: Visiting, form: Posted) -> Response:
    """A dry run of a plan, or of what the form selects. It moves nothing."""
    _need_moves(visit)
    name = form["plan"]

    def submit(didflow: Didflow) -> Job:
        if name:
            plan = Failover(didflow).get_plan(name)
            return didflow.submit(dry_run_of(plan), reference=_REFERENCE, account=plan.account)
        return didflow.submit(_wanted(form), reference=_REFERENCE, account=form["account"] or "default")

    job = await visit.services.blocked(visit.caller, submit)
    return visit.goes_to(f"/failover/check/{job.id}", plan=name)


@router.get("/failover/check/{job_id}")
async def show_check(visit: Visiting, job_id: str, plan: Annotated[str, Query(max_length=60)] = "") -> Response:
    """What would move, by present route; and the form that starts it."""
    visit.caller.need(ApiScope.READ)
    visit.caller.need_all_seen()
    view = await _check_named(visit, job_id)
    pages = await pages_of(visit.services, view) if view.state in REPORTED else 0
    numbers = [number for page in range(1, min(pages, GROUPED_PAGES) + 1) for number in await _numbers(visit, view, page)]
    request = view.request
    assert isinstance(request, Reroute)
    kept = await _plan_named(visit, plan) if plan else None
    return visit.page(
        "failover_check.html",
        job=view,
        plan=plan,
        kept=kept,
        old_s=OLD_S,
        plan_age_s=kept.age_s(datetime.now(UTC)) if kept else None,
        goes_on=view.state not in REPORTED,
        succeeded=view.state is JobState.SUCCEEDED,
        title=title_of(view),
        groups=grouped(numbers),
        grouped_numbers=len(numbers),
        is_part=pages > GROUPED_PAGES,
        moves=would_move(view, numbers),
        inactive=sum(number.takes_calls is False for number in numbers),
        to=request.destinations,
        age_s=view.result.inventory_age_s if view.result else None,
        may_move=visit.may(ApiScope.REROUTE),
    )


@router.post("/failover/start")
async def start(visit: Visiting, form: Posted) -> Response:
    """Move the numbers of a dry run now. The incident's name is the idempotency key: repeated, it is the same job."""
    _need_moves(visit)
    incident, name = form["incident"], form["plan"]
    if not incident:
        raise Refused(422, "incident_missing", "type the incident's name: it ties the jobs together, and is the key of the way back")
    view = await _check_named(visit, form["check"])
    if view.state is not JobState.SUCCEEDED:
        raise Refused(409, "not_checked", "the dry run hasn't succeeded: read what it says first")
    request = view.request
    assert isinstance(request, Reroute)

    def move(didflow: Didflow) -> None:
        if name:
            Failover(didflow).run_plan(name, incident)
        else:
            Failover(didflow, account=view.account).move(incident, request.model_copy(update={"dry_run": False}))

    await visit.services.blocked(visit.caller, move)
    return visit.goes_to("/failover/incident", name=incident, done="moving")


@router.get("/failover/incident")
async def show_incident(visit: Visiting, name: Annotated[str, Query(max_length=200)]) -> Response:
    """Live counts, and how to stop or go back."""
    visit.caller.need(ApiScope.READ)
    visit.caller.need_all_seen()
    incident = await AsyncIncidents(visit.services.didflow).get(name)
    is_back = incident.failed_back in ("running", "partly", "yes")
    done, total = (incident.back, incident.moved) if is_back else (incident.moved, incident.numbers)
    return visit.page(
        "failover_incident.html",
        incident=incident,
        is_back=is_back,
        done=done,
        total=total,
        may_move=visit.may(ApiScope.REROUTE),
        may_fail_back=incident.failed_back in ("no", "partly") and (incident.moved > 0 or incident.goes_on),
    )


@router.post("/failover/stop")
async def stop(visit: Visiting, form: Posted) -> Response:
    """Cancel what hasn't ended, failbacks too. What has moved stays moved."""
    _need_moves(visit)
    visit.need_reason()
    await AsyncIncidents(visit.didflow).cancel(form["incident"])
    return visit.goes_to("/failover/incident", name=form["incident"], done="stopped")


@router.post("/failover/back")
async def back(visit: Visiting, form: Posted) -> Response:
    """Restore the previous routes, when the incident's name was typed. A move that hasn't ended is cancelled first."""
    _need_moves(visit)
    if form["typed"] != form["incident"]:
        raise Refused(422, "name_differs", f"type the incident's name as it is written, {form['incident']!r}: nothing was changed")
    visit.need_reason()
    ways = await AsyncIncidents(visit.didflow).failback(form["incident"])
    return visit.goes_to("/failover/incident", name=form["incident"], done="bringing_back" if ways else "nothing_back")


def _need_moves(visit: Visit) -> None:
    visit.caller.need(ApiScope.REROUTE)
    visit.caller.need_all_seen()


async def _plan_named(visit: Visit, name: str) -> FailoverPlan | None:
    with suppress(PlanNotFound):
        return await visit.services.blocked(visit.caller, lambda didflow: Failover(didflow).get_plan(name))
    return None


async def _refreshed(visit: Visit, name: str, done: str) -> str:
    """Have a worker select the plan's numbers. The notice: `done`, or what went otherwise."""
    try:
        plan = await visit.services.blocked(visit.caller, lambda didflow: Failover(didflow).refresh_plan(name, REFRESH_WITHIN_S))
    except WaitTimeout:
        return "plan_later"
    return "plan_trouble" if plan.trouble else done


async def _check_named(visit: Visit, job_id: str) -> JobView:
    """The dry run of a reroute. Raises JobNotFound, also for any other job."""
    view = await visit.services.job(visit.caller, job_id_in(job_id))
    if not isinstance(view.request, Reroute) or not view.request.dry_run:
        raise JobNotFound(job_id)
    return view


async def _numbers(visit: Visit, view: JobView, page: int) -> list[NumberResult]:
    return [number async for number in visit.services.didflow.numbers(view.id, page=page)]


def _wanted(form: Form) -> Reroute:
    """The dry run that the form describes. Raises InvalidRequest."""
    trunk, destination = form["trunk"], form["destination"]
    if trunk and not trunk.isdecimal():
        raise InvalidRequest("trunk: is the trunk's id, a number", (("trunk", "is the trunk's id, a number"),))
    chosen: dict[str, Any] = {"trunk_id": int(trunk)} if trunk else {}
    chosen |= {"destination": destination} if destination else {}
    if not chosen:
        raise InvalidRequest("from: name the trunk or the destination", (("from", "name the trunk or the destination that fails"),))
    to = tuple(Destination.parse(one, priority=priority) for priority, one in enumerate(form["to"].replace(",", " ").split(), 1))
    return built(Reroute, {"selector": Selector(**chosen), "destinations": to, "dry_run": True})
