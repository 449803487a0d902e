"""Churn: release the numbers of customers who left, and restore them for those who return."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from didflow.client.sync.client import Didflow
from didflow.contract.api_keys import ApiScope
from didflow.contract.departures import Departures
from didflow.contract.destinations import Destination
from didflow.contract.flags import Flag
from didflow.contract.jobs import Job, JobView
from didflow.contract.numbers import NumberList
from didflow.contract.release_timing import AfterMoment, Grace, Margin
from producers.churn import GRACE, Churn, Returned
from producers.http.access import Asking, needs
from producers.http.orders import Label
from producers.http.problems import in_the_body, problems
from producers.http.representation import answer
from producers.http.routes import StrictRoute
from producers.http.services import Serving
from producers.http.submit import Key, checked_key, submitted

router = APIRouter(tags=["churn"], route_class=StrictRoute)
RELEASES = [needs(ApiScope.RELEASE)]

Reference = Annotated[str, Path(min_length=1, max_length=200, description="The customer's reference")]


class Leaving(BaseModel):
    """A customer left. `numbers` empty: all that were bought for the reference. The times are those of a release."""

    model_config = ConfigDict(extra="forbid")

    account: Label = "default"
    numbers: NumberList = ()
    at: AfterMoment | None = None
    grace: Grace = GRACE
    before_renewal: Margin | None = None
    parking: tuple[Destination, ...] = ()
    stop_on_traffic: Flag = True
    reusable: Flag = False


class Returning(BaseModel):
    """A customer came back."""

    model_config = ConfigDict(extra="forbid")

    account: Label = "default"


@dataclass(frozen=True)
class DepartureList:
    """Those that go first come first."""

    releases: tuple[Departures, ...]


@router.post(
    "/churn/{reference:path}/left",
    dependencies=RELEASES,
    status_code=202,
    response_model=JobView,
    responses={200: {"model": JobView, "description": "The job has ended"}, **problems(400, 409, 413, 415)},
    summary="Release the numbers of a customer who left",
)
async def left(services: Serving, caller: Asking, reference: Reference, body: Leaving, idempotency_key: Key = None) -> Response:
    """Only what was bought for this reference goes. Until it goes, `returned` or a cancel restores everything."""
    caller.need_sight(body.account, reference)
    key = checked_key(idempotency_key, needed=True)
    terms: dict[str, Any] = {name: getattr(body, name) for name in Leaving.model_fields if name != "account"}

    def leave(didflow: Didflow) -> Job:
        return Churn(didflow, account=body.account).churned(reference, **terms, idempotency_key=key)

    with in_the_body():
        job = await services.blocked(caller, leave)
    return submitted(job, await services.job(caller, job.id))


@router.post(
    "/churn/{reference:path}/returned",
    dependencies=RELEASES,
    response_model=Returned,
    responses=problems(409, 413, 415),
    summary="Restore the numbers of a customer who returned",
)
async def returned(services: Serving, caller: Asking, reference: Reference, body: Returning) -> Response:
    """Calls their releases off, and says what is still there. Workers restore the routes."""
    caller.need_sight(body.account, reference)
    with in_the_body():
        return answer(await services.blocked(caller, lambda didflow: Churn(didflow, account=body.account).returned(reference)))


@router.get(
    "/churn/upcoming",
    dependencies=[needs(ApiScope.READ)],
    response_model=DepartureList,
    responses=problems(),
    summary="List releases to come",
)
async def upcoming(
    services: Serving, caller: Asking, days: Annotated[float, Query(ge=0, le=36_500)] = 7.0, account: Annotated[str | None, Query()] = None
) -> Response:
    """The releases with numbers that go within this time."""
    found = await services.didflow.upcoming(timedelta(days=days), account)
    return answer(DepartureList(tuple(one for one in found if caller.sees(one.account, one.reference))))
