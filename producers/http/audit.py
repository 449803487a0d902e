"""The audit: who changed what, when and why."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from didflow.contract.api_keys import ApiScope
from didflow.contract.audit import AuditCheck, AuditPage
from didflow.contract.time_values import Moment
from producers.http.access import Asking, needs
from producers.http.problems import in_the_query, problems
from producers.http.representation import answer
from producers.http.routes import StrictRoute
from producers.http.services import Serving

router = APIRouter(tags=["operations"], route_class=StrictRoute)

Text = Annotated[str | None, Query(min_length=1, max_length=200)]
When = Annotated[Moment | None, Query(description="With a time zone")]


@router.get("/audit", dependencies=[needs(ApiScope.ADMIN)], response_model=AuditPage, responses=problems(), summary="Read the audit")
async def read_audit(
    services: Serving,
    caller: Asking,
    who: Text = None,
    what: Text = None,
    job: Text = None,
    since: When = None,
    until: When = None,
    cursor: Annotated[str | None, Query(max_length=40, description="`next_cursor` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """The changes that people and keys made, newest first. A page may have fewer entries than `limit`, and yet a next one."""
    caller.need_all_seen()
    return answer(
        await services.didflow.audit(who=who, what=what, job=job, since=since, until=until, limit=limit, cursor=cursor), AuditPage
    )


@router.get(
    "/audit/check", dependencies=[needs(ApiScope.ADMIN)], response_model=AuditCheck, responses=problems(), summary="Check the audit's chain"
)
async def check_audit(
    services: Serving,
    caller: Asking,
    anchor: Annotated[str | None, Query(max_length=100, description="`anchor` of an earlier check, kept elsewhere")] = None,
) -> Response:
    """Walks the whole chain, which reads every entry. With an anchor: whether nothing up to there was rewritten since."""
    caller.need_all_seen()
    with in_the_query():
        return answer(await services.didflow.verify_audit(anchor))
