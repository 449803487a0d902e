"""Search-and-buy: settle what is open, buy in rounds until there are enough numbers, set the routes, report."""

from didflow.contract.changes import changes
from didflow.contract.errors import JobError
from didflow.contract.provider import ReadFailed
from didflow.contract.requests import SearchAndBuy
from didflow.contract.results import Result, SearchReport, Totals
from didflow.contract.states import JobState, WaitReason
from worker.jobs.ports.context import PurchaseContext
from worker.jobs.ports.endings import AttemptFailed, CancelRequested, Ended, NeedsReview, Refused, Wait
from worker.jobs.ports.provider import PurchasePorts
from worker.jobs.ports.rules import Rules
from worker.jobs.purchase.cart_filling import OutOfStock
from worker.jobs.purchase.ladder import steps_of
from worker.jobs.purchase.locations import check_place
from worker.jobs.purchase.pool import give_back, give_back_unless_enough
from worker.jobs.purchase.pool_search import PoolHandOut, PoolQuote
from worker.jobs.purchase.protocol import Purchase
from worker.jobs.purchase.provisioning import SUPERSEDED, set_up, unpark
from worker.jobs.purchase.quote import quote
from worker.jobs.purchase.quote_terms import not_to_be_had, quote_worse
from worker.jobs.purchase.recovery import UnsettledPurchase
from worker.jobs.purchase.result import known_purchase, purchase_result
from worker.jobs.purchase.standing_order import SharedLooks, is_over, left_s, next_look_s
from worker.jobs.purchase.state import Phase
from worker.jobs.purchase.stock_search import StockSearch
from worker.jobs.selection import check_trunks

#: After this number of checkouts that bought too little the job ends with what it has: more checkouts wouldn't help.
MAX_CHECKOUTS = 50
#: A standing order that waits for something else looks up this long after its time is over.
SOON_S = 0.1
CANCELLED_AFTER = JobError(
    code="cancelled_after_purchase", message="cancelled after some numbers were bought: they are ours and listed here"
)


def search_and_buy(request: SearchAndBuy, context: PurchaseContext, provider: PurchasePorts, rules: Rules) -> Ended:
    """Run one attempt to its end. Safe to run again from whatever an earlier attempt left in the ledger."""
    purchase = Purchase(request, context, provider, rules)
    if purchase.checkpoint.phase is Phase.NEW and not purchase.kept:
        context.check_interrupts()  # One that was cancelled asks nothing more.
        if not is_over(request, context):
            _check_names(request, provider)  # Before money moves; while a checkout is open nothing may end the job.
    if request.dry_run:
        return _dry_run(request, context, provider, rules)
    try:
        purchase.recover()
        ours = PoolHandOut(purchase, context, provider, rules) if request.reuse and not is_over(request, context) else None
        if ours:
            ours.begin()
        shortage = _buy_until_enough(purchase, context, provider, rules, ours)
        give_back_unless_enough(purchase, context, _least(request))
        purchase.tidy()
        routing = set_up(purchase, context, provider, rules) if purchase.kept else {}
    except UnsettledPurchase as unsettled:
        message = f"{unsettled.why}: look at the account's numbers and at `didflow explain`"
        error = JobError(code="purchase_unsettled", message=message)
        raise NeedsReview(error, known_purchase(purchase, error)) from None
    except AttemptFailed as failed:
        give_back(purchase, context)
        raise AttemptFailed(failed.error, so_far=known_purchase(purchase, failed.error)) from None
    except ReadFailed:
        give_back(purchase, context)
        raise
    except (CancelRequested, Refused) as stopped:
        give_back(purchase, context)
        # What is bought is bought: however the job ends, its result has these numbers.
        if not purchase.kept:
            raise
        unparked = unpark(purchase, context, provider, rules) or None
        return _ended(purchase, stopped.error if isinstance(stopped, Refused) else CANCELLED_AFTER, unparked)
    return _ended(purchase, shortage, routing)


def _dry_run(request: SearchAndBuy, context: PurchaseContext, provider: PurchasePorts, rules: Rules) -> Ended:
    """The quote; signed if it is for what was asked, or for as much as the policy takes."""
    ours = PoolQuote(request, context, provider, rules) if request.reuse else None
    search = StockSearch(provider, request, context.check_interrupts, ours=ours)
    told = quote(request, context, provider, rules, search)
    told = told.model_copy(update={"numbers": ours.told + told.numbers}) if ours else told
    found = len(told.numbers)
    error = None if found >= _least(request) else _no_stock(request, found, search.report)
    totals = Totals(requested=request.quantity, done=0, setup_usd=told.setup_usd, monthly_usd=told.monthly_usd)
    result = Result(totals=totals, search=search.report, quote=told if error else context.quotes.signed(told), error=error)
    return Ended(JobState.SUCCEEDED if error is None else JobState.FAILED, result)


def _buy_until_enough(
    purchase: Purchase, context: PurchaseContext, provider: PurchasePorts, rules: Rules, ours: PoolHandOut | None
) -> JobError | None:
    """Buy rounds until nothing is missing; return why it is less, if it is. A standing order that finds too few waits instead."""
    if purchase.checkpoint.phase is Phase.BOUGHT:
        return _shortage(purchase, context)
    request = purchase.request
    lists = SharedLooks(provider, context, rules.look_s) if request.wait_until else None
    search = StockSearch(provider, request, context.check_interrupts, lists, ours)
    try:
        # A checkout may bring a single number: what is ours was worth its own.
        while purchase.missing > 0 and purchase.checkpoint.checkouts < MAX_CHECKOUTS + len(purchase.kept) and not is_over(request, context):
            purchase.heed()
            context.check_interrupts()
            if purchase.checkpoint.phase is Phase.NEW:
                context.money.check_frozen()  # The fence checks it too; but then stock was searched, and a cart filled.
            context.money.check()
            _buy(purchase, search, ours)
    except OutOfStock:
        left = left_s(request, context)
        if request.wait_until and left:
            give_back_unless_enough(purchase, context, _least(request))
            purchase.looked(search.report)
            pause_s = min(left, next_look_s(context.job_id, purchase.checkpoint.looks, rules.look_s))
            raise Wait(WaitReason.STOCK, pause_s, _too_few(request, len(purchase.kept), search.report)) from None
    except Wait as wait:  # For funds, say, which the end of a standing order doesn't wait for. What is open is settled first all the same.
        if purchase.checkpoint.phase is not Phase.NEW:
            raise
        raise Wait(wait.reason, min(wait.after_s, left_s(request, context) + SOON_S), wait.message) from None
    report = search.report if search.report.seen else purchase.checkpoint.search
    missing = purchase.missing > 0 and request.terms
    purchase.close(report, not_to_be_had(purchase.kept, search.quoted, missing) if missing else ())
    return _shortage(purchase, context)


def _buy(purchase: Purchase, search: StockSearch, ours: PoolHandOut | None) -> None:
    """A round; or, where a rung has numbers that can't be bought, what is ours of the later ones."""
    try:
        purchase.buy(search)
    except OutOfStock:
        if ours is None or not ours.rest():
            raise


def _shortage(purchase: Purchase, context: PurchaseContext) -> JobError | None:
    if purchase.missing <= 0:
        return None
    request, have, report = purchase.request, len(purchase.kept), purchase.checkpoint.search
    if is_over(request, context):
        return JobError(code="not_filled", message=f"its time is over: {_why_not_filled(purchase, have, report)}")
    return quote_worse(purchase.checkpoint.worse) if purchase.checkpoint.worse else _no_stock(request, have, report)


def _why_not_filled(purchase: Purchase, have: int, report: SearchReport) -> str:
    """What the standing order lacked last, and what to do about that."""
    bought = f"{have} of {purchase.request.quantity} numbers were bought"
    if purchase.checkpoint.short_usd is not None:
        return f"{bought}, and the balance doesn't cover {purchase.checkpoint.short_usd} USD: top up, then order the rest again"
    if reached := purchase.reached_limit():
        return reached.sentence(f"{bought}: raise {reached.limit.setting}, or order the rest later")
    later = changes(purchase.request, report.refused, 0)
    return f"{_too_few(purchase.request, have, report)} at the last look: order the rest again, and then {later}"


def _check_names(request: SearchAndBuy, provider: PurchasePorts) -> None:
    """Raises Refused for a trunk that the account doesn't have, or a rung that could never give anything, though it comes last."""
    check_trunks(request, provider)
    for step in steps_of(request) if request.ladder else ():
        check_place(provider, step.criteria)


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
    message = f"{_too_few(request, found, report)}: {changes(request, report.refused, found)}"
    return JobError(code="no_stock", message=message, retryable=True)


def _too_few(request: SearchAndBuy, found: int, report: SearchReport) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(report.refused.items(), key=lambda item: -item[1]))
    seen = f"{found} of {request.quantity} numbers could be had (policy {request.policy}); {report.seen} seen"
    return seen + (f", refused: {reasons}" if reasons else "")


def _ended(purchase: Purchase, shortage: JobError | None, routing: dict[str, JobError] | None) -> Ended:
    refusals = [refusal for refusal in (routing or {}).values() if refusal is not SUPERSEDED]
    result = purchase_result(purchase, shortage or next(iter(refusals), None), routing)
    if not purchase.kept:
        return Ended(JobState.EXPIRED if result.error and result.error.code == "not_filled" else JobState.FAILED, result)
    return Ended(JobState.PARTIAL if result.error else JobState.SUCCEEDED, result)
