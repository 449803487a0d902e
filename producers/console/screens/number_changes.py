"""Reroute or release many numbers: a set that a dry run has frozen, and whose size a person types.

The dry run's request holds the record ids. What is submitted then is the same request, under a key of the dry run: so it takes effect once,
and on no other number.
"""

from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Query
from starlette.responses import Response

from didflow.client.aio.inventory import AsyncInventory
from didflow.contract.api_keys import ApiScope
from didflow.contract.destinations import Destination
from didflow.contract.errors import WrongJob
from didflow.contract.jobs import JobView
from didflow.contract.requests import Release, Reroute, built
from didflow.contract.states import REPORTED, JobState
from producers.console.forms import Form
from producers.console.number_filters import chosen_in, filter_from, query_of
from producers.console.visit import Posted, Visit, Visiting
from producers.http.inventory import may_see
from producers.http.job_numbers import pages_of
from producers.http.jobs import job_id_in
from producers.http.problems import Refused

router = APIRouter()
#: What each change needs.
SCOPES = {"reroute": ApiScope.REROUTE, "release": ApiScope.RELEASE}
Text = Annotated[str, Query(max_length=1000)]


@router.get("/numbers/change")
async def prepare(visit: Visiting, action: Text = "", account: Text = "default") -> Response:
    """The numbers that match now, and what is to be done with them."""
    _need(visit, action, account)
    chosen = chosen_in(visit.request.query_params)
    ids = await AsyncInventory(visit.services.didflow, account=account).record_ids(matching=filter_from(chosen))
    back = query_of(chosen, account="" if account == "default" else account)
    return visit.page("change_new.html", action=action, account=account, chosen=chosen, query=query_of(chosen), back=back, size=len(ids))


@router.post("/numbers/change")
async def rehearse(visit: Visiting, form: Posted) -> Response:
    """Submit the dry run. The set is frozen here, if it is still as large as it was shown."""
    action, account = form["action"], form["account"] or "default"
    _need(visit, action, account)
    matching = filter_from(chosen_in(dict(parse_qsl(form["query"]))))
    expected = _whole(form["size"])
    ids = await AsyncInventory(visit.services.didflow, account=account).record_ids(matching=matching, expected_count=expected)
    terms = {**_terms(action, form), "record_ids": ids, "expected_count": len(ids), "dry_run": True}
    request = built(Reroute, terms) if action == "reroute" else built(Release, terms)
    job = await visit.services.blocked(visit.caller, lambda didflow: didflow.submit(request, account=account))
    return visit.goes_to(f"/numbers/change/{job.id}")


@router.get("/numbers/change/{job_id}")
async def show(visit: Visiting, job_id: str) -> Response:
    """What the dry run found, and the form that does it."""
    view, request, action = await _dry_run(visit, job_id)
    ended = await visit.services.didflow.find(idempotency_key=key_of(view.id), limit=1)
    return visit.page(
        "change.html",
        job=view,
        action=action,
        request=request,
        size=len(request.record_ids),
        goes_on=view.state not in REPORTED,
        is_good=view.state in (JobState.SUCCEEDED, JobState.PARTIAL),
        numbers=[number async for number in visit.services.didflow.numbers(view.id, page=1)] if view.state in REPORTED else [],
        pages=await pages_of(visit.services, view),
        submitted=ended[0] if ended else None,
        may=visit.may(SCOPES[action]),
    )


@router.post("/numbers/change/{job_id}")
async def change(visit: Visiting, job_id: str, form: Posted) -> Response:
    """Do what the dry run looked at, once."""
    view, request, action = await _dry_run(visit, job_id)
    _need(visit, action, view.account)
    if view.state not in (JobState.SUCCEEDED, JobState.PARTIAL):
        raise WrongJob(f"the dry run is {view.state.value}: only one that has succeeded shows what would happen")
    if form["size"] != str(len(request.record_ids)):
        raise Refused(
            422, "size_differs", f"the set has {len(request.record_ids)} numbers, and another size was typed: nothing was submitted"
        )
    visit.need_reason()
    beside: dict[str, Any] = {"idempotency_key": key_of(view.id), "account": view.account}
    real = request.model_copy(update={"dry_run": False})
    job = await visit.services.blocked(visit.caller, lambda didflow: didflow.submit(real, **beside))
    return visit.goes_to(f"/jobs/{job.id}", done="submitted")


def key_of(dry_run: str) -> str:
    """The idempotency key of what a dry run of the console leads to."""
    return f"console:{dry_run}"


def _need(visit: Visit, action: str, account: str) -> None:
    if action not in SCOPES:
        raise Refused(422, "invalid_request", "action: is reroute or release")
    visit.caller.need(SCOPES[action])
    may_see(visit.caller, account)


async def _dry_run(visit: Visit, job_id: str) -> tuple[JobView, Reroute | Release, str]:
    """Raises WrongJob for any other job."""
    visit.caller.need(ApiScope.READ)
    view = await visit.services.job(visit.caller, job_id_in(job_id))
    may_see(visit.caller, view.account)
    if not isinstance(view.request, Reroute | Release) or not view.request.dry_run or not view.request.record_ids:
        raise WrongJob(f"job {view.id} is no dry run of a reroute or a release of records")
    return view, view.request, view.request.kind


def _terms(action: str, form: Form) -> dict[str, Any]:
    """What the form says beside the numbers. Raises InvalidRequest."""
    places = tuple(Destination.parse(text, priority=place) for place, text in enumerate(form["destinations"].split(), 1))
    if action == "reroute":
        return {"destinations": places}
    given = {name: form[name] for name in ("grace", "expected_reference") if form[name]}
    return given | ({"parking": places} if places else {})


def _whole(text: str) -> int:
    """Raises Refused."""
    if not text.isdecimal() or len(text) > 9:
        raise Refused(422, "invalid_request", "size: is the number of numbers that the page showed")
    return int(text)
