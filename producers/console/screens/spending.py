"""Spend: what accounts and references have spent, what open checkouts hold, and the limits."""

from fastapi import APIRouter
from starlette.responses import Response

from didflow.contract.api_keys import ApiScope
from didflow.contract.spending import SCOPES, ScopeSpending, SpendLimit, Unit, Window
from didflow.ledger.worker_settings import RunningWith, running_workers, strictest
from producers.console.screen import Screen
from producers.console.visit import Visiting

router = APIRouter()
SCREEN = Screen("/spend", "Spend", "money", router)
SHOWN = 50
#: The columns of the table.
WINDOWS: tuple[tuple[Unit, Window], ...] = (("usd", "hour"), ("usd", "day"), ("numbers", "hour"), ("numbers", "day"))


@router.get("/spend")
async def show(visit: Visiting) -> Response:
    visit.caller.need(ApiScope.READ)
    visit.caller.need_all_seen()
    running = await visit.services.blocked(visit.caller, lambda didflow: strictest(running_workers(didflow.ledger).values()))
    accounts = sorted(running.spend_limits) if running else ["default"]
    found = await visit.services.didflow.spending([(SCOPES[0], name) for name in accounts], newest=SHOWN)
    rows = [(one, _limits(running, one)) for one in found]
    return visit.page(
        "spending.html",
        accounts=[row for row in rows if row[0].scope == "account"],
        references=[row for row in rows if row[0].scope == "reference"],
        windows=WINDOWS,
        has_workers=running is not None,
    )


def _limits(running: RunningWith | None, spending: ScopeSpending) -> dict[tuple[Unit, Window], SpendLimit]:
    """The limits that workers run with, by what they limit."""
    if running is None:
        return {}
    limits = running.spend_limits.get(spending.name, ()) if spending.scope == "account" else running.reference_limits
    return {(limit.unit, limit.window): limit for limit in limits}
