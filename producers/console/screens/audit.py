"""The audit: who did what, when and why; and whether its chain is intact."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from didflow.contract.api_keys import ApiScope
from producers.console.moments import past_moment
from producers.console.screen import Screen
from producers.console.visit import Visiting

router = APIRouter()
SCREEN = Screen("/audit", "Audit", "audit", router, scopes=(ApiScope.ADMIN,))
PER_PAGE = 50
Text = Annotated[str, Query(max_length=200)]


@router.get("/audit")
async def show(
    visit: Visiting, who: Text = "", what: Text = "", job: Text = "", since: Text = "", until: Text = "", cursor: Text = ""
) -> Response:
    """The newest first. The check of the whole chain is a page of its own, because it reads every entry."""
    visit.caller.need(ApiScope.ADMIN)
    visit.caller.need_all_seen()
    page = await visit.services.didflow.audit(
        who=who or None,
        what=what or None,
        job=job or None,
        since=past_moment(since, "since"),
        until=past_moment(until, "until"),
        limit=PER_PAGE,
        cursor=cursor or None,
    )
    chosen = {"who": who, "what": what, "job": job, "since": since, "until": until}
    return visit.page("audit.html", page=page, chosen=chosen, is_first=not cursor)


@router.get("/audit/check")
async def check(visit: Visiting, anchor: Text = "") -> Response:
    """Walk the chain. With an anchor that was kept elsewhere: whether nothing up to there was rewritten."""
    visit.caller.need(ApiScope.ADMIN)
    visit.caller.need_all_seen()
    found = await visit.services.didflow.verify_audit(anchor or None)
    return visit.page("audit_check.html", check=found, anchor=anchor)
