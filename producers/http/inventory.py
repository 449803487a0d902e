"""The account's numbers as the mirror shows them, and the history of each."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from didflow.client.aio.inventory import AsyncInventory
from didflow.contract.api_keys import ApiScope
from didflow.contract.history import History
from didflow.contract.inventory import InventoryFilter, InventoryPage, InventoryTotals, NumberFile
from producers.http.access import Asking, Caller, needs
from producers.http.problems import in_the_query, problems
from producers.http.representation import answer
from producers.http.routes import StrictRoute
from producers.http.services import Serving

READS = [needs(ApiScope.READ)]
router = APIRouter(tags=["numbers"], route_class=StrictRoute, dependencies=READS)

Number = Annotated[str, Path(description="E.164, the plus as %2B or left out")]
Account = Annotated[str, Query(min_length=1, max_length=200)]


_FIELDS: dict[str, dict[str, Any]] = InventoryFilter.model_json_schema()["properties"]
#: The filters as parameters of a route.
FILTERS = {"parameters": [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in _FIELDS.items()]}


def _may_see(caller: Caller, account: str) -> None:
    """Numbers belong to an account; which reference each was bought for limits no answer here."""
    if caller.key is not None and caller.key.reference_prefix is not None:
        caller.need_all_seen()
    caller.need_sight(account, None)


@router.get("/numbers", response_model=InventoryPage, responses=problems(), openapi_extra=FILTERS, summary="List owned numbers")
async def list_owned(
    services: Serving,
    caller: Asking,
    request: Request,
    account: Account = "default",
    sort: Annotated[str, Query(max_length=50, description="A field; with a minus in front, downwards")] = "number",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=1000, description="`next_cursor` of the page before")] = None,
) -> Response:
    """The mirror's numbers; `state` says how old it is. The filters of the inventory are query parameters."""
    _may_see(caller, account)
    inventory = AsyncInventory(services.didflow, account=account)
    with in_the_query():
        page = await inventory.page(matching=_filter(request), sort=sort, limit=limit, cursor=cursor)
    return answer(page, request=request)


@router.get("/numbers/totals", response_model=InventoryTotals, responses=problems(), openapi_extra=FILTERS, summary="Sum up owned numbers")
async def totals(
    services: Serving,
    caller: Asking,
    request: Request,
    account: Account = "default",
    renewal_days: Annotated[int, Query(ge=0, le=36_500)] = 30,
) -> Response:
    """How many there are, what they cost a month, and how many renew soon."""
    _may_see(caller, account)
    with in_the_query():
        found = await AsyncInventory(services.didflow, account=account).totals(matching=_filter(request), renewal_days=renewal_days)
    return answer(found, request=request)


@router.get("/numbers/{number}", response_model=NumberFile, responses=problems(), summary="Read a number")
async def read_number(services: Serving, caller: Asking, request: Request, number: Number, account: Account = "default") -> Response:
    """The number as it is, its history, and what may be done with it now."""
    _may_see(caller, account)
    return answer(await AsyncInventory(services.didflow, account=account).show(number), request=request)


@router.get("/numbers/{number}/history", response_model=History, responses=problems(), summary="Read the history of a number")
async def read_history(services: Serving, caller: Asking, request: Request, number: Number) -> Response:
    """What ever happened to it through didflow, oldest first; `faults` names entries that don't fit the hash chain."""
    caller.need_all_seen()
    return answer(await services.didflow.history(number), request=request)


def _filter(request: Request) -> InventoryFilter:
    """Raises InvalidRequest."""
    given = {name: _value(name, text) for name, text in request.query_params.items() if name in _FIELDS}
    return InventoryFilter.model_validate(given)


def _value(name: str, text: str) -> object:
    """As JSON would have it: a query has texts only, and the model takes no text for a number."""
    if _kinds(name) & {"integer", "boolean"}:
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _kinds(name: str) -> set[str]:
    schema = _FIELDS[name]
    return {str(one.get("type")) for one in (schema, *schema.get("anyOf", ()))}
