"""Search-and-buy, told in order: settle what is open, buy rounds until it is enough, set the routes, report."""

from contextlib import suppress
from decimal import Decimal

from worker.contract.errors import JobError
from worker.contract.provider import ReadFailed
from worker.contract.requests import SearchAndBuy
from worker.contract.results import NumberResult, Quote, Result, SearchReport, Totals
from worker.contract.states import JobState
from worker.jobs.after_purchase import SUPERSEDED, set_up
from worker.jobs.fitting import affordable
from worker.jobs.ports import AttemptFailed, CancelRequested, Ended, JobPage, NeedsReview, Provider, Refused, Rules
from worker.jobs.purchase import OutOfStock, Purchase, UnsettledPurchase
from worker.jobs.purchase_result import known_purchase, purchase_result
from worker.jobs.purchase_state import Phase
from worker.jobs.reuse import give_back, give_back_unless_enough, quoted_with, reuse, without, would_reuse
from worker.jobs.selection import check_trunks
from worker.jobs.stock import StockSearch

#: After so many checkouts that bought too little the job takes what it has: something is wrong that buying doesn't mend.
MAX_CHECKOUTS = 50
CANCELLED_AFTER = JobError(
    code="cancelled_after_purchase", message="cancelled when some numbers were already bought: they are ours and listed here"
)


def search_and_buy(request: SearchAndBuy, page: JobPage, provider: Provider, rules: Rules) -> Ended:
    """Run one attempt to its end. Safe to run again from whatever an earlier attempt left in the ledger."""
    purchase = Purchase(request, page, provider, rules)
    if purchase.memo.phase is Phase.NEW and not purchase.kept:
        check_trunks(request, provider)  # Before money moves; while a checkout is open nothing may end the job.
    if request.dry_run:
        reused = would_reuse(request, page, provider, rules)
        return quoted_with(quote(without(request, reused), page, provider), reused, request, _least(request))
    try:
        purchase.recover()
        reuse(purchase, page, provider, rules)
        shortage = _buy_until_enough(purchase, page, provider)
        give_back_unless_enough(purchase, page, _least(request))
        purchase.tidy()
        routing = set_up(purchase, page, provider, rules) if purchase.kept else {}
    except UnsettledPurchase as unsettled:
        message = f"{unsettled.why}: look at the account's numbers and at `didflow explain`"
        error = JobError(code="purchase_unsettled", message=message)
        raise NeedsReview(error, known_purchase(purchase, error)) from None
    except AttemptFailed as failed:
        give_back(purchase, page)
        raise AttemptFailed(failed.error, so_far=known_purchase(purchase, failed.error)) from None
    except ReadFailed:
        give_back(purchase, page)
        raise
    except (CancelRequested, Refused) as stopped:
        give_back(purchase, page)
        # What is bought is bought: however the job ends, its result has these numbers.
        if not purchase.kept:
            raise
        return _ended(purchase, stopped.error if isinstance(stopped, Refused) else CANCELLED_AFTER, None)
    return _ended(purchase, shortage, routing)


def quote(request: SearchAndBuy, page: JobPage, provider: Provider) -> Ended:
    """What would be bought now, and what it would cost. Reserves nothing."""
    search = StockSearch(provider, request, page.pause_point)
    found = search.next(request.quantity, ())
    costs = {offer.number: offer.setup_usd + offer.monthly_usd for offer in found}
    chosen = set(costs if request.max_total_usd is None else affordable(costs, request.max_total_usd))
    offers = [offer for offer in found if offer.number in chosen]
    search.refuse("budget", len(found) - len(offers))
    setup = sum((offer.setup_usd for offer in offers), Decimal(0))
    monthly = sum((offer.monthly_usd for offer in offers), Decimal(0))
    balance = provider.balance_usd()
    numbers = tuple(
        NumberResult(
            number=offer.number,
            outcome=None,
            setup_usd=offer.setup_usd,
            monthly_usd=offer.monthly_usd,
            documents_needed=offer.documents,
        )
        for offer in offers
    )
    result = Result(
        totals=Totals(requested=request.quantity, done=0),
        search=search.report,
        quote=Quote(
            numbers=numbers,
            setup_usd=setup,
            monthly_usd=monthly,
            first_year_usd=setup + 12 * monthly,
            balance_usd=balance,
            balance_after_usd=balance - setup - monthly,
        ),
        error=None if len(offers) >= _least(request) else _no_stock(request, len(offers), search.report),
    )
    return Ended(JobState.SUCCEEDED if result.error is None else JobState.FAILED, result)


def _buy_until_enough(purchase: Purchase, page: JobPage, provider: Provider) -> JobError | None:
    """Buy rounds until nothing is missing; return why it is less, if it is."""
    if purchase.memo.phase is Phase.BOUGHT:
        return _shortage(purchase)
    search = StockSearch(provider, purchase.request, page.pause_point)
    with suppress(OutOfStock):
        while purchase.missing > 0 and purchase.memo.checkouts < MAX_CHECKOUTS:
            page.pause_point()
            page.money_point()
            purchase.buy(search)
    purchase.close(search.report)
    return _shortage(purchase)


def _shortage(purchase: Purchase) -> JobError | None:
    return _no_stock(purchase.request, len(purchase.kept), purchase.memo.search) if purchase.missing > 0 else None


def _least(request: SearchAndBuy) -> int:
    """With fewer numbers than this the policy buys none."""
    match request.policy:
        case "all_or_nothing":
            return request.quantity
        case "at_least":
            return request.at_least or 1
        case "best_effort":
            return 1


def _no_stock(request: SearchAndBuy, found: int, report: SearchReport) -> JobError:
    hint = "allow numbers that need documents, or " if "documents" in report.refused else ""
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(report.refused.items(), key=lambda item: -item[1]))
    return JobError(
        code="no_stock",
        message=f"{found} of {request.quantity} numbers could be had (policy {request.policy}); {report.seen} seen"
        + (f", refused: {reasons}" if reasons else "")
        + f": {hint}widen the criteria, or ask again later",
        retryable=True,
    )


def _ended(purchase: Purchase, shortage: JobError | None, routing: dict[str, JobError] | None) -> Ended:
    refusals = [refusal for refusal in (routing or {}).values() if refusal is not SUPERSEDED]
    result = purchase_result(purchase, shortage or next(iter(refusals), None), routing)
    if not purchase.kept:
        return Ended(JobState.FAILED, result)
    return Ended(JobState.PARTIAL if result.error else JobState.SUCCEEDED, result)
