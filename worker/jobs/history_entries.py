"""The history entries that a job's write adds: pure, from a number's record before and after.

A write that changes nothing adds no history entry, and neither does one that another entry implies: a confirmation repeats the acceptance.
"""

from collections.abc import Iterable, Mapping

from didflow.contract.destinations import Route, same_route
from didflow.contract.errors import JobError
from didflow.contract.history import Happened, Happening
from didflow.contract.provider import OwnedNumber
from didflow.contract.results import NumberResult
from didflow.contract.states import Outcome
from worker.jobs.purchase.state import ItemStatus, PurchaseItem
from worker.jobs.reroute.route_change import RouteChange

#: Outcomes of a number after it was routed.
_AFTERWARDS = {Outcome.CHANGED_ELSEWHERE: Happening.CHANGED_ELSEWHERE, Outcome.NOT_FOUND: Happening.NOT_FOUND}
#: Outcomes of a release that get an entry; a number that was left alone was never touched.
_OF_A_RELEASE = {
    Outcome.RELEASED: Happening.RELEASED,
    Outcome.ALREADY_RELEASED: Happening.ALREADY_RELEASED,
    Outcome.REFUSED: Happening.REFUSED,
}


def route_history(before: Mapping[str, RouteChange], now: Iterable[RouteChange]) -> dict[str, Happened]:
    """By moves that were written: each at most once on its way from accepted to confirmed."""
    found = ((move.number, _moved(before.get(move.number), move)) for move in now)
    return {number: happened for number, happened in found if happened is not None}


def _moved(old: RouteChange | None, new: RouteChange) -> Happened | None:
    if old is None or (old.outcome, old.error) == (new.outcome, new.error):
        return None
    error = new.error.code if new.error else None
    was_accepted = old.outcome is Outcome.ACCEPTED and old.refusal is None
    match new.outcome:
        case Outcome.ACCEPTED if new.refusal:
            return None  # What it comes to is read back.
        case Outcome.ACCEPTED if new.error:
            return Happened(what=Happening.NOT_CONFIRMED, record_id=new.record_id, error=error)
        case Outcome.ACCEPTED | Outcome.CONFIRMED if not was_accepted and not same_route(new.before, new.target):
            return routed(new.record_id, new.before, new.target)
        case Outcome.CHANGED_ELSEWHERE | Outcome.NOT_FOUND if was_accepted:
            return Happened(what=_AFTERWARDS[new.outcome], record_id=new.record_id, error=error)
        case Outcome.REFUSED:
            return Happened(what=Happening.REFUSED, record_id=new.record_id, error=error)
        case Outcome.UNCLEAR:
            return Happened(what=Happening.UNCLEAR, record_id=new.record_id, error=error)
    return None


def purchase_history(before: Mapping[str, PurchaseItem], now: Mapping[str, PurchaseItem]) -> dict[str, Happened]:
    """By the picks of a purchase that were written: what was bought, and what an unclear checkout left behind."""
    found: dict[str, Happened] = {}
    for number, item in now.items():
        status = before[number].status if number in before else None
        if item.status == ItemStatus.KEPT and status != ItemStatus.KEPT and item.owned is not None:
            what = Happening.BOUGHT if item.owned.is_active else Happening.BOUGHT_INACTIVE
            found[number] = Happened(what=what, record_id=item.owned.record_id, setup_usd=item.setup_usd, monthly_usd=item.monthly_usd)
        elif item.status == ItemStatus.BURNED and status == ItemStatus.CARTED:
            found[number] = Happened(what=Happening.NOT_BOUGHT)
    return found


def routed_after_purchase(owned: OwnedNumber | None, after: Route) -> Happened:
    """The first route of a bought number."""
    return routed(owned.record_id if owned else None, owned.route if owned else None, after)


def routed(record_id: int | None, before: Route | None, after: Route) -> Happened:
    """The provider accepted a route. `before` None: the previous route wasn't read."""
    shown = None if before is None else tuple(map(str, before))
    return Happened(what=Happening.ROUTED, record_id=record_id, route_before=shown, route_after=tuple(map(str, after)))


def released(outcome: Outcome | None, record_id: int, error: JobError | None) -> Happened | None:
    """By the outcome of one number of a release."""
    what = _OF_A_RELEASE.get(outcome) if outcome else None
    return Happened(what=what, record_id=record_id, error=error.code if error else None) if what else None


def left_unclear(numbers: Iterable[NumberResult]) -> dict[str, Happened]:
    """At the end of a job, or when it is parked: numbers with an unknown outcome."""
    return {
        number.number: Happened(what=Happening.UNCLEAR, record_id=number.record_id, error=number.error.code if number.error else None)
        for number in numbers
        if number.outcome is Outcome.UNCLEAR
    }
