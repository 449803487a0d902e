"""Saved views of the inventory: filters by name, for everybody who may see the numbers."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from didflow.contract.api_keys import ApiScope
from didflow.ledger.console_views import SavedView
from producers.http.access import Asking, Caller, needs
from producers.http.problems import in_the_body, problems
from producers.http.representation import answer
from producers.http.routes import StrictRoute
from producers.http.services import Serving

router = APIRouter(tags=["numbers"], route_class=StrictRoute)
#: A viewer changes nothing, not even a view.
CHANGES = tuple(scope for scope in ApiScope if scope is not ApiScope.READ)

Name = Annotated[str, Path(max_length=200, description="The view's name")]


@dataclass(frozen=True)
class ViewList:
    """By name."""

    views: tuple[SavedView, ...]


class ViewQuery(BaseModel):
    """`query`: filters as `GET /v1/numbers` takes them, without a question mark; `account` and `sort` may be beside them."""

    model_config = ConfigDict(extra="forbid")

    query: Annotated[str, Field(max_length=2000)]


def is_seen(caller: Caller, view: SavedView) -> bool:
    """Whether the caller may know of it: a view of another account names it, and its references."""
    return caller.sees_all or caller.sees(dict(parse_qsl(view.query)).get("account", "default"), None)


@router.get(
    "/console/views", dependencies=[needs(ApiScope.READ)], response_model=ViewList, responses=problems(), summary="List saved views"
)
async def list_views(services: Serving, caller: Asking) -> Response:
    """Those that the key sees."""
    return answer(ViewList(tuple(one for one in await services.didflow.console.views() if is_seen(caller, one))))


@router.put(
    "/console/views/{name}",
    dependencies=[needs(*CHANGES)],
    response_model=SavedView,
    responses=problems(413, 415),
    summary="Save a view",
)
async def save_view(services: Serving, caller: Asking, name: Name, body: ViewQuery) -> Response:
    """In place of a view that has this name."""
    caller.need_all_seen()
    with in_the_body():
        return answer(await services.acting_for(caller).console.save_view(name, body.query))


@router.delete(
    "/console/views/{name}", dependencies=[needs(*CHANGES)], status_code=204, responses=problems(), summary="Delete a saved view"
)
async def delete_view(services: Serving, caller: Asking, name: Name) -> Response:
    """Without effect if there is none of that name."""
    caller.need_all_seen()
    await services.acting_for(caller).console.delete_view(name)
    return Response(status_code=204)
