"""The console's sessions, which act with keys of the API."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from didflow.contract.api_keys import ApiScope
from didflow.ledger.console_sessions import KeptSession
from producers.http.access import Asking, needs
from producers.http.problems import problems
from producers.http.representation import answer
from producers.http.routes import StrictRoute
from producers.http.services import Serving

router = APIRouter(tags=["keys"], route_class=StrictRoute, dependencies=[needs(ApiScope.ADMIN)])


@dataclass(frozen=True)
class SessionList:
    """Newest first. A session's id isn't its token: nothing can be opened with it."""

    sessions: tuple[KeptSession, ...]


class SessionsOfKey(BaseModel):
    """`key`: its name or its id."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[str, Field(min_length=1, max_length=200)]


@dataclass(frozen=True)
class SessionsEnded:
    """How many there were."""

    ended: int


@router.get("/console/sessions", response_model=SessionList, responses=problems(), summary="List sessions of the console")
async def list_sessions(services: Serving, caller: Asking) -> Response:
    """Who is logged in, with which key, and when each was last used."""
    caller.need_all_seen()
    return answer(SessionList(await services.didflow.console.sessions()))


@router.delete("/console/sessions/{session_id}", status_code=204, responses=problems(404), summary="End a session of the console")
async def end_session(services: Serving, caller: Asking, session_id: Annotated[str, Path(max_length=100)]) -> Response:
    """The person has to log in again."""
    caller.need_all_seen()
    await services.acting_for(caller).console.end_session(session_id)
    return Response(status_code=204)


@router.post(
    "/console/sessions/end", response_model=SessionsEnded, responses=problems(404, 413, 415), summary="End the console's sessions of a key"
)
async def end_sessions(services: Serving, caller: Asking, body: SessionsOfKey) -> Response:
    """Those who are logged in with it have to log in again. The key stays valid."""
    caller.need_all_seen()
    return answer(SessionsEnded(await services.acting_for(caller).console.end_sessions_of(body.key)))
