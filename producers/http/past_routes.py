"""Where the account's numbers went at a moment, and what has changed between two. Nothing is asked of the provider."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from didflow.client.job_numbers import number_named
from didflow.client.past_moments import past
from didflow.contract.api_keys import ApiScope
from didflow.contract.past_routes import PastRoute, RouteDifference
from didflow.contract.time_values import LATEST, Moment
from didflow.ledger.past_routes import numbers_ever, routes_at
from producers.http.access import Asking, needs
from producers.http.cursors import cursor_of, foreign, of_parts, parts_of
from producers.http.inventory import Account, may_see
from producers.http.problems import in_the_query, problems
from producers.http.representation import answer
from producers.http.routes import StrictRoute
from producers.http.services import Services, Serving

router = APIRouter(tags=["routes"], route_class=StrictRoute, dependencies=[needs(ApiScope.READ)])

When = Annotated[Moment | None, Query(description="A moment that has passed, with its zone; none: now")]
Cursor = Annotated[
    str | None, Query(max_length=400, description="`next_cursor` of the page before, which has its moments, too"), of_parts(str, int)
]
Limit = Annotated[int, Query(ge=1, le=1000, description="Numbers that are looked at")]


@dataclass(frozen=True)
class RoutePage:
    """Where numbers went at that moment, in the order of the numbers. `next_cursor` null: this is the last page."""

    account: str
    at: datetime
    routes: tuple[PastRoute, ...]
    next_cursor: str | None


@dataclass(frozen=True)
class RouteDifferencePage:
    """The numbers that went elsewhere at the second moment than at the first. `next_cursor` null: this is the last page."""

    account: str
    first: datetime
    second: datetime
    changed: tuple[RouteDifference, ...]
    next_cursor: str | None


@router.get("/routes", response_model=RoutePage, responses=problems(), summary="Read the routes of a moment")
async def read_routes(
    services: Serving,
    caller: Asking,
    at: When = None,
    number: Annotated[list[str] | None, Query(max_length=1000, description="These numbers (E.164); none: all of the account")] = None,
    account: Account = "default",
    cursor: Cursor = None,
    limit: Limit = 200,
) -> Response:
    """From the histories and the inventory. `source` says how a route is known. A reroute with `back_to` restores them."""
    may_see(caller, account)
    return answer(await page_of_routes(services, account, at, number, cursor, limit))


@router.get("/routes/diff", response_model=RouteDifferencePage, responses=problems(), summary="Compare the routes of two moments")
async def compare_routes(
    services: Serving,
    caller: Asking,
    first: Annotated[Moment, Query(description="A moment that has passed, with its zone")],
    second: When = None,
    account: Account = "default",
    cursor: Cursor = None,
    limit: Limit = 200,
) -> Response:
    """A number that came, left, or whose route is known of one moment only is among them. A page may be empty, and yet have a next one."""
    may_see(caller, account)
    return answer(await page_of_differences(services, account, first, second, cursor, limit))


async def page_of_routes(
    services: Services, account: str, at: datetime | None, number: Sequence[str] | None, cursor: str | None, limit: int
) -> RoutePage:
    """Raises Refused."""
    after, begun_ms = _place(cursor)
    ledger = services.didflow.ledger
    with in_the_query():
        moment = _moment(at, "at", begun_ms)
        names = sorted({number_named(one) for one in number}) if number else await _every_number(services, account)
    some, last = _page(names, after, limit)
    found = await ledger.perform(routes_at(ledger.keys, account, some, moment))
    routes = tuple(one for one in found.values() if number or one.is_shown)
    return RoutePage(account, moment, routes, None if last else cursor_of(some[-1], _ms(moment)))


async def page_of_differences(
    services: Services, account: str, first: datetime, second: datetime | None, cursor: str | None, limit: int
) -> RouteDifferencePage:
    """Raises Refused."""
    after, begun_ms = _place(cursor)
    ledger = services.didflow.ledger
    with in_the_query():
        moments = _moment(first, "first", begun_ms), _moment(second, "second", begun_ms)
    some, last = _page(await _every_number(services, account), after, limit)
    before, later = [await ledger.perform(routes_at(ledger.keys, account, some, moment)) for moment in moments]
    every = (RouteDifference(one, before[one], later[one]) for one in some)
    changed = tuple(one for one in every if one.is_one)
    rest = None if last else cursor_of(some[-1], _ms(moments[1]))
    return RouteDifferencePage(account, *moments, changed, rest)


async def _every_number(services: Services, account: str) -> Sequence[str]:
    ledger = services.didflow.ledger
    return await ledger.perform(numbers_ever(ledger.keys, account))


def _page(names: Sequence[str], after: str, limit: int) -> tuple[list[str], bool]:
    """The names behind that one, and whether they are the last."""
    start = bisect_right(names, after)
    return list(names[start : start + limit]), start + limit >= len(names)


def _place(cursor: str | None) -> tuple[str, int]:
    """After which number, and the moment of a list that names none. Raises Refused."""
    if not cursor:
        return "", _now_ms()
    after, begun_ms = parts_of(cursor, str, int)
    if begun_ms > _ms(LATEST):
        foreign()
    return after, begun_ms


def _moment(given: datetime | None, name: str, otherwise_ms: int) -> datetime:
    """Raises InvalidRequest. Without one it is the same for every page."""
    return past(datetime.fromtimestamp(otherwise_ms / 1000, UTC) if given is None else given, name)


def _now_ms() -> int:
    return _ms(datetime.now(UTC))


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
