"""The consumer groups of the streams: how far each has read, and deleting one that isn't used."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from didflow.contract.api_keys import ApiScope
from didflow.ledger.group_progress import Group, StreamName
from producers.http.access import Asking, needs
from producers.http.problems import in_the_query, problems
from producers.http.representation import answer
from producers.http.routes import StrictRoute
from producers.http.services import Serving

router = APIRouter(tags=["operations"], route_class=StrictRoute)


@dataclass(frozen=True)
class GroupList:
    """Of the streams requests, results and events."""

    groups: tuple[Group, ...]


@router.get(
    "/consumer-groups", dependencies=[needs(ApiScope.READ)], response_model=GroupList, responses=problems(), summary="List consumer groups"
)
async def list_groups(services: Serving, caller: Asking) -> Response:
    """`unread` entries were delivered to no consumer of the group; `pending` ones have no acknowledgement yet."""
    caller.need_all_seen()
    return answer(GroupList(await services.didflow.groups()))


@router.delete(
    "/consumer-groups/{stream}/{group:path}",
    dependencies=[needs(ApiScope.OPERATE)],
    status_code=204,
    responses=problems(),
    summary="Delete a consumer group",
)
async def delete_group(
    services: Serving, caller: Asking, stream: StreamName, group: Annotated[str, Path(min_length=1, max_length=200)]
) -> Response:
    """With its position, permanently; nothing is kept for it any more. Refused while a consumer of it was seen within the last minute."""
    caller.need_all_seen()
    with in_the_query():
        await services.acting_for(caller).delete_group(group, stream=stream)
    return Response(status_code=204)
