"""Needs review: the evidence about each open number of a parked job, what it proves, and the person's decision."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from didflow.client.aio.inventory import AsyncInventory
from didflow.client.review import open_numbers
from didflow.client.second_person import needs_second
from didflow.client.sync.client import Didflow
from didflow.contract.api_keys import ApiScope
from didflow.contract.errors import InventoryTimeout, SecondPersonNeeded, SweepFailed, WrongJob
from didflow.contract.evidence import FirstFinding, NumberEvidence
from didflow.contract.job_kinds import buys
from didflow.contract.jobs import JobView
from didflow.contract.results import NumberResult
from didflow.contract.states import JobState
from didflow.ledger.metrics import measures
from producers.cli.next_step import to_settle
from producers.console.job_story import title_of
from producers.console.screen import Screen
from producers.console.visit import Posted, Visit, Visiting
from producers.http import evidence, findings
from producers.http.jobs import job_id_in
from producers.http.operations import AccountStanding, give_finding_of, standing_of
from producers.http.problems import Refused
from producers.http.representation import etag, without_rows, written

router = APIRouter()
SCREEN = Screen("/review", "Needs review", "person", router, for_limited=True)
#: Jobs of a page.
PER_PAGE = 50
#: How long an answer waits for a worker that reads the owned list. It is read all the same.
READ_WITHIN_S = 8.0


@router.get("/review")
async def show(visit: Visiting, page: Annotated[int, Query(ge=1, le=100)] = 1) -> Response:
    """Every parked job, and what keeps a gate closed."""
    visit.caller.need(ApiScope.READ)
    found = await visit.services.didflow.find(state=JobState.NEEDS_REVIEW, limit=PER_PAGE + 1, offset=(page - 1) * PER_PAGE)
    jobs = [(view, title_of(view), _open_ones(view)) for view in found[:PER_PAGE] if visit.caller.sees(view.account, view.reference)]
    standings = await _closed_gates(visit) if visit.caller.sees_all else []
    return visit.page(
        "review.html",
        jobs=jobs,
        page=page,
        has_more=len(found) > PER_PAGE,
        standings=standings,
        may_operate=visit.may(ApiScope.OPERATE),
    )


@router.get("/review/{job_id}")
async def show_job(visit: Visiting, job_id: str) -> Response:
    """Its open numbers with the evidence; more than a page of them are decided by command. One that isn't parked shows how it stands."""
    visit.caller.need(ApiScope.READ)
    view = await visit.services.job(visit.caller, job_id_in(job_id))
    if view.state is not JobState.NEEDS_REVIEW:
        return visit.goes_to(f"/jobs/{view.id}", done=visit.request.query_params.get("done") or "not_parked")
    found = None
    with suppress(WrongJob):  # It names no open number, or another person has just ended it.
        found = await evidence.found(visit.services, visit.caller, view.id)
    first = found.first_finding if found else None
    return visit.page(
        "review_job.html",
        job=view,
        title=title_of(view),
        advice=to_settle(view),
        evidence=found.numbers if found else (),
        too_many=found is not None and found.next_after is not None,
        count=found.open_count if found else 0,
        word="bought" if buys(view.kind) else "released",
        at_stake=found.at_stake_usd if found else None,
        limit=visit.services.review.second_person_usd,
        needs_second=found is not None and needs_second(found.job, visit.services.review.second_person_usd),
        first=first,
        is_first=first is not None and first.actor == visit.caller.name,
        tag=etag(written(without_rows(found.job if found else view))),
        may_resolve=visit.may(ApiScope.RESOLVE),
        may_retry=visit.may(ApiScope.OPERATE),
        chosen=_chosen(found.numbers if found else (), first),
    )


@router.post("/review/{job_id}/read")
async def read_owned(visit: Visiting, job_id: str) -> Response:
    """Have a worker read the whole owned list."""
    visit.caller.need(ApiScope.RESOLVE, ApiScope.OPERATE)
    view = await visit.services.job(visit.caller, job_id_in(job_id))
    done = "owned_read"
    try:
        await AsyncInventory(visit.didflow, account=view.account).refresh(timeout_s=READ_WITHIN_S)
    except InventoryTimeout:
        done = "owned_later"
    except SweepFailed:
        done = "owned_failed"
    return visit.goes_to(f"/review/{view.id}", done=done)


@router.post("/review/{job_id}/retry")
async def look_again(visit: Visiting, job_id: str) -> Response:
    """A worker reads the cart, the owned list and the transactions again, and settles what they prove."""
    visit.caller.need(ApiScope.OPERATE)
    view = await visit.services.job(visit.caller, job_id_in(job_id))
    await visit.didflow.retry(view.id)
    return visit.goes_to(f"/jobs/{view.id}", done="retried")


@router.post("/review/{job_id}/resolve")
async def resolve(visit: Visiting, job_id: str, form: Posted) -> Response:
    """The person's finding about every open number, of the job as it was when the evidence was shown."""
    visit.caller.need(ApiScope.RESOLVE)
    view = await visit.services.job(visit.caller, job_id_in(job_id))
    visit.need_reason()
    took_effect = _decided(form["tag"], view, {name: value for name, value in form.fields if name.startswith("+")})
    try:
        await findings.end(visit.services, visit.caller, view, took_effect, if_match=form["tag"])
    except SecondPersonNeeded:
        return visit.goes_to(f"/review/{view.id}", done="second_needed")
    return visit.goes_to(f"/jobs/{view.id}", done="resolved")


@router.post("/review/give")
async def give(visit: Visiting, form: Posted) -> Response:
    """A finding of a closed gate belongs to this purchase, as the person says."""
    visit.caller.need(ApiScope.OPERATE)
    account = form["account"]
    visit.caller.need_sight(account, None)
    view = await visit.services.job(visit.caller, job_id_in(form["job"]))
    visit.need_reason()
    number, name = form["number"], visit.caller.name
    await visit.services.blocked(visit.caller, lambda didflow: give_finding_of(didflow, account, number, view, name))
    return visit.goes_to("/review", done="give_kept")


def _decided(tag: str, view: JobView, given: dict[str, str]) -> list[str]:
    """The numbers that took effect. Raises Refused (422) unless there is a yes or a no for each open number, and WrongJob."""
    if not tag:
        raise Refused(422, "no_tag", "the form doesn't say what was seen: open the page again")
    missing = [number.number for number in open_numbers(view) if given.get(number.number) not in ("yes", "no")]
    # A job that has changed has other open numbers: that it changed is what is to be said, by the tag.
    if missing and set(given) & {number.number for number in open_numbers(view)}:
        what = f"decide each open number; {', '.join(missing[:5])} has neither a yes nor a no"
        raise Refused(422, "not_decided", what)
    if not given:
        raise Refused(422, "not_decided", "choose for each open number whether it took effect")
    return [number for number, value in given.items() if value == "yes"]


def _open_ones(view: JobView) -> Sequence[NumberResult]:
    with suppress(WrongJob):
        return open_numbers(view)
    return ()


def _chosen(evidence: Sequence[NumberEvidence], first: FirstFinding | None) -> dict[str, str]:
    """What the form begins with: what the first person found, else what is proven. What isn't proven has to be chosen."""
    if first is not None:
        return {one.number: "yes" if one.number in first.took_effect else "no" for one in evidence}
    return {one.number: one.proposal.verdict for one in evidence if one.proposal.verdict != "unknown"}


async def _closed_gates(visit: Visit) -> list[AccountStanding]:
    """The accounts whose gate waits for a person."""
    ledger = visit.services.didflow.ledger
    names = sorted({"default", *(await ledger.perform(measures(ledger.commands))).accounts})

    def read(didflow: Didflow) -> list[AccountStanding]:
        return [standing for name in names if (standing := standing_of(didflow, name)).findings]

    return await visit.services.blocked(visit.caller, read)
