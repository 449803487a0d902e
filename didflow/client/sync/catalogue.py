# Written by `make generate` from didflow/client/aio/catalogue.py: change that file.
"""The catalogue: the countries, regions, cities and offers that workers saw at the provider, each list with its age.

    catalogue = Catalogue(Didflow.from_env(), account="customers")
    for offer in (catalogue.offers("US", "LOS ANGELES, CA", sms=True)).items:
        print(offer.number, offer.setup_usd, offer.monthly_usd)

A list that is missing or too old is read by a worker, in one small job for all who ask; the caller waits for it.
"""

from collections.abc import Sequence
from typing import Any

from didflow.client.catalogue import TIMEOUT_S, Asking, asking, cities, countries, offers, regions
from didflow.client.sync.base import Client
from didflow.contract.catalogue import CatalogueAnswer, CatalogueCity, CatalogueOffers
from didflow.contract.provider import Country, Region


class Catalogue:
    """What can be bought with one account. Two accounts may be offered different numbers.

    Every method takes the same options:

    max_age_s  an answer that is no older is given at once; None: DIDFLOW_CATALOGUE_AGE_SECONDS (one hour); infinity: of any age
    fresh      wait for a new look at the provider's list, which begins after the question
    timeout_s  how long to wait for a new look, in seconds

    Every method may raise CatalogueTimeout (`reason` says what keeps the look, which continues), LookFailed, UnknownAccount,
    UnknownPlace with the nearest names, and InvalidRequest with every fault.
    """

    def __init__(self, didflow: Client, *, account: str = "default") -> None:
        self._ledger, self._account, self._age_s = didflow.ledger, account, didflow.catalogue_age_s

    def countries(self, *, max_age_s: float | None = None, fresh: bool = False, timeout_s: float = TIMEOUT_S) -> CatalogueAnswer[Country]:
        """List the countries in which the provider sells numbers.

        for country in (didflow.catalogue.countries()).items:
            print(country.iso_code, country.name)
        """
        return self._ledger.perform(countries(self._asking(max_age_s, fresh, timeout_s)))

    def regions(
        self, country: str, *, max_age_s: float | None = None, fresh: bool = False, timeout_s: float = TIMEOUT_S
    ) -> CatalogueAnswer[Region]:
        """List the regions of a country, given by ISO code or name. The list of a country without regions is empty.

        answer = didflow.catalogue.regions("US")
        """
        return self._ledger.perform(regions(self._asking(max_age_s, fresh, timeout_s), country))

    def cities(
        self,
        country: str,
        *,
        region: str | None = None,
        max_age_s: float | None = None,
        fresh: bool = False,
        timeout_s: float = TIMEOUT_S,
    ) -> CatalogueAnswer[CatalogueCity]:
        """List the cities of a region, or without one of the whole country.

        answer = didflow.catalogue.cities("US", region="California")
        """
        return self._ledger.perform(cities(self._asking(max_age_s, fresh, timeout_s), country, region))

    def offers(
        self,
        country: str,
        city: str | Sequence[str],
        *,
        region: str | None = None,
        max_age_s: float | None = None,
        fresh: bool = False,
        timeout_s: float = TIMEOUT_S,
        **criteria: Any,
    ) -> CatalogueOffers:
        """List the numbers of one city or several that fit, the cheapest first. Amounts are in USD.

            answer = didflow.catalogue.offers("US", "LOS ANGELES, CA", sms=True, max_monthly_usd="2.50")

        `criteria` are those of `SearchAndBuy` that are about one number: area_code, prefix, pattern, number_type, sms, min_channels,
        max_setup_usd, max_monthly_usd, documents. Unlike in a purchase, numbers that need documents are listed, unless ``documents`` is
        ``refuse``. Numbers that a job has reserved are left out, as a purchase leaves them out.
        """
        named = (city,) if isinstance(city, str) else tuple(city)
        return self._ledger.perform(offers(self._asking(max_age_s, fresh, timeout_s), country, named, region, criteria))

    def _asking(self, max_age_s: float | None, fresh: bool, timeout_s: float) -> Asking:
        age_s = self._age_s if max_age_s is None else max_age_s
        return asking(self._ledger.commands, self._account, age_s, fresh=fresh, timeout_s=timeout_s)
