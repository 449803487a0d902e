"""The account's numbers as the mirror shows them, and the history of each."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from didflow.client.aio.inventory import AsyncInventory
from didflow.contract.api_keys import ApiScope
from didflow.contract.history import History
from didflow.contract.inventory import InventoryFilter, InventoryPage, InventoryQuery, InventoryTotals, NumberFile
from producers.http.access import Asking, Caller, needs
from producers.http.problems import in_the_query, problems
from producers.http.representation import answer
from producers.http.routes import StrictRoute, with_query_faults
from producers.http.services import Serving

READS = [needs(ApiScope.READ)]
router = APIRouter(tags=["numbers"], route_class=StrictRoute, dependencies=READS)

Number = Annotated[str, Path(description="E.164, the plus as %2B or left out")]
Account = Annotated[str, Query(min_length=1, max_length=200)]

#: How long a request waits for a sweep.
WITHIN_S = 30.0
MaxAge = Annotated[
    float | None, Query(ge=0, le=31_536_000, description="How old the inventory may be, s; older: a worker sweeps the account now")
]
Wait = Annotated[float, Query(ge=0, le=WITHIN_S, description="How long to wait for that, s; then the answer is 504, and the sweep goes on")]

_FIELDS: dict[str, dict[str, Any]] = InventoryFilter.model_json_schema()["properties"]


def _kinds(name: str) -> set[str]:
    schema = _FIELDS[name]
    return {str(one.get("type")) for one in (schema, *schema.get("anyOf", ()))}


#: The filters as parameters of a route.
FILTERS = {
    "parameters": [
        # A list is one text with commas.
        {"name": name, "in": "query", "required": False, "schema": schema} | ({"explode": False} if "array" in _kinds(name) else {})
        for name, schema in _FIELDS.items()
    ]
}


_QUERY = TypeAdapter(InventoryQuery)


def query_faults(query: Mapping[str, str]) -> list[dict[str, Any]]:
    """What is wrong with the filters, and with the order of a list."""
    try:
        _QUERY.validate_python({"matching": _given(query)} | ({"sort": query["sort"]} if "sort" in query else {}))
    except ValidationError as error:
        # `matching` holds the filters here only. A list is one parameter, whichever of its entries is wrong.
        return [{**fault, "loc": ("query", *_parameter(fault["loc"]))} for fault in error.errors(include_url=False)]
    return []


def _parameter(place: tuple[int | str, ...]) -> tuple[int | str, ...]:
    return place[1:2] if place[:1] == ("matching",) else place[:1]


def may_see(caller: Caller, account: str) -> None:
    """Numbers belong to an account; which reference each was bought for limits no answer here."""
    if caller.key is not None and caller.key.reference_prefix is not None:
        caller.need_all_seen()
    caller.need_sight(account, None)


@router.get("/numbers", response_model=InventoryPage, responses=problems(504), openapi_extra=FILTERS, summary="List owned numbers")
@with_query_faults(query_faults)
async def list_owned(
    services: Serving,
    caller: Asking,
    request: Request,
    account: Account = "default",
    sort: Annotated[str, Query(max_length=50, description="A field; with a minus in front, downwards")] = "number",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=1000, description="`next_cursor` of the page before")] = None,
    max_age_s: MaxAge = None,
    wait: Wait = WITHIN_S,
) -> Response:
    """The mirror's numbers; `state` says how old it is. The filters of the inventory are query parameters."""
    may_see(caller, account)
    inventory = AsyncInventory(services.didflow, account=account)
    with in_the_query():
        await _refresh(inventory, max_age_s, wait)
        page = await inventory.page(matching=filter_of(request.query_params), sort=sort, limit=limit, cursor=cursor)
    return answer(page)


@router.get(
    "/numbers/totals", response_model=InventoryTotals, responses=problems(504), openapi_extra=FILTERS, summary="Sum up owned numbers"
)
@with_query_faults(query_faults)
async def totals(
    services: Serving,
    caller: Asking,
    request: Request,
    account: Account = "default",
    renewal_days: Annotated[int, Query(ge=0, le=36_500)] = 30,
    max_age_s: MaxAge = None,
    wait: Wait = WITHIN_S,
) -> Response:
    """How many there are, what they cost a month, and how many renew soon."""
    may_see(caller, account)
    inventory = AsyncInventory(services.didflow, account=account)
    with in_the_query():
        await _refresh(inventory, max_age_s, wait)
        found = await inventory.totals(matching=filter_of(request.query_params), renewal_days=renewal_days)
    return answer(found)


@router.get("/numbers/{number}", response_model=NumberFile, responses=problems(504), summary="Read a number")
async def read_number(
    services: Serving,
    caller: Asking,
    number: Number,
    account: Account = "default",
    max_age_s: MaxAge = None,
    wait: Wait = WITHIN_S,
) -> Response:
    """The number as it is, its history, and what may be done with it now."""
    may_see(caller, account)
    inventory = AsyncInventory(services.didflow, account=account)
    with in_the_query():
        await _refresh(inventory, max_age_s, wait)
    return answer(seen_by(caller, await inventory.show(number)))


@router.get("/numbers/{number}/history", response_model=History, responses=problems(), summary="Read the history of a number")
async def read_history(services: Serving, caller: Asking, number: Number) -> Response:
    """What ever happened to it through didflow, oldest first; `faults` names entries that don't fit the hash chain."""
    caller.need_all_seen()
    return answer(await services.didflow.history(number))


def seen_by(caller: Caller, file: NumberFile) -> NumberFile:
    """Without what other accounts did with the number. The chain was checked with those entries."""
    if caller.sees_all:
        return file
    entries = tuple(entry for entry in file.history.entries if caller.sees(entry.account, entry.reference))
    return replace(file, history=replace(file.history, entries=entries))


async def _refresh(inventory: AsyncInventory, max_age_s: float | None, wait_s: float) -> None:
    """Wait for a sweep where the mirror is older than the caller wants. Raises InventoryTimeout, SweepFailed, UnknownAccount."""
    if max_age_s is not None:
        await inventory.refresh(max_age_s=max_age_s, timeout_s=wait_s)


def filter_of(query: Mapping[str, str]) -> InventoryFilter:
    """The filter that parameters of a query name; others are left out. Raises InvalidRequest."""
    return InventoryFilter.model_validate(_given(query))


def _given(query: Mapping[str, str]) -> dict[str, object]:
    return {name: _value(name, text) for name, text in query.items() if name in _FIELDS}


def _value(name: str, text: str) -> object:
    """As JSON would have it: a query has texts only, and the model takes no text for a number."""
    if _kinds(name) & {"integer", "boolean"}:
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text
