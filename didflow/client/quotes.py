"""Checks an order's quote: genuine, still valid, and for this account. Commands, so that the sync and the async client share them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from didflow.contract.errors import InvalidRequest
from didflow.contract.quotes import is_genuine, ordered, quotable
from didflow.contract.requests import Request, SearchAndBuy
from didflow.contract.results import Quote
from didflow.ledger import script_calls
from didflow.ledger.commands import Command, Commands, RedisCommand
from didflow.ledger.script_calls import QuoteUse, Submission

_ASK = "ask for a new one (--dry-run; field dry_run)"


@dataclass(frozen=True)
class QuotedSubmission:
    """An order by a quote, for `submit_many`: what `submit(request, quote=…)` takes. Without a request the quote's own is ordered."""

    quote: Quote
    idempotency_key: str | None = None
    reference: str | None = None
    account: str = "default"
    priority: int = 5
    not_before: datetime | None = None
    request: Request | None = None
    actor: str = ""

    def ordering(self, request: Request, use: QuoteUse | None) -> Submission:
        """The same as a submission of what is ordered."""
        key, account = self.idempotency_key, self.account
        return Submission(request, key, self.reference, account, self.priority, self.not_before, quote=use, actor=self.actor)


def orders(commands: Commands, quoted: Sequence[QuotedSubmission]) -> Command[list[Submission | InvalidRequest]]:
    """What to submit by these quotes, however many in three questions; a refused quote returns its error, in its place.

    Refused is one that was altered, has expired, belongs to another account, or is for another request than the one beside it. One that
    has expired is taken where its key has a job: then that is what the submit answers with. That a quote is good for one order is for the
    submit itself to see.
    """
    if not quoted:
        return []
    secret = yield from commands.run(script_calls.quote_secret())
    seconds, _ = yield RedisCommand("time")
    now = datetime.fromtimestamp(seconds, UTC)
    genuine = [is_genuine(one.quote, secret) for one in quoted]  # Before anything else of a quote is believed.
    late = {one.idempotency_key for one, good in zip(quoted, genuine, strict=True) if good and _has_expired(one.quote, now)}
    keys = sorted(key for key in late if isinstance(key, str) and key)
    jobs: list[object] = (yield tuple(RedisCommand("hget", (commands.keys.idempotency, key)) for key in keys)) if keys else []
    known = {key for key, job in zip(keys, jobs, strict=True) if isinstance(job, str)}
    return [_order(one, now, known, genuine=good) for one, good in zip(quoted, genuine, strict=True)]


def _order(one: QuotedSubmission, now: datetime, known: Collection[str], *, genuine: bool) -> Submission | InvalidRequest:
    quote = one.quote
    order = ordered(quote) if genuine else None
    if order is None or quote.expires_at is None or quote.id is None:
        return refusal("quote", f"was not signed here or was changed since: pass the quote of a dry run unchanged, or {_ASK}")
    if quote.account != one.account:
        return refusal("quote", f"is for account {quote.account!r}: submit it with that account (--account; field account)")
    if _has_expired(quote, now) and one.idempotency_key not in known:
        return refusal("quote", f"expired at {quote.expires_at:%Y-%m-%d %H:%M:%S} UTC: {_ASK}")
    if one.request is not None and (not isinstance(one.request, SearchAndBuy) or quotable(one.request) != quote.request):
        return refusal("quote", "is for another request: leave the request out, or ask for a quote of it")
    return one.ordering(order, None if quote.reusable else QuoteUse(quote.id, quote.expires_at))


def _has_expired(quote: Quote, now: datetime) -> bool:
    return quote.expires_at is not None and quote.expires_at <= now


def refusal(where: str, what: str) -> InvalidRequest:
    """One fault of a submit."""
    return InvalidRequest(f"{where}: {what}", ((where, what),))
