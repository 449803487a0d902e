"""The last hours by the minute, as the console's charts show them."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from didflow.contract.activity import MINUTES, MOST_MINUTES, ActivityMinute
from didflow.contract.api_keys import ApiScope
from producers.http.access import Asking, needs
from producers.http.problems import problems
from producers.http.representation import answer
from producers.http.routes import StrictRoute
from producers.http.services import Serving

router = APIRouter(tags=["operations"], route_class=StrictRoute, dependencies=[needs(ApiScope.READ)])


@dataclass(frozen=True)
class Activity:
    """Oldest first; the present minute is the last one, and not over."""

    minutes: tuple[ActivityMinute, ...]


@router.get("/activity", response_model=Activity, responses=problems(), summary="Read the last hours by the minute")
async def read_activity(services: Serving, caller: Asking, minutes: Annotated[int, Query(ge=1, le=MOST_MINUTES)] = MINUTES) -> Response:
    """Jobs that ended, USD that were spent, and how fast the provider answered, over all accounts."""
    caller.need_all_seen()
    return answer(Activity(await services.didflow.activity(minutes)))
