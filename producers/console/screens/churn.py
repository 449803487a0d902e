"""Customers who leave: whose numbers go when, which releases were called off, and a CSV of who left and who came back."""

import hashlib
from datetime import timedelta
from itertools import groupby
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from didflow.client.sync.client import Didflow
from didflow.contract.api_keys import ApiScope
from didflow.contract.departures import Departures, Standing
from didflow.contract.errors import ServiceUnavailable, WrongJob
from didflow.contract.job_kinds import gives_back
from didflow.contract.requests import Release
from didflow.contract.states import JobState
from didflow.ledger.job_pages import dry_runs, jobs_page
from producers.churn import Churn
from producers.churn_csv import COLUMNS, ChurnLine
from producers.console.screen import Screen
from producers.console.visit import Posted, Visit, Visiting
from producers.http.jobs import job_id_in
from producers.http.problems import Refused

router = APIRouter()
SCREEN = Screen("/churn", "Churn", "calendar", router)
#: Lines of one upload: a person waits for the report.
MOST_LINES = 5_000
#: Releases that were called off, and jobs that are read to find them.
CALLED_OFF, READ_AT_MOST = 20, 1_000
#: A line with one of these does not do all that it says.
WRONG = ("refused", "conflict", "unknown_customer", "gone", "partly_gone", "unclear")


@router.get("/churn")
async def show(visit: Visiting, days: Annotated[float, Query(ge=0, le=36_500)] = 30.0) -> Response:
    """The releases to come by day, and those that were called off last."""
    visit.caller.need(ApiScope.READ)
    found = [one for one in await visit.services.didflow.upcoming(timedelta(days=days)) if visit.caller.sees(one.account, one.reference)]
    by_day = [(day, list(some)) for day, some in groupby(found, _day)]
    ledger = visit.services.didflow.ledger
    page = await ledger.perform(
        jobs_page(
            ledger.commands,
            wanted=lambda line: gives_back(line.kind) and visit.caller.sees(line.account, line.reference),
            state=JobState.CANCELLED,
            limit=CALLED_OFF,
            read_at_most=READ_AT_MOST,
        )
    )
    return visit.page(
        "churn.html",
        by_day=by_day,
        days=days,
        called_off=page.jobs,
        dry_runs=await ledger.perform(dry_runs(ledger.commands, page.jobs)),
        numbers=sum(len(one.numbers) for one in found),
        parked=sum(one.count(Standing.PARKED) for one in found),
        protected=sum(one.count(Standing.PROTECTED, Standing.STAYS) for one in found),
        may=visit.may(ApiScope.RELEASE),
    )


@router.post("/churn/{job_id}/call-off")
async def call_off(visit: Visiting, job_id: str) -> Response:
    """Cancel a release: what hasn't gone stays, and workers restore the routes."""
    view = await visit.services.job(visit.caller, job_id_in(job_id))
    visit.caller.need(ApiScope.RELEASE, ApiScope.OPERATE)
    if not isinstance(view.request, Release) or view.request.dry_run:
        raise WrongJob(f"job {view.id} is no release")
    if view.state.is_terminal:
        return visit.goes_to("/churn", done="too_late")
    await visit.didflow.cancel(view.id)
    return visit.goes_to("/churn", done="called_off")


@router.get("/churn/csv")
async def ask_for_csv(visit: Visiting) -> Response:
    _need_release(visit)
    return visit.page("churn_csv.html", text="", report=None, columns=COLUMNS, most=MOST_LINES)


@router.post("/churn/csv")
async def take_csv(visit: Visiting, form: Posted) -> Response:
    """First a dry run of every line. Then, with the count of the lines and a reason, the same text is acted on; twice is once."""
    _need_release(visit)
    text = next((value for name, value in form.fields if name == "csv"), "")
    lines = text.splitlines()
    count = sum(bool(line.strip()) for line in lines) - 1
    if count > MOST_LINES:
        raise Refused(413, "body_too_large", f"{count} lines are too many, {MOST_LINES} go at once: `didflow churn csv` takes any number")
    does = form.has("checked")
    if does:
        if form["checked"] != _digest(text):
            raise Refused(422, "not_checked", "this text isn't the one that the dry run has checked: check it first")
        if form["lines"] != str(count):
            raise Refused(422, "size_differs", f"the file has {count} lines, and another count was typed: nothing was done")
        visit.need_reason()
    account = form["account"] or "default"
    done: list[ChurnLine] = []

    def act(didflow: Didflow) -> str:
        try:
            for line in Churn(didflow, account=account).from_csv(lines, dry_run=not does):
                done.append(line)
        except ServiceUnavailable as error:
            return str(error)
        return ""

    stopped = await visit.services.blocked(visit.caller, act)
    return visit.page(
        "churn_csv.html",
        text=text,
        report=done,
        wrong=[line for line in done if line.outcome in WRONG],
        wrong_words=WRONG,
        count=count,
        checked=_digest(text),
        does=does,
        stopped=stopped,
        account=account,
        columns=COLUMNS,
        most=MOST_LINES,
    )


def _need_release(visit: Visit) -> None:
    visit.caller.need(ApiScope.RELEASE)
    visit.caller.need_all_seen()


def _day(one: Departures) -> str:
    return f"{one.goes_at:%A, %d %B %Y}" if one.goes_at else "Not known when"


def _digest(text: str) -> str:
    """The digest of the text; line ends don't count, because browsers change them."""
    return hashlib.sha256("\n".join(text.splitlines()).encode("utf-8", "replace")).hexdigest()
