"""The evidence about parked jobs: what the console's screen *Needs review* shows."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from didflow.client.second_person import needs_second
from didflow.contract.api_keys import ApiScope
from didflow.contract.evidence import MOST_NUMBERS, FirstFinding, JobEvidence, NumberEvidence
from producers.http.access import Asking, Caller, needs
from producers.http.cursors import cursor_of, of_parts, parts_of
from producers.http.jobs import JobId, job_id_in
from producers.http.problems import problems
from producers.http.representation import answer, etag, without_rows, written
from producers.http.routes import StrictRoute
from producers.http.services import Services, Serving

router = APIRouter(tags=["jobs"], route_class=StrictRoute)


@dataclass(frozen=True)
class Evidence:
    """The evidence about the open numbers of a parked job, a page of it.

    if_match             the job's ETag, for `If-Match` of `resolve`: the finding is refused if the job looked again since
    open_count           how many numbers are open, on all pages
    at_stake_usd         what they cost, activation and first month
    needs_second_person  whether two people decide on it
    first_finding        what the first person found; null: nobody did
    """

    job_id: str
    if_match: str
    open_count: int
    at_stake_usd: Decimal
    needs_second_person: bool
    first_finding: FirstFinding | None
    numbers: tuple[NumberEvidence, ...]
    next_cursor: str | None


async def found(services: Services, caller: Caller, job_id: str, after: str | None = None, limit: int = MOST_NUMBERS) -> JobEvidence:
    """The evidence about a job that the caller sees. Raises JobNotFound, WrongJob, InvalidRequest."""
    view = await services.job(caller, job_id_in(job_id))
    return await services.didflow.evidence(view.id, settle_s=services.review.settle_s, after=after, limit=limit)


@router.get(
    "/jobs/{job_id}/evidence",
    dependencies=[needs(ApiScope.READ)],
    response_model=Evidence,
    responses=problems(404, 409),
    summary="Read the evidence about a parked job",
)
async def read_evidence(
    services: Serving,
    caller: Asking,
    job_id: JobId,
    limit: Annotated[int, Query(ge=1, le=MOST_NUMBERS)] = MOST_NUMBERS,
    cursor: Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before"), of_parts(str)] = None,
) -> Response:
    """For each open number what workers read last, when, and what it proves: checkout, owned list, cart, transactions.

    Nothing is asked of the provider: `GET /v1/numbers?max_age_s=0` has the owned list read now, and `retry` all of it.
    """
    after = parts_of(cursor, str)[0] if cursor else None
    one = await found(services, caller, job_id, after, limit)
    return answer(
        Evidence(
            one.job.id,
            etag(written(without_rows(one.job))),
            one.open_count,
            one.at_stake_usd,
            needs_second(one.job, services.review.second_person_usd),
            one.first_finding,
            one.numbers,
            None if one.next_after is None else cursor_of(one.next_after),
        )
    )
