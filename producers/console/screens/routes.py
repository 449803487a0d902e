"""Where numbers went at a moment, and what has changed between two."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from didflow.contract.api_keys import ApiScope
from producers.console.moments import past_moment
from producers.console.visit import Visiting
from producers.http.inventory import may_see
from producers.http.past_routes import page_of_differences, page_of_routes
from producers.http.problems import ProblemFault, Refused

router = APIRouter()
#: Numbers that a page looks at: the history of each is read.
LOOKED_AT = 100
Text = Annotated[str, Query(max_length=1000)]


@router.get("/numbers/routes")
async def show_routes(
    visit: Visiting, first: Text = "", second: Text = "", number: Text = "", account: Text = "default", cursor: Text = ""
) -> Response:
    """`first` alone: the routes of that moment (now, if it is empty). With `second`: what was different then."""
    visit.caller.need(ApiScope.READ)
    may_see(visit.caller, account)
    at, until = past_moment(first, "first"), past_moment(second, "second")
    differences = routes = None
    if until is not None:
        if at is None:
            raise _refused("first", "a comparison needs both moments: give the first one, too")
        differences = await page_of_differences(visit.services, account, at, until, cursor or None, LOOKED_AT)
    else:
        routes = await page_of_routes(visit.services, account, at, number.split() or None, cursor or None, LOOKED_AT)
    chosen = {"first": first, "second": second, "number": number, "account": "" if account == "default" else account}
    return visit.page("routes.html", routes=routes, differences=differences, chosen=chosen, looked_at=LOOKED_AT)


def _refused(name: str, what: str) -> Refused:
    return Refused(
        422, "invalid_request", f"{name}: {what}", faults=(ProblemFault(detail=what, code="value_error", next_step=what, parameter=name),)
    )
