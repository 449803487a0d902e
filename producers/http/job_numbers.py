"""The numbers of a job, page by page, or all of them as CSV."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse

from didflow.client.job_numbers import PER_PAGE, as_ended, in_result, page_of
from didflow.contract.api_keys import ApiScope
from didflow.contract.jobs import JobView
from didflow.contract.results import NumberResult
from producers.http.access import Asking, needs
from producers.http.cursors import cursor_of, of_parts, parts_of
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
    cursor: Annotated[str | None, Query(max_length=400, description="`next_cursor` of the page before"), of_parts(int)] = None,
    accept: Annotated[str, Header(description="`text/csv`: all numbers as CSV")] = "application/json",
) -> Response:
    """What became of each number, also while the job runs."""
    view = await services.job(caller, job_id_in(job_id))
    if "text/csv" in accept and cursor is None:
        name = f'attachment; filename="{view.id.replace(":", "-")}.csv"'
        return StreamingResponse(csv_lines(services, view), media_type="text/csv; charset=utf-8", headers={"Content-Disposition": name})
    (page,) = parts_of(cursor, int) if cursor else (1,)
    found, pages = await _page_of(services, view, max(1, page))
    return answer(NumberList(numbers=tuple(found), next_cursor=cursor_of(page + 1) if page < pages else None))


async def _page_of(services: Services, view: JobView, page: int) -> tuple[Sequence[NumberResult], int]:
    """The numbers on a page of a job that was read, and how many pages there are."""
    ledger = services.didflow.ledger
    counted = await ledger.perform(ledger.commands.pages(view.id))
    if not counted:
        return page_of(in_result(view), page), _pages_in(view)
    found = await ledger.perform(ledger.commands.numbers_on(view.id, page - 1))
    return [as_ended(view, number) for number in found or ()], counted


async def pages_of(services: Services, view: JobView) -> int:
    """How many pages its numbers have."""
    ledger = services.didflow.ledger
    counted: int = await ledger.perform(ledger.commands.pages(view.id))
    return counted or _pages_in(view)


def _pages_in(view: JobView) -> int:
    return -(-len(in_result(view)) // PER_PAGE)


async def csv_lines(services: Services, view: JobView) -> AsyncIterator[str]:
    """All numbers of a job as CSV, in pieces; other requests are answered between them."""
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(COLUMNS)
    page, pages = 1, 1
    while page <= pages:
        found, pages = await _page_of(services, view, page)
        lines.writerows(map(cells, found))
        page += 1
        if text.tell() > 60_000:
            yield text.getvalue()
            await asyncio.sleep(0)  # A client that reads as fast as this writes makes no pause.
            text.seek(0)
            text.truncate()
    yield text.getvalue()
