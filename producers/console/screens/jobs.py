"""Jobs, and one job: what it did, what it was answered, and which witness decided."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response, StreamingResponse

from didflow.contract.api_keys import ApiScope
from didflow.contract.job_kinds import KINDS
from didflow.contract.jobs import JobView
from didflow.contract.results import NumberResult
from didflow.contract.states import REPORTED, JobState
from didflow.ledger.job_pages import BEGINNING, JobLine, Place, dry_runs, jobs_page
from producers.cli.next_step import is_dry_run
from producers.console.formats import kind_name, words
from producers.console.job_advice import advice
from producers.console.job_rounds import by_round, rounds
from producers.console.job_search import search
from producers.console.job_story import chapters, shell_commands, title_of, waits_because
from producers.console.screen import Screen
from producers.console.visit import Visit, Visiting
from producers.http.cursors import cursor_of, parts_of
from producers.http.job_numbers import csv_lines, pages_of
from producers.http.jobs import job_id_in
from producers.http.submit import scope_of

router = APIRouter()
SCREEN = Screen("/jobs", "Jobs", "list", router, for_limited=True)

PER_PAGE = 50
#: Jobs that are read for a page: a filter by kind or account may leave few of them, and a person waits.
READ_AT_MOST = 1_000
#: What the filters offer: values and their texts.
STATES = (("", "any state"), *((state.value, words(state.value)) for state in JobState))
KIND_CHOICES = (("", "any kind"), *((kind, kind_name(kind)) for kind in KINDS))
Text = Annotated[str, Query(max_length=200)]


@router.get("/jobs")
async def list_jobs(
    visit: Visiting, q: Text = "", state: str = "", kind: Text = "", account: Text = "", reference: Text = "", cursor: Text = ""
) -> Response:
    """The newest first; with `q` those that a search finds."""
    visit.caller.need(ApiScope.READ)
    chosen = {"q": q.strip(), "state": state, "kind": kind, "account": account, "reference": reference}
    wanted_state = JobState(state) if state in set(JobState) else None

    def wanted(line: JobLine) -> bool:
        pairs = ((kind, line.kind), (account, line.account), (reference, line.reference))
        fits = wanted_state in (None, line.state) and all(chosen in ("", found) for chosen, found in pairs)
        return fits and visit.caller.sees(line.account, line.reference)

    rest, ledger = None, visit.services.didflow.ledger
    if chosen["q"]:
        jobs = tuple(filter(wanted, await search(visit, chosen["q"])))
        if len(jobs) == 1 and jobs[0].id == chosen["q"]:
            return visit.goes_to(f"/jobs/{jobs[0].id}")
    else:
        after = Place(*parts_of(cursor, int, str)) if cursor else BEGINNING
        page = await ledger.perform(
            jobs_page(
                ledger.commands,
                wanted=wanted,
                state=wanted_state,
                reference=reference or None,
                after=after,
                limit=PER_PAGE,
                read_at_most=READ_AT_MOST,
            )
        )
        jobs = page.jobs
        rest = None if page.rest is None else cursor_of(page.rest.submitted_ms, page.rest.job_id)
    return visit.page(
        "jobs.html",
        jobs=jobs,
        dry_runs=await ledger.perform(dry_runs(ledger.commands, jobs)),
        chosen=chosen,
        rest=rest,
        is_first=not cursor,
        states=STATES,
        kinds=KIND_CHOICES,
        shown=len(jobs),
    )


@router.get("/jobs/{job_id}")
async def show_job(visit: Visiting, job_id: str, page: Annotated[int, Query(ge=1, le=100_000)] = 1) -> Response:
    """Everything that is known of it."""
    visit.caller.need(ApiScope.READ)
    view = await visit.services.job(visit.caller, job_id_in(job_id))
    steps = await visit.services.didflow.explain(view.id)
    return visit.page(
        "job.html",
        job=view,
        title=title_of(view),
        advice=advice(view),
        is_dry_run=is_dry_run(view),
        story=[chapters(part) for part in by_round(steps)],
        rounds=rounds(view, steps),
        waits_because=waits_because(view, steps),
        numbers=[number async for number in _numbers(visit, view, page)],
        page=page,
        pages=await pages_of(visit.services, view),
        commands=shell_commands(view),
        goes_on=view.state not in REPORTED,
        may_cancel=not view.state.is_terminal and visit.may(scope_of(KINDS.get(view.kind)), ApiScope.OPERATE),
        may_retry=view.state is JobState.NEEDS_REVIEW and visit.may(ApiScope.OPERATE),
    )


@router.get("/jobs/{job_id}/numbers.csv")
async def download_numbers(visit: Visiting, job_id: str) -> Response:
    """All numbers of the job, as the API writes them."""
    visit.caller.need(ApiScope.READ)
    view = await visit.services.job(visit.caller, job_id_in(job_id))
    headers = {"Content-Disposition": f'attachment; filename="{view.id.replace(":", "-")}.csv"'}
    return StreamingResponse(csv_lines(visit.services, view), media_type="text/csv; charset=utf-8", headers=headers)


@router.post("/jobs/{job_id}/cancel")
async def cancel(visit: Visiting, job_id: str) -> Response:
    view = await visit.services.job(visit.caller, job_id_in(job_id))
    visit.caller.need(scope_of(KINDS.get(view.kind)), ApiScope.OPERATE)
    if view.state.is_terminal:
        return visit.goes_to(f"/jobs/{view.id}", done="too_late")
    visit.need_reason()
    after = await visit.didflow.cancel(view.id)
    return visit.goes_to(f"/jobs/{view.id}", done="cancelled" if after.state is JobState.CANCELLED else "cancel_asked")


@router.post("/jobs/{job_id}/retry")
async def retry(visit: Visiting, job_id: str) -> Response:
    visit.caller.need(ApiScope.OPERATE)
    view = await visit.services.job(visit.caller, job_id_in(job_id))
    await visit.didflow.retry(view.id)
    return visit.goes_to(f"/jobs/{view.id}", done="retried")


def _numbers(visit: Visit, view: JobView, page: int) -> AsyncIterator[NumberResult]:
    return visit.services.didflow.numbers(view.id, page=page)
