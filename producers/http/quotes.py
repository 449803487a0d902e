"""Quotes: what a purchase would cost now."""

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from didflow.contract.flags import Flag
from didflow.contract.jobs import JobView
from didflow.contract.requests import SearchAndBuy
from producers.http.access import Asking
from producers.http.orders import Label, Order
from producers.http.problems import problems
from producers.http.routes import StrictRoute
from producers.http.services import Serving
from producers.http.submit import LONGEST_WAIT_S, Prefer, Wait, submit, wait_of

router = APIRouter(tags=["quotes"], route_class=StrictRoute)


class QuoteOrder(BaseModel):
    """What to quote. `reusable`: the quote is good for any number of orders until it expires, instead of one."""

    model_config = ConfigDict(extra="forbid")

    request: SearchAndBuy
    reference: Label | None = None
    account: Label = "default"
    reusable: Flag = False


class _DryRun(Order):
    request: SearchAndBuy


@router.post(
    "/quotes",
    status_code=200,
    response_model=JobView,
    responses={202: {"model": JobView, "description": "The quote isn't there yet: read the job"}, **problems(400, 413, 415)},
    summary="Ask for a quote",
)
async def ask_for_quote(
    services: Serving, caller: Asking, request: Request, order: QuoteOrder, wait: Wait = None, prefer: Prefer = None
) -> Response:
    """A dry run, whose `result.quote` names the numbers and what they cost. Order it with `quote` in `POST /v1/jobs/search-and-buy`.

    Waits for the quote as long as a request may, unless `wait` says otherwise.
    """
    dry = order.request.model_copy(update={"dry_run": True, "reusable_quote": order.reusable})
    beside = _DryRun(request=dry, reference=order.reference, account=order.account)
    wait_s = LONGEST_WAIT_S if wait is None and prefer is None else wait_of(wait, prefer)
    return await submit(services, caller, beside, None, wait_s=wait_s, request=request)
