"""Overview: is money moving, are calls safe, and what needs a person."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from didflow.contract.api_keys import ApiScope
from didflow.contract.states import JobState, Lane
from didflow.ledger.job_pages import JobLine, dry_runs, jobs_page
from didflow.ledger.metrics import Measures, measures
from producers.async_incidents import AsyncIncidents
from producers.console.screen import Screen
from producers.console.visit import Visit, Visiting

router = APIRouter()
SCREEN = Screen("/", "Overview", "home", router, for_limited=True)

#: A due job that waits longer isn't taken as fast as it should be.
LATE_S: Mapping[Lane, float] = {Lane.EMERGENCY: 2.0, Lane.MONEY: 60.0, Lane.BULK: 600.0}
#: What the charts show.
CHART_MINUTES = 180
SHOWN_JOBS = 8
#: Of those that are parked or wait: as many as a card has room for, so that nothing below moves.
SHOWN_IN_CARD = 4
SHOWN_INCIDENTS = 4


@dataclass(frozen=True)
class Verdict:
    """An answer to one of the two questions. `colour`: as of chips; `why`: sentences, the gravest first."""

    question: str
    answer: str
    colour: str
    icon: str
    why: tuple[str, ...]


@router.get("/")
async def show(visit: Visiting) -> Response:
    """The first page."""
    visit.caller.need(ApiScope.READ)
    newest = await _jobs(visit)
    parked = await _jobs(visit, JobState.NEEDS_REVIEW, SHOWN_IN_CARD)
    ledger = visit.services.didflow.ledger
    dry = await ledger.perform(dry_runs(ledger.commands, newest, parked))
    if not visit.caller.sees_all:
        return visit.page("overview_limited.html", newest=newest, parked=parked, dry_runs=dry)
    found = await ledger.perform(measures(ledger.commands))
    return visit.page(
        "overview.html",
        found=found,
        money=money_moves(found),
        calls=calls_are_safe(found),
        lanes=[(lane, found.lanes[lane], found.lanes[lane].oldest_s > LATE_S[lane]) for lane in Lane],
        in_doubt_usd=sum((one.in_doubt_usd for one in found.accounts.values()), Decimal(0)),
        parked=parked,
        waiting=await _jobs(visit, JobState.WAITING, SHOWN_IN_CARD),
        newest=newest,
        dry_runs=dry,
        incidents=await AsyncIncidents(visit.services.didflow).all(SHOWN_INCIDENTS),
        dead_letters=sum(found.dead_letters.values()),
    )


@router.get("/charts")
async def charts(visit: Visiting) -> Response:
    """The last three hours by the minute: jobs by how they ended, USD, and the provider's latency in ms."""
    visit.caller.need(ApiScope.READ)
    visit.caller.need_all_seen()
    minutes = await visit.services.didflow.activity(CHART_MINUTES)
    return JSONResponse(
        {
            "at": [int(one.at.timestamp()) for one in minutes],
            "jobs": [[sum(map(one.ended.get, names, (0,) * len(names))) for one in minutes] for _, names in ENDS],
            "spend": [[float(one.spent_usd) for one in minutes]],
            "latency": [[one.p50_ms for one in minutes], [one.p95_ms for one in minutes]],
        }
    )


#: The lines of the first chart, and the states in each.
ENDS = (("succeeded", ("succeeded",)), ("partial or failed", ("partial", "failed", "expired")), ("parked", ("needs_review",)))


async def _jobs(visit: Visit, state: JobState | None = None, limit: int = SHOWN_JOBS) -> tuple[JobLine, ...]:
    def wanted(line: JobLine) -> bool:
        return visit.caller.sees(line.account, line.reference)

    ledger = visit.services.didflow.ledger
    return (await ledger.perform(jobs_page(ledger.commands, wanted=wanted, state=state, limit=limit))).jobs


def money_moves(found: Measures) -> Verdict:
    """Whether purchases and releases go on."""
    question = "Is money moving?"
    stops, late = tuple(_stops(found)), tuple(_late(found, Lane.MONEY))
    if stops:
        is_all = not found.workers or all(one.paused or one.gate_closed or one.frozen for one in found.accounts.values())
        return Verdict(question, "No" if is_all else "In part", "bad", "cross", stops + late)
    if late:
        return Verdict(question, "Slowly", "warn", "half", late)
    return Verdict(question, "Yes", "ok", "check", ("Purchases and releases go on in every account.",))


def calls_are_safe(found: Measures) -> Verdict:
    """Whether numbers can be moved away from a trunk that fails. A closed gate doesn't hinder that."""
    question = "Are calls safe?"
    stops, slow = tuple(_no_moves(found)), (*_failing(found), *_late(found, Lane.EMERGENCY))
    if stops:
        return Verdict(question, "Not now", "bad", "cross", stops + slow)
    if slow:
        return Verdict(question, "At risk", "warn", "half", slow)
    return Verdict(question, "Yes", "ok", "check", ("Numbers can be moved to another trunk at once, also while a gate is closed.",))


def _stops(found: Measures) -> Iterator[str]:
    yield from _no_worker(found)
    for name, one in found.accounts.items():
        if one.paused:
            yield f"Account {name}: the provider refuses the key."
        if one.frozen:
            yield f"Account {name}: purchases and releases are frozen by a person."
        if one.gate_closed:
            yield f"Account {name}: the gate is closed, because a restart of Redis may have lost writes."
    yield from _failing(found)


def _no_moves(found: Measures) -> Iterator[str]:
    yield from _no_worker(found)
    for name, one in found.accounts.items():
        if one.paused:
            yield f"Account {name}: the provider refuses the key, so its numbers can't be moved."


def _no_worker(found: Measures) -> Iterator[str]:
    if not found.workers:
        yield "No worker is alive: `didflow worker` starts some."


def _failing(found: Measures) -> Iterator[str]:
    for name, one in found.accounts.items():
        if one.breaker_open:
            yield f"Account {name}: the provider fails, and only probes are sent."


def _late(found: Measures, lane: Lane) -> Iterator[str]:
    if _is_late(found, lane):
        yield f"The oldest {lane.value} job has been due for {found.lanes[lane].oldest_s:.0f} s."


def _is_late(found: Measures, lane: Lane) -> bool:
    return found.lanes[lane].oldest_s > LATE_S[lane]
