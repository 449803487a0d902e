"""The inventory: every filter in the address, saved views, CSV; and all that is known of one number."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Query
from starlette.responses import Response, StreamingResponse

from didflow.client.aio.inventory import AsyncInventory
from didflow.contract.api_keys import ApiScope
from didflow.contract.errors import InvalidRequest
from didflow.contract.inventory import SORTS, InventoryFilter, InventoryPage
from producers.console.formats import words
from producers.console.number_filters import FIRST, MORE, chosen_in, filter_from, query_of
from producers.console.screen import Screen
from producers.console.screens import drift, number_changes, routes
from producers.console.visit import Posted, Visit, Visiting
from producers.http.inventory import may_see, seen_by
from producers.http.saved_views import CHANGES, is_seen
from producers.inventory_csv import COLUMNS, cells
from producers.job_numbers_csv import unfooled

router = APIRouter()
SCREEN = Screen("/numbers", "Numbers", "phone", router)
PER_PAGE = 50
SORT_CHOICES = tuple((sign + name, words(name) + word) for name in SORTS for sign, word in (("", ""), ("-", ", largest first")))
Text = Annotated[str, Query(max_length=1000)]


@router.get("/numbers")
async def list_numbers(visit: Visiting, account: Text = "default", sort: Text = "number", cursor: Text = "") -> Response:
    """A page of the inventory; with faults in the filters, the form with what is wrong."""
    inventory = _inventory(visit, account)
    chosen = chosen_in(visit.request.query_params)
    page: InventoryPage | None = None
    faults: tuple[tuple[str, str], ...] = ()
    try:
        page = await inventory.page(matching=filter_from(chosen), sort=sort, limit=PER_PAGE, cursor=cursor or None)
    except InvalidRequest as error:
        faults = tuple((fault.path.rpartition(".")[2], fault.message) for fault in error.faults)
    beside = {"account": "" if account == "default" else account, "sort": "" if sort == "number" else sort}
    return visit.page(
        "numbers.html",
        status=422 if page is None else 200,
        shown=page,
        faults=faults,
        chosen=chosen,
        account=account,
        sort=sort,
        query=query_of(chosen, **beside),
        account_query=query_of(chosen, account=beside["account"]),
        is_first=not cursor,
        first_fields=FIRST,
        more_fields=MORE,
        sorts=SORT_CHOICES,
        views=[one for one in await visit.services.didflow.console.views() if is_seen(visit.caller, one)],
        may_save=visit.may(*CHANGES),
    )


@router.get("/numbers/totals")
async def totals(visit: Visiting, account: Text = "default") -> Response:
    """How many match, and what they cost. The page of the list fetches it, because it looks at every number."""
    inventory = _inventory(visit, account)
    chosen = chosen_in(visit.request.query_params)
    return visit.page("numbers_totals.html", totals=await inventory.totals(matching=filter_from(chosen)), query=query_of(chosen))


@router.get("/numbers/numbers.csv")
async def download(visit: Visiting, account: Text = "default", sort: Text = "number") -> Response:
    """All that match, with the columns of `didflow numbers --csv`."""
    inventory = _inventory(visit, account)
    matching = filter_from(chosen_in(visit.request.query_params))
    await inventory.page(matching=matching, sort=sort, limit=1)  # Faults are answered before the file begins.
    headers = {"Content-Disposition": 'attachment; filename="numbers.csv"'}
    return StreamingResponse(_lines(inventory, matching, sort), media_type="text/csv; charset=utf-8", headers=headers)


async def _lines(inventory: AsyncInventory, matching: InventoryFilter, sort: str) -> AsyncIterator[str]:
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(COLUMNS)
    async for number in inventory.numbers(matching=matching, sort=sort):
        lines.writerow(map(unfooled, cells(number)))
        if text.tell() > 60_000:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()


@router.post("/numbers/views/save")
async def save_view(visit: Visiting, form: Posted) -> Response:
    """Keep the filters of the list under a name. Only filters, the account and the sort are kept of the query."""
    _need_more_than_read(visit)
    given = dict(parse_qsl(form["query"]))
    query = query_of(chosen_in(given), account=given.get("account", ""), sort=given.get("sort", ""))
    await visit.didflow.console.save_view(form["view"], query)
    return visit.goes_to("/numbers", done="view_saved", **dict(parse_qsl(query)))


@router.post("/numbers/views/delete")
async def delete_view(visit: Visiting, form: Posted) -> Response:
    _need_more_than_read(visit)
    await visit.didflow.console.delete_view(form["view"])
    return visit.goes_to("/numbers", done="view_deleted")


router.include_router(routes.router)
router.include_router(drift.router)
router.include_router(number_changes.router)


@router.get("/numbers/{number}")
async def show_number(visit: Visiting, number: str, account: Text = "default") -> Response:
    """As the inventory shows it, what may be done with it now, and its history with the check of its chain."""
    file = seen_by(visit.caller, await _inventory(visit, account).show(number))
    may = {action: visit.may(scope) for action, scope in number_changes.SCOPES.items()}
    return visit.page("number.html", file=file, account=account, may=may)


def _inventory(visit: Visit, account: str) -> AsyncInventory:
    visit.caller.need(ApiScope.READ)
    may_see(visit.caller, account)
    return AsyncInventory(visit.services.didflow, account=account)


def _need_more_than_read(visit: Visit) -> None:
    """A viewer changes nothing, not even a view."""
    visit.caller.need(*CHANGES)
    visit.caller.need_all_seen()
