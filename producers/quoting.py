"""Ordering by a quote: is it genuine, still good, and for this account? Plans, so that the sync and the async client ask the same."""

from datetime import UTC, datetime

from worker.contract.errors import InvalidRequest
from worker.contract.quotes import is_genuine, ordered
from worker.contract.requests import Request, SearchAndBuy
from worker.contract.results import Quote
from worker.ledger import calls
from worker.ledger.plans import Ask, Plan, Plans


def requested(plans: Plans, request: Request | None, quote: Quote | None, account: str, key: str | None) -> Plan[Request]:
    """What to submit: the request, or the order that the quote becomes. Raises InvalidRequest."""
    if quote is None:
        if request is None:
            raise _refusal("request", "give a request, or a quote")
        return request
    order = yield from order_by(plans, quote, account, key)
    if request is not None and request.model_copy(update={"dry_run": False}) != quote.request:
        raise _refusal("quote", "is for another request: leave the request out, or ask for a quote of it")
    return order


def order_by(plans: Plans, quote: Quote, account: str, key: str | None) -> Plan[SearchAndBuy]:
    """The order that this quote becomes. Raises InvalidRequest for one that was altered, has expired or belongs to another account.

    One that has expired is taken where its key has a job: then that is what the submit answers with.
    """
    genuine = is_genuine(quote, (yield from plans.run(calls.seal())))
    order = ordered(quote) if genuine else None
    if order is None or quote.expires_at is None:
        raise _refusal("quote", "was not signed here or was changed since: hand on the quote of a dry run as it is, or ask for a new one")
    if quote.account != account:
        raise _refusal("quote", f"is for account {quote.account!r}: submit it with that account")
    seconds, _ = yield Ask("time")
    if quote.expires_at <= datetime.fromtimestamp(seconds, UTC) and not (key and (yield Ask("hget", (plans.keys.idempotency, key)))):
        raise _refusal("quote", f"expired at {quote.expires_at:%Y-%m-%d %H:%M:%S} UTC: ask for a new one")
    return order


def _refusal(where: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"{where}: {what}", ((where, what),))
