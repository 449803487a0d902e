"""Signed quotes: what is signed, and the order that a quote becomes. Pure; the secret comes from the ledger.

The signature protects against a quote that was altered or made up on its way through browsers, shops and mail. Who can read Redis
can sign, too; but he can submit whatever he likes anyway.
"""

import hashlib
import hmac
import json

from didflow.contract.quote_terms import QuotedNumber, Terms
from didflow.contract.requests import SearchAndBuy
from didflow.contract.results import Quote
from didflow.contract.states import Outcome


def signature(quote: Quote, secret: str) -> str:
    """HMAC-SHA256 over all of the quote but its signature. What is left at its default isn't in it, so that versions agree."""
    content = quote.model_dump(mode="json", exclude_defaults=True, exclude={"signature"})
    return hmac.new(secret.encode(), json.dumps(content, sort_keys=True).encode(), hashlib.sha256).hexdigest()


def is_genuine(quote: Quote, secret: str) -> bool:
    """Whether a worker signed it and it is unchanged."""
    if quote.signature is None:
        return False
    # As bytes: for texts with letters beyond ASCII `compare_digest` raises TypeError.
    return hmac.compare_digest(signature(quote, secret).encode(), quote.signature.encode(errors="surrogatepass"))


def quotable(request: SearchAndBuy) -> SearchAndBuy:
    """What a quote of this request is for: the same request without what only says how to quote."""
    return request.model_copy(update={"dry_run": False, "reusable_quote": False})


def ordered(quote: Quote) -> SearchAndBuy | None:
    """The request that buys as quoted: this many numbers, on these terms. None if it isn't the quote of a purchase."""
    if quote.request is None or not quote.numbers:
        return None
    return quote.request.model_copy(update={"dry_run": False, "quantity": len(quote.numbers), "terms": terms_of(quote)})


def terms_of(quote: Quote) -> Terms:
    """What it promises of each number."""
    return Terms(
        numbers=tuple(
            QuotedNumber(
                number=number.number,
                setup_usd=number.setup_usd or 0,
                monthly_usd=number.monthly_usd or 0,
                documents=number.documents_needed,
                reused=number.outcome is Outcome.REUSED,
            )
            for number in quote.numbers
        )
    )
