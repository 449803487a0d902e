"""What needs a person: paused accounts, closed gates, dead letters; and what people decided."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from didflow.client.sync.client import Didflow
from didflow.contract.api_keys import ApiScope
from didflow.contract.decisions import Decision
from didflow.contract.errors import InvalidRequest
from didflow.contract.jobs import JobView
from didflow.contract.numbers import E164, ListLength, NumberList
from didflow.contract.requests import SearchAndBuy
from didflow.contract.states import JobState
from didflow.ledger.client import AccountState
from didflow.ledger.dead_letters import DeadLetters
from didflow.ledger.gate import Findings, Gate, Gift
from didflow.ledger.worker_settings import running_workers
from producers.http.access import Asking, needs
from producers.http.jobs import job_id_in
from producers.http.problems import in_the_body, problems
from producers.http.representation import answer
from producers.http.routes import StrictRoute
from producers.http.services import Serving

router = APIRouter(tags=["operations"], route_class=StrictRoute)
#: A purchase that isn't with a worker now, and hasn't ended.
WAITING = (JobState.QUEUED, JobState.WAITING, JobState.SCHEDULED)
READS, OPERATES = [needs(ApiScope.READ)], [needs(ApiScope.OPERATE)]

Account = Annotated[str, Path(min_length=1, max_length=200)]
Name = Annotated[str, Path(max_length=200, description="As the list has it")]


@dataclass(frozen=True)
class AccountStanding:
    """An account: whether the provider lets it work, and whether its money waits because Redis may have lost its last writes.

    gate_closed  no purchase and no release goes on
    findings     what keeps the gate closed until a person decides
    gifts        numbers that a person gave to a purchase, until a worker has done so; `refused`: why it couldn't
    """

    name: str
    state: AccountState
    gate_closed: bool
    findings: Findings
    gifts: tuple[Gift, ...]


@dataclass(frozen=True)
class AccountList:
    """The accounts that living workers serve, and those that are paused."""

    accounts: tuple[AccountStanding, ...]


class Accepted(BaseModel):
    """Numbers among the findings that belong to no job of didflow, as a person says."""

    model_config = ConfigDict(extra="forbid")

    numbers: Annotated[NumberList, ListLength(1000, least=1)]


class Given(BaseModel):
    """A number among the findings, and the purchase that bought it, as a person says."""

    model_config = ConfigDict(extra="forbid")

    number: E164
    job: Annotated[str, Field(min_length=1, max_length=110)]


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
        return AccountList(tuple(standing_of(didflow, name) for name in names if caller.sees(name, "") or caller.sees_all))

    return answer(await services.blocked(caller, read))


@router.post(
    "/accounts/{account:path}/findings/accept",
    dependencies=OPERATES,
    response_model=AccountStanding,
    responses=problems(409, 413, 415),
    summary="Accept findings of a closed gate",
)
async def accept_findings(services: Serving, caller: Asking, account: Account, body: Accepted) -> Response:
    """These numbers are no job's. When nothing else is found, workers open the gate."""
    caller.need_sight(account, None)

    with in_the_body():
        return answer(await services.blocked(caller, lambda didflow: accept_findings_of(didflow, account, body.numbers)))


def accept_findings_of(didflow: Didflow, account: str, numbers: Collection[str]) -> AccountStanding:
    """A person says that these numbers are no job's. Raises InvalidRequest for those that aren't among the findings; AlreadyDecided for
    one that was given to a purchase."""
    gate = Gate(didflow.ledger)
    found = gate.findings(account)
    if strange := sorted(set(numbers) - set(found.owned) - set(found.in_cart)):
        what = f"{', '.join(strange[:10])}: not among the findings of account {account!r}: read them again"
        raise InvalidRequest(what, (("numbers", what),))
    owned = {number: found.owned[number] for number in numbers if number in found.owned}
    gate.accept(account, owned, [number for number in numbers if number not in owned])
    return standing_of(didflow, account)


@router.post(
    "/accounts/{account:path}/findings/give",
    dependencies=OPERATES,
    status_code=202,
    response_model=AccountStanding,
    responses=problems(404, 409, 413, 415),
    summary="Give a finding of a closed gate to its purchase",
)
async def give_finding(services: Serving, caller: Asking, account: Account, body: Given) -> Response:
    """The purchase keeps this number and buys one less. A worker reads the number at the provider and does it; then it is no finding."""
    caller.need_sight(account, None)
    view = await services.job(caller, job_id_in(body.job))

    with in_the_body():
        given = await services.blocked(caller, lambda didflow: give_finding_of(didflow, account, body.number, view, caller.name))
    return answer(given, status=202)


def give_finding_of(didflow: Didflow, account: str, number: str, view: JobView, actor: str) -> AccountStanding:
    """A person says that this purchase bought the number: a worker gives it to the job. A repeated call finds it given.

    Raises InvalidRequest with every fault; AlreadyDecided if another person decided otherwise first.
    """
    gate = Gate(didflow.ledger)
    record_id = gate.findings(account).owned.get(number)
    if record_id is None and gate.given_to(account, number) == view.id:
        return standing_of(didflow, account)
    unknown = [("number", f"{number} is not among the owned findings of account {account!r}: read them again")]
    faults = unknown * (record_id is None)
    if not isinstance(view.request, SearchAndBuy) or view.account != account or view.request.dry_run:
        faults.append(("job", f"{view.id} is no purchase of account {account!r}: `candidates` of the findings may be"))
    elif view.state not in WAITING:
        faults.append(("job", f"{view.id} is {view.state.value}: only a waiting purchase can be given a number"))
    if record_id is None or faults:
        raise InvalidRequest("; ".join(f"{where}: {what}" for where, what in faults), tuple(faults))
    if not gate.keep_gift(account, Gift(number=number, record_id=record_id, job=view.id, actor=actor)):
        raise InvalidRequest(f"number: {unknown[0][1]}", unknown)
    return standing_of(didflow, account)


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


def standing_of(didflow: Didflow, account: str) -> AccountStanding:
    """How the account stands now."""
    gate = Gate(didflow.ledger)
    gifts = tuple(gate.gifts(account).values())
    return AccountStanding(account, didflow.ledger.account_state(account), gate.closed(account), gate.findings(account), gifts)
