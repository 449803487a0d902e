"""The pool: own numbers that purchases with `reuse` assign before they buy."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from didflow.client.aio.number_pool import AsyncPool
from didflow.contract.api_keys import ApiScope
from didflow.contract.numbers import ListLength, NumberList
from didflow.ledger.number_pool import HandedOut
from producers.http.access import Asking, needs
from producers.http.inventory import Account, may_see
from producers.http.orders import Label
from producers.http.problems import in_the_body, problems
from producers.http.representation import answer
from producers.http.routes import StrictRoute
from producers.http.services import Serving

router = APIRouter(tags=["pool"], route_class=StrictRoute)


@dataclass(frozen=True)
class PoolLoans:
    """The numbers of the pool that purchases have, by number."""

    assigned: tuple[HandedOut, ...]


class PoolReturn(BaseModel):
    """Numbers whose customers have left."""

    model_config = ConfigDict(extra="forbid")

    numbers: Annotated[NumberList, ListLength(1000, least=1)]
    account: Label = "default"


@dataclass(frozen=True)
class PoolReturned:
    """Those that were assigned."""

    returned: tuple[str, ...]


@router.get("/pool", dependencies=[needs(ApiScope.READ)], response_model=PoolLoans, responses=problems(), summary="List the pool's loans")
async def list_loans(services: Serving, caller: Asking, account: Account = "default") -> Response:
    """Each assigned number with its purchase. Which numbers are free, the inventory shows by their label."""
    may_see(caller, account)
    return answer(PoolLoans(await AsyncPool(services.didflow, account=account).handed_out()))


@router.post(
    "/pool/return",
    dependencies=[needs(ApiScope.OPERATE)],
    response_model=PoolReturned,
    responses=problems(413, 415),
    summary="Return numbers to the pool",
)
async def return_numbers(services: Serving, caller: Asking, body: PoolReturn) -> Response:
    """They are assigned again once they have no destinations and no callback. Refused while their purchase runs."""
    may_see(caller, body.account)
    with in_the_body():
        return answer(PoolReturned(await AsyncPool(services.acting_for(caller), account=body.account).take_back(body.numbers)))
