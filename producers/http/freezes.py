"""The freeze of purchases and releases."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from didflow.contract.api_keys import ApiScope
from didflow.contract.audit import LONGEST_REASON
from didflow.contract.freezes import Freeze, FreezeReport
from producers.http.access import Asking, Caller, needs
from producers.http.problems import problems
from producers.http.representation import answer
from producers.http.routes import StrictRoute
from producers.http.services import Serving

router = APIRouter(tags=["operations"], route_class=StrictRoute)
READS, OPERATES = [needs(ApiScope.READ)], [needs(ApiScope.OPERATE)]

Account = Annotated[str | None, Field(min_length=1, max_length=200, description="None: all accounts")]


class FreezeRequest(BaseModel):
    """What to freeze, and why. `timeout_s`: how long to wait for calls that were allowed before."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(min_length=1, max_length=LONGEST_REASON)]
    account: Account = None
    timeout_s: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False, strict=True)] = 10.0


class LiftRequest(BaseModel):
    """Which freeze to lift."""

    model_config = ConfigDict(extra="forbid")

    account: Account = None
    reason: Annotated[str, Field(max_length=LONGEST_REASON)] = ""


@dataclass(frozen=True)
class FreezeList:
    """The freezes in force; the one of all accounts first."""

    freezes: tuple[Freeze, ...]


@router.get("/freezes", dependencies=READS, response_model=FreezeList, responses=problems(), summary="List freezes")
async def list_freezes(services: Serving, caller: Asking) -> Response:
    """Which purchases and releases are stopped, by whom and why."""
    found = await services.didflow.freezes()
    return answer(FreezeList(tuple(one for one in found if one.account is None or caller.sees_all or caller.sees(one.account, ""))))


@router.post("/freezes", dependencies=OPERATES, response_model=FreezeReport, responses=problems(413, 415), summary="Freeze")
async def freeze(services: Serving, caller: Asking, body: FreezeRequest) -> Response:
    """Stop purchases and releases of the account, or of all. It is in force at once; `under_way` empty: no call begins any more."""
    _need_sight(caller, body.account)
    return answer(await services.acting_for(caller).freeze(body.reason, account=body.account, timeout_s=body.timeout_s))


@router.post("/freezes/lift", dependencies=OPERATES, response_model=FreezeList, responses=problems(413, 415), summary="Lift a freeze")
async def lift(services: Serving, caller: Asking, body: LiftRequest) -> Response:
    """The jobs that waited for it continue. The answer has the freezes that are still in force."""
    _need_sight(caller, body.account)
    await services.acting_for(caller).unfreeze(body.reason, account=body.account)
    return await list_freezes(services, caller)


def _need_sight(caller: Caller, account: str | None) -> None:
    if account is None:
        caller.need_all_seen()
    else:
        caller.need_sight(account, None)
