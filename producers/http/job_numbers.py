"""The numbers of a job, page by page, or all of them as CSV."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse

from didflow.client.job_numbers import PER_PAGE, in_result
from didflow.contract.api_keys import ApiScope
from didflow.contract.jobs import JobView
from didflow.contract.results import NumberResult
from producers.http.access import Asking, needs
from producers.http.cursors import cursor_of, parts_of
from producers.http.jobs import JobId, job_id_in
from producers.http.problems import problems
from producers.http.representation import answer
from producers.http.routes import StrictRoute
from producers.http.services import Services, Serving
from producers.job_numbers_csv import COLUMNS, cells

router = APIRouter(tags=["jobs"], route_class=StrictRoute)
_CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}


class NumberList(BaseModel):
    """About a hundred numbers of a job. `outcome` null: not decided yet. `next_cursor` null: this is the last page."""

    numbers: tuple[NumberResult, ...]
    next_cursor: str | None


@router.get(
    "/jobs/{job_id}/numbers",
    dependencies=[needs(ApiScope.READ)],
    response_model=NumberList,
    responses={**_CSV, **problems(404)},
    summary="List the numbers of a job",
)
async def list_numbers(
    services: Serving,
    caller: Asking,
    job_id: JobId,
    cursor: Annotated[str | None, Query(max_length=400, description="`next_cursor` of the page before")] = None,
    accept: Annotated[str, Header(description="`text/csv`: all numbers as CSV")] = "application/json",
) -> Response:
    """What became of each number, also while the job runs."""
    view = await services.job(caller, job_id_in(job_id))
    if "text/csv" in accept and cursor is None:
        name = f'attachment; filename="{view.id.replace(":", "-")}.csv"'
        return StreamingResponse(_lines(services, view), media_type="text/csv; charset=utf-8", headers={"Content-Disposition": name})
    (page,) = parts_of(cursor, int) if cursor else (1,)
    found = tuple([number async for number in services.didflow.numbers(view.id, page=max(1, page))])
    pages = await _pages(services, view)
    return answer(NumberList(numbers=found, next_cursor=cursor_of(page + 1) if page < pages else None))


async def _pages(services: Services, view: JobView) -> int:
    ledger = services.didflow.ledger
    counted: int = await ledger.perform(ledger.commands.pages(view.id))
    return counted or -(-len(in_result(view)) // PER_PAGE)


async def _lines(services: Services, view: JobView) -> AsyncIterator[str]:
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(COLUMNS)
    async for number in services.didflow.numbers(view.id):
        lines.writerow(cells(number))
        if text.tell() > 60_000:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()
