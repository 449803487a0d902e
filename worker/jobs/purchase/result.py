"""A purchase's record as a result. Pure: it can be made at any moment from the record alone."""

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal

from didflow.contract.errors import JobError
from didflow.contract.parked_numbers import STILL_PARKED
from didflow.contract.requests import SearchAndBuy
from didflow.contract.results import NumberResult, Result, SearchReport, Totals
from worker.jobs.ports.context import PurchaseContext
from worker.jobs.purchase.state import ItemStatus, PurchaseRecord


def purchase_result(record: PurchaseRecord, error: JobError | None, routing: Mapping[str, JobError] | None) -> Result:
    """The numbers that are ours, and what they cost.

    `routing`: the refusals by number, if routes were set; None: it didn't come to that, and the routes shown are those seen.
    """
    numbers = tuple(
        item.result(number).model_copy(update=_routed(record.request, routing.get(number)) if routing is not None else {})
        for number, item in sorted(record.kept.items())
    )
    return Result(numbers=numbers, totals=_totals(record), search=_with_bought(record), error=error)


def written_purchase(request: SearchAndBuy, context: PurchaseContext, error: JobError) -> Result:
    """What is written of a purchase that ends from outside of its handler."""
    return known_purchase(PurchaseRecord(request, context.checkpoint, context.numbers()), error)


def known_purchase(record: PurchaseRecord, error: JobError) -> Result:
    """What is known of a purchase that isn't at its end: the numbers that are ours, and those of an open checkout as unclear."""
    known = purchase_result(record, error, None)
    open_ones: tuple[NumberResult, ...] = tuple(
        item.result(number) for number, item in sorted(record.with_status(ItemStatus.CARTED).items())
    )
    # What a release lent still goes where that parked it, as far as is written.
    numbers = (one.model_copy(update={"error": STILL_PARKED}) if record.items[one.number].loan else one for one in known.numbers)
    return known.model_copy(update={"numbers": (*numbers, *open_ones)})


def _routed(request: SearchAndBuy, refusal: JobError | None) -> dict[str, object]:
    routed: dict[str, object] = {"route_after": request.destinations or None}
    if refusal is None:
        return routed
    # A number whose SMS can't be turned on is routed all the same.
    return (routed if refusal.code.startswith("sms_") else {}) | {"error": refusal}


def _with_bought(record: PurchaseRecord) -> SearchReport:
    bought = Counter(item.rung for item in record.bought.values())
    reused = Counter(item.rung for item in record.kept.values()) - bought
    report = record.checkpoint.search
    rungs = (rung.model_copy(update={"bought": bought[rung.rung], "reused": reused[rung.rung]}) for rung in report.rungs)
    return report.model_copy(update={"rungs": tuple(rungs)})


def _totals(record: PurchaseRecord) -> Totals:
    setup = sum((item.setup_usd for item in record.kept.values()), Decimal(0))
    monthly = sum((item.monthly_usd for item in record.kept.values()), Decimal(0))
    return Totals(
        requested=record.request.quantity, done=len(record.kept), setup_usd=setup, monthly_usd=monthly, charged_usd=setup + monthly
    )
