"""The cheapest numbers of a city, as a page for new customers would list them.

Shows: reading the catalogue without a key of the provider, with an answer that may be an hour old, and what the provider doesn't state.

Run it beside `didflow up`, which has the workers and a sandbox of the provider:

    python examples/price_list.py US "LOS ANGELES, CA"
    python examples/price_list.py DE Berlin
"""

import asyncio
import sys

from didflow import AsyncDidflow, CatalogueOffer, CatalogueTimeout, DidflowError


async def price_list(country: str, city: str) -> str:
    """Raises UnknownPlace, whose message has the nearest names; CatalogueTimeout; ServiceUnavailable without Redis."""
    didflow = AsyncDidflow.from_env()
    try:
        answer = await didflow.catalogue.offers(country, city, max_age_s=3600, timeout_s=20)
    finally:
        await didflow.aclose()
    lines = [f"{len(answer.items)} numbers in {city}, as of {answer.looked_at:%H:%M} UTC"]
    lines += [line(offer) for offer in answer.items[:5]]
    return "\n".join(lines if answer.complete else [*lines, f"there may be more: {answer.gaps}"])


def line(offer: CatalogueOffer) -> str:
    sms = {True: "with SMS", False: "without SMS", None: "SMS not stated"}[offer.sms]
    papers = "documents not stated" if offer.documents is None else ", ".join(need.title or need.kind for need in offer.documents)
    return f"{offer.number}  {offer.setup_usd} + {offer.monthly_usd} USD a month  {sms}" + (f"  needs: {papers}" if papers else "")


def main() -> str:
    """The list. Ends with a sentence and exit code 1 where there is none."""
    if len(sys.argv) != 3:
        sys.exit("usage: price_list.py COUNTRY CITY")
    try:
        return asyncio.run(price_list(*sys.argv[1:]))
    except CatalogueTimeout as late:  # The look continues: the next page view may find its answer.
        sys.exit(f"no prices yet ({late.reason})")
    except DidflowError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    print(main())
