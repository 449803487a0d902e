"""Dead letters: what can't be processed and waits for a person."""

from fastapi import APIRouter
from starlette.responses import Response

from didflow.contract.api_keys import ApiScope
from producers.console.job_advice import advice
from producers.console.screen import Screen
from producers.console.visit import Posted, Visiting

router = APIRouter()
SCREEN = Screen("/dead-letters", "Dead letters", "tray", router)


@router.get("/dead-letters")
async def show(visit: Visiting) -> Response:
    visit.caller.need(ApiScope.READ)
    visit.caller.need_all_seen()
    letters = await visit.services.didflow.dead_letters(100)
    return visit.page("dead_letters.html", letters=letters, advice=advice, may_operate=visit.may(ApiScope.OPERATE))


@router.post("/dead-letters/replay")
async def replay(visit: Visiting, form: Posted) -> Response:
    visit.caller.need(ApiScope.OPERATE)
    visit.caller.need_all_seen()
    await visit.didflow.replay(form["name"])
    return visit.goes_to("/dead-letters", done="replayed")


@router.post("/dead-letters/drop")
async def drop(visit: Visiting, form: Posted) -> Response:
    visit.caller.need(ApiScope.OPERATE)
    visit.caller.need_all_seen()
    visit.need_reason()
    await visit.didflow.drop(form["name"])
    return visit.goes_to("/dead-letters", done="dropped")
