"""Looking through the provider's stock for numbers that fit, as far as needed, and counting why others didn't."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator

from worker.contract.provider import NotThere, Offer
from worker.contract.requests import SearchAndBuy
from worker.contract.results import SearchReport
from worker.jobs.fitting import reason_against
from worker.jobs.places import cities_to_search
from worker.jobs.ports import Provider

#: Look at this many more numbers that fit than are needed: some will be taken by others, and the cheapest of more is cheaper.
SPARE = 20


class StockSearch:
    """One pass through the stock. What was handed out once isn't offered again.

    `pause_point` is called between pages: a search is long and may be stopped anywhere.
    """

    def __init__(self, provider: Provider, request: SearchAndBuy, pause_point: Callable[[], None]) -> None:
        self._request = request
        self._provider = provider
        self._pause_point = pause_point
        self._fitting = self._walk()
        self._spare: list[Offer] = []
        self._handed_out: set[str] = set()
        self._refused: Counter[str] = Counter()
        self._seen = 0

    @property
    def report(self) -> SearchReport:
        return SearchReport(seen=self._seen, refused=dict(self._refused))

    def refuse(self, reason: str, count: int = 1) -> None:
        """Count numbers that fitted and then couldn't be had."""
        if count:
            self._refused[reason] += count

    def give_back(self, offers: Iterable[Offer]) -> None:
        """Take back what was handed out and not used."""
        for offer in offers:
            self._handed_out.discard(offer.number)
            self._spare.append(offer)

    def next(self, wanted: int, used: Collection[str]) -> tuple[Offer, ...]:
        """At most `wanted` numbers that fit and aren't in `used`, the cheapest of those looked at; empty when the stock is through."""
        pool = [offer for offer in self._spare if offer.number not in used]
        while len(pool) < wanted + SPARE and (offer := next(self._fitting, None)) is not None:
            if offer.number not in used and offer.number not in self._handed_out:
                pool.append(offer)
        pool.sort(key=lambda offer: (offer.total_usd, offer.number))
        chosen, self._spare = pool[:wanted], pool[wanted:]
        self._handed_out.update(offer.number for offer in chosen)
        return tuple(chosen)

    def _walk(self) -> Iterator[Offer]:
        for country, city in cities_to_search(self._provider, self._request):
            for offer in self._offers(country.id, city.id):
                self._seen += 1
                reason = reason_against(offer, self._request)
                if reason is None:
                    yield offer
                else:
                    self._refused[reason] += 1

    def _offers(self, country_id: int, city_id: int) -> Iterator[Offer]:
        page = total = 1
        while page <= total:
            self._pause_point()
            try:
                found = self._provider.offers(country_id, city_id, sms_only=self._request.sms, page=page)
            except NotThere:  # The last number of the city was sold while we walked.
                return
            yield from found.items
            page, total = page + 1, found.total_pages
