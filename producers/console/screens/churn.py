"""Customers who leave: whose numbers go when, which releases were called off, and a CSV of who left and who came back."""

import hashlib
from dataclasses import dataclass
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
from producers.console.error_pages import refused_form
from producers.console.forms import Form
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
    visit.need_reason()
    await visit.didflow.cancel(view.id)
    return visit.goes_to("/churn", done="called_off")


@router.get("/churn/csv")
async def ask_for_csv(visit: Visiting) -> Response:
    _need_release(visit)
    return visit.page("churn_csv.html", found=_List("", "default"), report=None, columns=COLUMNS, most=MOST_LINES)


@router.post("/churn/csv")
async def check_csv(visit: Visiting, form: Posted) -> Response:
    """A dry run of every line: what it would do."""
    _need_release(visit)
    return await _reported(visit, _list_in(form))


@router.get("/churn/csv/act")
async def ask_again(visit: Visiting) -> Response:
    """Where a reader comes to after a login: what was typed is gone, so the list is asked for again."""
    _need_release(visit)
    return visit.goes_to("/churn/csv")


@router.post("/churn/csv/act")
async def act_on_csv(visit: Visiting, form: Posted) -> Response:
    """Act on the text that was checked, with the count of its lines and a reason; twice is once. A refusal shows the dry run again."""
    _need_release(visit)
    found = _list_in(form)
    try:
        _check_confirmed(visit, form, found)
    except Refused as refused:
        visit.request.state.refused = refused_form(visit.request, form, refused)
        return await _reported(visit, found, status=refused.status_code)
    return await _reported(visit, found, does=True)


@dataclass(frozen=True)
class _List:
    """A CSV as it was typed. `count`: its lines without the header."""

    text: str
    account: str

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def count(self) -> int:
        return sum(bool(line.strip()) for line in self.lines) - 1

    @property
    def digest(self) -> str:
        """Of its lines; line ends don't count, because browsers change them."""
        return hashlib.sha256("\n".join(self.lines).encode("utf-8", "replace")).hexdigest()


def _list_in(form: Form) -> _List:
    """Raises Refused (413)."""
    found = _List(next((value for name, value in form.fields if name == "csv"), ""), form["account"] or "default")
    if found.count > MOST_LINES:
        what = f"{found.count} lines are too many, {MOST_LINES} go at once: `didflow churn csv` takes any number"
        raise Refused(413, "body_too_large", what)
    return found


def _check_confirmed(visit: Visit, form: Form, found: _List) -> None:
    """Raises Refused (422)."""
    if form["checked"] != found.digest:
        raise Refused(422, "not_checked", "this text isn't the one that the dry run has checked: read what it says now")
    if form["lines"] != str(found.count):
        raise Refused(422, "size_differs", f"the file has {found.count} lines, and another count was typed: nothing was done")
    visit.need_reason()


async def _reported(visit: Visit, found: _List, *, does: bool = False, status: int = 200) -> Response:
    """The page with what becomes of each line, or with what would. `does`: act on them."""
    done: list[ChurnLine] = []

    def act(didflow: Didflow) -> str:
        try:
            for line in Churn(didflow, account=found.account).from_csv(found.lines, dry_run=not does):
                done.append(line)
        except ServiceUnavailable as error:
            return str(error)
        return ""

    stopped = await visit.services.blocked(visit.caller, act)
    wrong = [line for line in done if line.outcome in WRONG]
    said = {"report": done, "wrong": wrong, "wrong_words": WRONG, "does": does, "stopped": stopped}
    return visit.page("churn_csv.html", status=status, found=found, columns=COLUMNS, most=MOST_LINES, **said)


def _need_release(visit: Visit) -> None:
    visit.caller.need(ApiScope.RELEASE)
    visit.caller.need_all_seen()


def _day(one: Departures) -> str:
    return f"{one.goes_at:%A, %d %B %Y}" if one.goes_at else "Not known when"
