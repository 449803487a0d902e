"""Accounts and their gates: whether each may work now, and findings that a person has to decide on."""

from fastapi import APIRouter
from starlette.responses import Response

from didflow.client.sync.client import Didflow
from didflow.contract.api_keys import ApiScope
from didflow.ledger.freezes import sending
from didflow.ledger.metrics import measures
from producers.console.screen import Screen
from producers.console.visit import Posted, Visit, Visiting
from producers.http.operations import accept_findings_of, standing_of
from producers.http.problems import Refused

router = APIRouter()
#: How long the answer to a freeze waits for calls that were allowed before it.
LOOKS_AT_ONCE_S = 3.0
SCREEN = Screen("/accounts", "Accounts and gate", "gate", router)


@router.get("/accounts")
async def show(visit: Visiting) -> Response:
    visit.caller.need(ApiScope.READ)
    visit.caller.need_all_seen()
    ledger = visit.services.didflow.ledger
    found = await ledger.perform(measures(ledger.commands))
    names = tuple(sorted({"default", *found.accounts}))

    def standing(didflow: Didflow) -> list[object]:
        return [(standing_of(didflow, name), found.accounts.get(name)) for name in names]

    rows = await visit.services.blocked(visit.caller, standing)
    under_way = await ledger.perform(sending(ledger.commands, None)) if visit.freezes else ()
    return visit.page(
        "accounts.html",
        rows=rows,
        frozen={one.account for one in visit.freezes},
        frozen_jobs=found.frozen_jobs,
        under_way=under_way,
        workers=found.workers,
        may_operate=visit.may(ApiScope.OPERATE),
    )


@router.post("/accounts/freeze")
async def freeze(visit: Visiting, form: Posted) -> Response:
    """Stop purchases and releases, of one account or (without one) of all. It is in force at once."""
    visit.caller.need(ApiScope.OPERATE)
    account = form["account"] or None
    _need_sight(visit, account)
    report = await visit.didflow.freeze(form["reason"], account=account, timeout_s=LOOKS_AT_ONCE_S)
    return visit.goes_to("/accounts", done="freezing" if report.under_way else "frozen")


@router.post("/accounts/lift")
async def lift(visit: Visiting, form: Posted) -> Response:
    visit.caller.need(ApiScope.OPERATE)
    account = form["account"] or None
    _need_sight(visit, account)
    await visit.didflow.unfreeze(form["reason"], account=account)
    return visit.goes_to("/accounts", done="lifted")


def _need_sight(visit: Visit, account: str | None) -> None:
    if account is None:
        visit.caller.need_all_seen()
    else:
        visit.caller.need_sight(account, None)


@router.post("/accounts/accept")
async def accept(visit: Visiting, form: Posted) -> Response:
    """Numbers among the findings that belong to no job of didflow, as the person says."""
    visit.caller.need(ApiScope.OPERATE)
    account, numbers = form["account"], form.all("number")
    visit.caller.need_sight(account, None)
    if not numbers:
        raise Refused(422, "nothing_chosen", "no number was chosen: tick those that belong to no job")
    visit.need_reason()
    await visit.services.blocked(visit.caller, lambda didflow: accept_findings_of(didflow, account, numbers))
    return visit.goes_to("/accounts", done="accepted")
