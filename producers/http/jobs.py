"""Jobs: read, list, cancel, retry, resolve."""

import re
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from didflow.contract.api_keys import ApiScope
from didflow.contract.departures import Departures
from didflow.contract.errors import JobNotFound
from didflow.contract.job_kinds import KINDS
from didflow.contract.jobs import JobView, Step
from didflow.contract.progress import Tally
from didflow.contract.states import JobState
from didflow.ledger.job_pages import BEGINNING, JobLine, Place, jobs_page
from producers.http import findings
from producers.http.access import Asking, needs
from producers.http.cursors import cursor_of, of_parts, parts_of
from producers.http.problems import problems
from producers.http.representation import answer, shown
from producers.http.routes import StrictRoute
from producers.http.services import Serving
from producers.http.submit import scope_of

READS, OPERATES, RESOLVES = ([needs(scope)] for scope in (ApiScope.READ, ApiScope.OPERATE, ApiScope.RESOLVE))
router = APIRouter(tags=["jobs"], route_class=StrictRoute)

JobId = Annotated[str, Path(description="The job's id")]
_ID = re.compile(r"[0-9A-Za-z_-]{1,100}(?::[0-9]{1,9})?")


def job_id_in(path: str) -> str:
    """An id as jobs have them: other keys of the ledger begin like a job's. Raises JobNotFound."""
    if not _ID.fullmatch(path):
        raise JobNotFound(path)
    return path


class JobList(BaseModel):
    """A page of jobs, newest first. `next_cursor`: of the next page; null: this is the last one."""

    jobs: tuple[JobLine, ...]
    next_cursor: str | None


class Finding(BaseModel):
    """What a person found out about a parked purchase or release: the open numbers that took effect. The others didn't."""

    model_config = ConfigDict(extra="forbid")

    took_effect: Annotated[tuple[str, ...], Field(max_length=10_000, description="E.164; an empty list: none of them did")]


@router.get("/jobs", dependencies=READS, response_model=JobList, responses=problems(422), summary="List jobs")
async def list_jobs(
    services: Serving,
    caller: Asking,
    state: Annotated[JobState | None, Query(description="Jobs in this state")] = None,
    reference: Annotated[str | None, Query(min_length=1, max_length=200, description="Jobs with this reference")] = None,
    key: Annotated[str | None, Query(min_length=1, max_length=200, description="The job with this idempotency key")] = None,
    kind: Annotated[str | None, Query(max_length=50, description="Jobs of this kind")] = None,
    account: Annotated[str | None, Query(min_length=1, max_length=200, description="Jobs of this account")] = None,
    cursor: Annotated[str | None, Query(max_length=400, description="`next_cursor` of the page before"), of_parts(int, str)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    """The newest jobs first. A page may have fewer jobs than `limit`, and yet a next one."""
    after = Place(*parts_of(cursor, int, str)) if cursor else BEGINNING

    def wanted(line: JobLine) -> bool:
        fits = (key in (None, line.idempotency_key), kind in (None, line.kind), account in (None, line.account))
        return all(fits) and reference in (None, line.reference) and caller.sees(line.account, line.reference)

    if key is not None:
        found = await services.didflow.find(idempotency_key=key)
        jobs = tuple(line for view in found if (line := line_of(view)).state in (state or line.state,) and wanted(line))
        return answer(JobList(jobs=jobs, next_cursor=None))
    commands = services.didflow.ledger.commands
    page = await services.didflow.ledger.perform(
        jobs_page(commands, wanted=wanted, state=state, reference=reference, after=after, limit=limit)
    )
    rest = None if page.rest is None else cursor_of(page.rest.submitted_ms, page.rest.job_id)
    return answer(JobList(jobs=page.jobs, next_cursor=rest))


def line_of(view: JobView) -> JobLine:
    """The same job without its request and its result."""
    return JobLine(**{name: getattr(view, name) for name in JobLine.__dataclass_fields__})


@router.get("/jobs/{job_id}", dependencies=READS, response_model=JobView, responses=problems(404), summary="Read a job")
async def read_job(services: Serving, caller: Asking, job_id: JobId) -> Response:
    """The ETag is what `resolve` takes in `If-Match`. Numbers of a large job are left out, as its `summary` says."""
    view = await services.job(caller, job_id_in(job_id))
    return await shown(view)


@router.get(
    "/jobs/{job_id}/steps",
    dependencies=READS,
    response_model=tuple[Step, ...],
    responses=problems(404),
    summary="List steps",
)
async def list_steps(services: Serving, caller: Asking, job_id: JobId) -> Response:
    """What the job did and why, oldest first."""
    view = await services.job(caller, job_id_in(job_id))
    return answer(await services.didflow.ledger.perform(services.didflow.ledger.commands.steps(view.id)), tuple[Step, ...])


@router.get("/jobs/{job_id}/tally", dependencies=READS, response_model=Tally, responses=problems(404), summary="Count a job's numbers")
async def read_tally(services: Serving, caller: Asking, job_id: JobId) -> Response:
    """The numbers of a reroute or failback by outcome, also while it runs."""
    view = await services.job(caller, job_id_in(job_id))
    return answer(await services.blocked(caller, lambda didflow: didflow.tally(view.id)))


@router.get(
    "/jobs/{job_id}/departures",
    dependencies=READS,
    response_model=Departures,
    responses={204: {"description": "Nothing leaves: another kind of job, a dry run, or it has ended"}, **problems(404)},
    summary="Read when numbers leave",
)
async def read_departures(services: Serving, caller: Asking, job_id: JobId) -> Response:
    """When each number of a release will be released, and which won't."""
    view = await services.job(caller, job_id_in(job_id))
    found = await services.blocked(caller, lambda didflow: didflow.departures(view.id))
    return Response(status_code=204) if found is None else answer(found)


@router.post("/jobs/{job_id}/cancel", response_model=JobView, responses=problems(404), summary="Cancel a job")
async def cancel_job(services: Serving, caller: Asking, job_id: JobId) -> Response:
    """A job that hasn't started is cancelled at once; a running job undoes what can be undone; an ended one doesn't change."""
    view = await services.job(caller, job_id_in(job_id))
    caller.need(scope_of(KINDS.get(view.kind)), ApiScope.OPERATE)
    return await shown(await services.blocked(caller, lambda didflow: didflow.cancel(view.id)))


@router.post(
    "/jobs/{job_id}/retry",
    dependencies=OPERATES,
    response_model=JobView,
    responses=problems(404),
    summary="Retry a parked job",
)
async def retry_job(services: Serving, caller: Asking, job_id: JobId) -> Response:
    """It continues from its last checkpoint. A job that isn't parked doesn't change."""
    view = await services.job(caller, job_id_in(job_id))
    return await shown(await services.blocked(caller, lambda didflow: didflow.retry(view.id)))


@router.post(
    "/jobs/{job_id}/resolve",
    dependencies=RESOLVES,
    response_model=JobView,
    responses=problems(404, 409, 412, 413, 415),
    summary="End a parked job with a finding",
)
async def resolve_job(
    services: Serving,
    caller: Asking,
    job_id: JobId,
    finding: Finding,
    if_match: Annotated[str | None, Header(description="The ETag of the job as you read it: 412 if it changed since")] = None,
) -> Response:
    """Writes the only result of a parked purchase or release.

    Above the amount of `DIDFLOW_SECOND_PERSON_USD` the first finding is kept (409), and the same finding by another key ends the job.
    """
    view = await services.job(caller, job_id_in(job_id))
    return await shown(await findings.end(services, caller, view, finding.took_effect, if_match=if_match))
