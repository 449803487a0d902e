"""Reads the jobs' records of an account's numbers."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError

from didflow.contract.job_kinds import buys, changes_routes, gives_back
from didflow.contract.jobs import JobView
from didflow.contract.requests import SearchAndBuy
from didflow.contract.results import NumberResult
from didflow.contract.states import OURS, JobState, Outcome
from didflow.ledger.client import LedgerClient
from didflow.ledger.connection import translated
from didflow.ledger.gate import Gate
from didflow.ledger.parked_numbers import all_parked
from didflow.ledger.records import read_record
from didflow.ledger.reservations import Reservation as StoredReservation
from didflow.ledger.views import job_view
from worker.jobs.purchase.state import ItemStatus, PurchaseItem
from worker.jobs.release.state import GOOD as GONE
from worker.jobs.release.state import ReleaseItem
from worker.jobs.reroute.route_change import RouteChange
from worker.reconcile.diff import Books, JobBook, Reservation

Stored = TypeVar("Stored", bound=BaseModel)

#: Jobs read at a time.
CHUNK = 200

#: After these the route is the one that was requested, or will be in a moment.
ROUTED = frozenset({Outcome.CONFIRMED, Outcome.UNCHANGED, Outcome.ACCEPTED})


#: For a number of which it can't be read who routed it last: no job that is known here says where it goes.
NEWER_THAN_ALL = 2**53


class _RouteClaim(BaseModel):
    """As `scripts/include/route_claims.lua` writes it; what else it has is for the scripts."""

    order: int


def read_books(ledger: LedgerClient, account: str) -> Books:
    """Everything that the ledger keeps of the account. Raises ServiceUnavailable.

    Read the provider first: what a job does between the two readings is then in the ledger.
    """
    jobs = tuple(_jobs(ledger, account))
    with translated():
        reserved = cast("dict[str, str]", ledger.client.hgetall(ledger.keys.reserved(account)))
        routes = cast("dict[str, str]", ledger.client.hgetall(ledger.keys.routes(account)))
        parked = ledger.perform(all_parked(ledger.keys, account))
    reservations = tuple(_reservation(number, text) for number, text in sorted(reserved.items()))
    newest = {number: claim.order if (claim := read_record(_RouteClaim, text)) else NEWER_THAN_ALL for number, text in routes.items()}
    return Books(jobs, reservations, newest, Gate(ledger).accepted(account), parked)


def _jobs(ledger: LedgerClient, account: str) -> Iterator[JobBook]:
    with translated():
        # In one transaction: a job that moves from one state to another meanwhile is in one of the lists.
        pipe = ledger.client.pipeline(transaction=True)
        for state in JobState:
            pipe.zrange(ledger.keys.state(state), 0, -1)
        ids = [job_id for listed in pipe.execute() for job_id in listed]
        for start in range(0, len(ids), CHUNK):
            pipe = ledger.client.pipeline(transaction=False)
            for job_id in ids[start : start + CHUNK]:
                pipe.hgetall(ledger.keys.job(job_id))
                pipe.hgetall(ledger.keys.numbers(job_id))
            replies = pipe.execute()
            for job_id, fields, numbers in zip(ids[start : start + CHUNK], replies[::2], replies[1::2], strict=True):
                if "state" in fields and fields.get("account") == account:
                    yield job_book(job_view(job_id, fields), int(fields.get("order") or 0), numbers)


def job_book(view: JobView, order: int, numbers: Mapping[str, str]) -> JobBook:
    """One job's record. An unreadable record proves nothing, so its numbers count as unknown and are reported, never skipped."""
    facts: dict[str, Any]
    if buys(view.kind):
        facts = _purchase(view, numbers)
    elif gives_back(view.kind):
        facts = {"released": _released(view, numbers)}
    elif changes_routes(view.kind) and not (view.request is not None and view.request.dry_run):
        moves = _readable(RouteChange, numbers)
        facts = {"routes": {number: move.target if move.outcome in ROUTED else None for number, move in moves.items()}}
    else:
        facts = {}
    facts["ended_ms"] = int(view.finished_at.timestamp() * 1000) if view.finished_at else None
    facts["charged_usd"] = view.result.totals.charged_usd if view.result else Decimal(0)
    return JobBook(view.id, view.kind, view.state, int(view.created_at.timestamp() * 1000), order, **facts)


def _purchase(view: JobView, numbers: Mapping[str, str]) -> dict[str, Any]:
    items = _readable(PurchaseItem, numbers)
    told = {one.number: one for one in view.result.numbers if one.outcome in OURS} if view.result else {}
    bought = {number: one.record_id for number, one in told.items()}
    bought |= {number: item.owned.record_id for number, item in items.items() if item.status == ItemStatus.KEPT and item.owned}
    open_ones = (
        frozenset()
        if view.state.is_terminal
        else frozenset(n for n, item in items.items() if item.status in (ItemStatus.BOUND, ItemStatus.CARTED))
    )
    asked = view.request.destinations if isinstance(view.request, SearchAndBuy) else ()
    ended = view.state.is_terminal
    routes = {number: asked if ended and number in told and not told[number].error else None for number in bought} if asked else {}
    burned = frozenset(number for number, item in items.items() if item.status == ItemStatus.BURNED)
    costs = {
        number: item.setup_usd + item.monthly_usd for number, item in items.items() if item.status == ItemStatus.KEPT and not item.reused
    }
    costs |= {number: (one.setup_usd or Decimal(0)) + (one.monthly_usd or Decimal(0)) for number, one in told.items() if _was_bought(one)}
    return {"bought": bought, "open": open_ones, "burned": burned, "routes": routes, "costs": costs}


def _was_bought(one: NumberResult) -> bool:
    return one.outcome in (Outcome.BOUGHT, Outcome.BOUGHT_INACTIVE)


def _released(view: JobView, numbers: Mapping[str, str]) -> frozenset[int]:
    told = {one.record_id for one in view.result.numbers if one.outcome in GONE and one.record_id} if view.result else set()
    item = _readable(ReleaseItem, numbers).values()
    going = {one.record_id for one in item if one.outcome in GONE or (one.sent and not view.state.is_terminal)}
    return frozenset(told | going)


def _readable(model: type[Stored], numbers: Mapping[str, str]) -> dict[str, Stored]:
    found = {}
    for number, text in numbers.items():
        try:
            found[number] = model.model_validate_json(text)
        except ValidationError:
            continue
    return found


def _reservation(number: str, text: str) -> Reservation:
    found = read_record(StoredReservation, text)
    return Reservation(number, found.holder, found.until_ms) if found else Reservation(number, "", 0)
