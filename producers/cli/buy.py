"""`didflow buy`."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from didflow.client.sync.client import Didflow
from didflow.contract.requests import SearchAndBuy
from didflow.contract.results import Quote
from didflow.terminal import options as given
from didflow.terminal.confirmation import FOR_GOOD, can_ask, confirmed
from didflow.terminal.output import errors_shown
from producers.cli.buy_options import Alternatives, Amount, Delivery, Features, Place, Pricing, QuoteFile, Terms
from producers.cli.option_groups import Labels, Turn, grouped
from producers.cli.pricing import Priced, ordered_before, priced, shown
from producers.cli.submit import submit


@grouped
def buy(
    *,
    place: Place,
    features: Features,
    terms: Terms,
    amount: Amount,
    alternatives: Alternatives,
    quote: QuoteFile = None,
    delivery: Delivery,
    pricing: Pricing,
    labels: Labels,
    turn: Turn,
    yes: given.Yes = False,
    as_json: given.Json = False,
) -> None:
    """Search for numbers and buy them, once per key. A dry run prints the price and a quote that can be ordered."""
    with errors_shown(as_json=as_json):
        fields = place.fields() | vars(features) | terms.fields() | amount.fields() | delivery.fields() | vars(pricing)
        ladder, check_ladder = given.tried(alternatives.ladder, None)
        until, check_until = given.tried(lambda: given.moment(alternatives.wait_until, "wait_until"), None)
        fields |= {"ladder": ladder, "wait_until": until}
        request, begin, places, quoted, *_ = given.together(
            lambda: _request(fields, quote),
            lambda: given.moment(turn.not_before, "not_before"),
            lambda: given.destinations(delivery.to),
            lambda: _quote(quote, beside=fields | {"to": delivery.to}),
            lambda: labels.check(turn.priority),
            check_ladder,
            check_until,
        )
        if request is not None:
            request = SearchAndBuy.model_validate(vars(request) | {"destinations": places})
        if not pricing.dry_run:
            request, quoted = _agreed(request, quoted, labels, later=begin is not None, yes=yes, as_json=as_json)
        submit(request, labels, quote=quoted, priority=turn.priority, not_before=begin, as_json=as_json)


def _agreed(
    request: SearchAndBuy | None, quote: Quote | None, labels: Labels, *, later: bool, yes: bool, as_json: bool
) -> tuple[SearchAndBuy | None, Quote | None]:
    """What to submit, once a person has agreed to its price. A key that has a job buys nothing, so there is nothing to agree to."""
    if not yes and not can_ask():
        confirmed("buy?", FOR_GOOD, yes=False)
    didflow = Didflow.from_env()
    if labels.key and didflow.find(idempotency_key=labels.key):
        return ordered_before(didflow, request, labels.key), quote
    if yes:
        return request, quote
    if request is not None:
        price = priced(didflow, request, labels, later=later, as_json=as_json)
    elif quote is not None and quote.request is not None:
        price = shown(didflow, quote, quote.request, labels, binding=True)
    else:
        price = Priced("buy what this quote says? It can't be undone")
    confirmed(price.question, FOR_GOOD, yes=False)
    if price.quote is not None:
        return None, price.quote
    return request, quote


def _request(fields: dict[str, Any], quote: Path | None) -> SearchAndBuy | None:
    """None where a quote says what to buy."""
    if quote is not None:
        return None
    if fields["country"] is None:
        given.refuse("country", "give --country, or --quote")
    return SearchAndBuy.model_validate(fields)


def _quote(path: Path | None, beside: dict[str, Any]) -> Quote | None:
    """The quote in what `didflow buy --dry-run --json` printed, or by itself. Raises InvalidRequest."""
    if path is None:
        return None
    plain = SearchAndBuy(country="US")
    if extra := [name for name, value in beside.items() if value and value != getattr(plain, name, None)]:
        given.refuse("quote", f"defines the whole order: leave out {', '.join(extra)}")
    try:
        printed = TypeAdapter(dict[str, Any]).validate_json(given.file_text(path))
        return Quote.model_validate((printed.get("result") or {}).get("quote") or printed)
    except OSError as error:
        given.refuse("quote", f"{str(path)[:80]} can't be read ({type(error).__name__})")
        raise
    except (ValueError, AttributeError):  # A ValidationError is a ValueError, and so is InvalidRequest.
        given.refuse("quote", f"{str(path)[:80]} holds no quote: give it what `didflow buy --dry-run --json` printed")
        raise
