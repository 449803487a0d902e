"""What needs a person: paused accounts, closed gates, dead letters; and what people decided."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from didflow.client.sync.client import Didflow
from didflow.contract.api_keys import ApiScope
from didflow.contract.decisions import Decision
from didflow.contract.errors import InvalidRequest
from didflow.contract.numbers import NumberList
from didflow.ledger.client import AccountState
from didflow.ledger.dead_letters import DeadLetters
from didflow.ledger.gate import Findings, Gate
from didflow.ledger.worker_settings import running_workers
from producers.http.access import Asking, needs
from producers.http.problems import problems
from producers.http.representation import answer
from producers.http.routes import StrictRoute
from producers.http.services import Serving

router = APIRouter(tags=["operations"], route_class=StrictRoute)
READS, OPERATES = [needs(ApiScope.READ)], [needs(ApiScope.OPERATE)]

Account = Annotated[str, Path(min_length=1, max_length=200)]
Name = Annotated[str, Path(max_length=200, description="As the list has it")]


@dataclass(frozen=True)
class AccountStanding:
    """An account: whether the provider lets it work, and whether its money waits because Redis may have lost its last writes.

    gate_closed  no purchase and no release goes on
    findings     what keeps the gate closed until a person decides
    """

    name: str
    state: AccountState
    gate_closed: bool
    findings: Findings


@dataclass(frozen=True)
class AccountList:
    """The accounts that living workers serve, and those that are paused."""

    accounts: tuple[AccountStanding, ...]


class Accepted(BaseModel):
    """Numbers among the findings that belong to no job of didflow, as a person says."""

    model_config = ConfigDict(extra="forbid")

    numbers: Annotated[NumberList, Field(min_length=1, max_length=1000)]


@dataclass(frozen=True)
class DecisionList:
    """Newest first."""

    decisions: tuple[Decision, ...]


@router.get("/accounts", dependencies=READS, response_model=AccountList, responses=problems(), summary="List accounts")
async def list_accounts(services: Serving, caller: Asking) -> Response:
    """Whether each may work now, and what it waits for."""

    def read(didflow: Didflow) -> AccountList:
        ledger = didflow.ledger
        served = {name for running in running_workers(ledger).values() for name in running.spend_limits}
        names = sorted({"default", *served, *ledger.paused_accounts()})
        return AccountList(tuple(_standing(didflow, name) for name in names if caller.sees(name, "") or caller.sees_all))

    return answer(await services.blocked(caller, read))


@router.post(
    "/accounts/{account:path}/findings/accept",
    dependencies=OPERATES,
    response_model=AccountStanding,
    responses=problems(413, 415),
    summary="Accept findings of a closed gate",
)
async def accept_findings(services: Serving, caller: Asking, account: Account, body: Accepted) -> Response:
    """These numbers are no job's. When nothing else is found, workers open the gate."""
    caller.need_sight(account, None)

    def accept(didflow: Didflow) -> AccountStanding:
        gate = Gate(didflow.ledger)
        found = gate.findings(account)
        if strange := sorted(set(body.numbers) - set(found.owned) - set(found.in_cart)):
            what = f"{', '.join(strange[:10])}: not among the findings of account {account!r}: read them again"
            raise InvalidRequest(what, (("numbers", what),))
        owned = {number: found.owned[number] for number in body.numbers if number in found.owned}
        gate.accept(account, owned, [number for number in body.numbers if number not in owned])
        return _standing(didflow, account)

    return answer(await services.blocked(caller, accept))


@router.get("/dead-letters", dependencies=READS, response_model=DeadLetters, responses=problems(), summary="List dead letters")
async def list_dead_letters(services: Serving, caller: Asking, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
    """Parked jobs, poison results, refused business events and foreign messages."""
    caller.need_all_seen()
    return answer(await services.didflow.dead_letters(limit))


@router.post(
    "/dead-letters/{name}/replay", dependencies=OPERATES, status_code=204, responses=problems(404, 409), summary="Replay a dead letter"
)
async def replay(services: Serving, caller: Asking, name: Name) -> Response:
    """Retry a parked job, or deliver an entry again."""
    caller.need_all_seen()
    await services.acting_for(caller).replay(name)
    return Response(status_code=204)


@router.delete("/dead-letters/{name}", dependencies=OPERATES, status_code=204, responses=problems(404), summary="Drop a dead letter")
async def drop(services: Serving, caller: Asking, name: Name) -> Response:
    """Delete an entry or a foreign message, permanently."""
    caller.need_all_seen()
    await services.acting_for(caller).drop(name)
    return Response(status_code=204)


@router.get("/decisions", dependencies=READS, response_model=DecisionList, responses=problems(), summary="List decisions")
async def list_decisions(services: Serving, caller: Asking, limit: Annotated[int, Query(ge=1, le=10_000)] = 100) -> Response:
    """What people decided that no job records."""
    caller.need_all_seen()
    return answer(DecisionList(await services.didflow.decisions(limit)))


def _standing(didflow: Didflow, account: str) -> AccountStanding:
    gate = Gate(didflow.ledger)
    return AccountStanding(account, didflow.ledger.account_state(account), gate.closed(account), gate.findings(account))
