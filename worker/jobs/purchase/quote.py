"""The dry run of a purchase: what would be bought now, what it would cost, and the signature by which it can be ordered so."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from didflow.contract.provider import Barred, Offer, ReadFailed
from didflow.contract.quotes import quotable
from didflow.contract.requests import SearchAndBuy
from didflow.contract.results import NumberResult, Quote
from worker.jobs.ports.context import PurchaseContext
from worker.jobs.ports.provider import BalancePort, PurchasePorts
from worker.jobs.ports.rules import Rules
from worker.jobs.purchase.criteria import affordable
from worker.jobs.purchase.stock_search import StockSearch


def quote(request: SearchAndBuy, context: PurchaseContext, provider: PurchasePorts, rules: Rules, search: StockSearch) -> Quote:
    """Reserves nothing."""
    found = _to_be_had(request.quantity, context, search)
    costs = {offer.number: offer.total_usd for offer in found}
    chosen = set(costs if request.max_total_usd is None else affordable(costs, request.max_total_usd))
    offers = [offer for offer in found if offer.number in chosen]
    search.refuse("budget", costs.keys() - chosen)
    setup = sum((offer.setup_usd for offer in offers), Decimal(0))
    monthly = sum((offer.monthly_usd for offer in offers), Decimal(0))
    balance = readable_balance_usd(provider)
    documents = tuple(sorted({document for offer in offers for document in offer.documents}))
    known = provider.document_titles() if documents else {}
    titles = {kind: known[kind] for kind in documents if kind in known}
    expires_ms = context.now_ms() + int(rules.quote_s * 1000)
    return Quote(
        numbers=tuple(_line(offer, search.rung_of(offer.number), titles) for offer in offers),
        setup_usd=setup,
        monthly_usd=monthly,
        first_year_usd=setup + 12 * monthly,
        balance_usd=balance,
        balance_after_usd=None if balance is None else balance - setup - monthly,
        documents=documents,
        document_titles=titles,
        id=context.job_id,
        reusable=request.reusable_quote,
        account=context.account,
        request=quotable(request),
        expires_at=datetime.fromtimestamp(expires_ms // 1000, UTC),
    )


def _to_be_had(wanted: int, context: PurchaseContext, search: StockSearch) -> list[Offer]:
    """As many as are wanted, without those that a purchase would leave alone now."""
    found: list[Offer] = []
    missing = wanted
    while missing and (more := search.next(missing, ())):
        reserved = context.reservations.reserved([offer.number for offer in more])
        search.refuse("reserved", reserved)
        found += [offer for offer in more if offer.number not in reserved]
        search.taken = Counter(search.rung_of(offer.number) for offer in found)
        missing = len(reserved)  # Others take their place; numbers that the stock lacked before aren't requested again.
    return found


def readable_balance_usd(provider: BalancePort) -> Decimal | None:
    """None where the key may not read it."""
    try:
        return provider.balance_usd()
    except ReadFailed as failed:
        if isinstance(failed.answer, Barred) and failed.answer.right:
            return None
        raise


def _line(offer: Offer, rung: int, titles: Mapping[str, str]) -> NumberResult:
    return NumberResult(
        number=offer.number,
        setup_usd=offer.setup_usd,
        monthly_usd=offer.monthly_usd,
        documents_needed=offer.documents,
        document_titles={kind: titles[kind] for kind in offer.documents if kind in titles},
        rung=rung or None,
        per_minute_usd=offer.per_minute_usd,
        sms_usd=offer.sms_usd,
        free_minutes=offer.free_minutes,
        cnam=offer.cnam,
        domestic_cli=offer.domestic_cli,
    )
