"""What purchases have cost, by account and by reference."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from didflow.contract.api_keys import ApiKey, ApiScope
from didflow.contract.spending import Scope, ScopeSpending
from producers.http.access import Asking, needs
from producers.http.problems import problems
from producers.http.representation import answer
from producers.http.routes import StrictRoute
from producers.http.services import Serving

router = APIRouter(tags=["spending"], route_class=StrictRoute)

Names = Annotated[list[str] | None, Query(max_length=100)]


@dataclass(frozen=True)
class SpendingList:
    """Of the last hour and day, and what open checkouts may cost."""

    spending: tuple[ScopeSpending, ...]


@router.get("/spending", dependencies=[needs(ApiScope.READ)], response_model=SpendingList, responses=problems(), summary="Read spending")
async def read_spending(
    services: Serving,
    caller: Asking,
    account: Names = None,
    reference: Names = None,
    newest: Annotated[int, Query(ge=0, le=1000, description="And this many that spent last")] = 0,
) -> Response:
    """Of these accounts and references; without any, of those that spent last."""
    asked: list[tuple[Scope, str]] = [("account", name) for name in account or ()]
    asked += [("reference", name) for name in reference or ()]
    if newest or not asked or not all(_is_seen(caller.key, scope, name) for scope, name in asked):
        caller.need_all_seen()
    return answer(SpendingList(await services.didflow.spending(asked, newest=newest or (0 if asked else 20))))


def _is_seen(key: ApiKey | None, scope: Scope, name: str) -> bool:
    """Whether all that the amounts are of is the key's business."""
    if key is None:
        return True
    if scope == "account":
        return key.reference_prefix is None and key.account in (None, name)
    return key.account is None and name.startswith(key.reference_prefix or "")
