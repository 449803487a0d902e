"""A quote by a dry run."""

from didflow import (
    Quote,
    SearchAndBuy,
)
from tests.support.inline_worker import InlineWorker, result_of

CITY = "LOS ANGELES, CA"


TWO = SearchAndBuy(country="US", city=(CITY,), quantity=2)


def quoted(inline: InlineWorker, request: SearchAndBuy = TWO) -> Quote:
    quote = result_of(inline.run(request.model_copy(update={"dry_run": True}))).quote
    assert quote is not None
    return quote
