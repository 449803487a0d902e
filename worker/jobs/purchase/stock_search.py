"""Looking through the provider's stock for numbers that fit, as far as needed, and counting why others didn't."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Protocol

from didflow.contract.numbers import NumberType
from didflow.contract.offer_criteria import reason_against
from didflow.contract.provider import NotThere, Offer, Page
from didflow.contract.requests import SearchAndBuy
from didflow.contract.results import RungReport, SearchReport
from worker.jobs.ports.provider import StockPort
from worker.jobs.purchase.ladder import Step, steps_of
from worker.jobs.purchase.locations import cities_to_search
from worker.jobs.purchase.quote_terms import may_do
from worker.pages import all_pages

#: Look at this many more numbers that fit than are needed: some will be taken by others, and the cheapest of more is cheaper.
SPARE = 20


class Lists(Protocol):
    """Who lists a city's numbers, page by page: the provider, or who has asked it a moment ago."""

    def offers(self, country_id: int, city_id: int, *, sms_only: bool, page: int, number_type: NumberType = "all") -> Page[Offer]: ...


class StockSearch:
    """One pass through the stock, rung by rung. What was assigned once isn't offered again.

    `check_interrupts` is called between pages: a search is long and may be stopped anywhere. `taken`: how many numbers of each rung the job
    has by now, which the rung's share allows for. `quoted`: what the stock shows of the numbers of a quote. `ours` gives numbers of
    ours for a rung, up to a maximum, and returns how many there were: the stock has to provide that many fewer.
    """

    def __init__(
        self,
        provider: StockPort,
        request: SearchAndBuy,
        check_interrupts: Callable[[], None],
        lists: Lists | None = None,
        ours: Callable[[Step, int], int] | None = None,
    ) -> None:
        pages = _EachOnce(lists or provider)
        self._ours, self._terms = ours, request.terms
        self.taken: Mapping[int, int] = {}
        self.quoted: dict[str, Offer] = {}
        self._rungs = {step.number: _RungSearch(step, provider, pages, check_interrupts, self.quoted) for step in steps_of(request)}
        self._rung_of: dict[str, int] = {}
        self._handed_out: set[str] = set()

    @property
    def report(self) -> SearchReport:
        found = [rung.report for rung in self._rungs.values()]
        refused: Counter[str] = Counter()
        for one in found:
            refused.update(one.refused)
        return SearchReport(seen=sum(one.seen for one in found), refused=dict(refused), rungs=tuple(one for one in found if one.rung))

    def refuse(self, reason: str, numbers: Iterable[str]) -> None:
        """Count numbers that fitted and then couldn't be had; each once for a reason."""
        for number in numbers:
            self._rungs[self.rung_of(number)].refuse(reason, number)

    def rung_of(self, number: str) -> int:
        """Which rung assigned it."""
        return self._rung_of.get(number, min(self._rungs))

    def reason_against(self, offer: Offer) -> str | None:
        """Why a number that was assigned doesn't fit after all, by the criteria of its rung."""
        return reason_against(offer, self._rungs[self.rung_of(offer.number)].step.criteria)

    def give_back(self, offers: Iterable[Offer]) -> None:
        """Take back what was assigned and not used."""
        for offer in offers:
            self._handed_out.discard(offer.number)
            self._rungs[self.rung_of(offer.number)].spare.append(offer)

    def next(self, wanted: int, used: Collection[str]) -> tuple[Offer, ...]:
        """At most `wanted` numbers that fit and aren't in `used`, of the first rungs that have any, and the cheapest of those checked;
        empty when the stock is through, or numbers of ours are enough. Those that a quote names go first, on all rungs."""
        chosen: list[Offer] = []
        taken = Counter(self.taken)
        for only_quoted in (True, False) if self._terms else (False,):
            for number, rung in self._rungs.items():
                room = wanted - len(chosen)
                if rung.step.at_most is not None:
                    room = min(room, rung.step.at_most - taken[number])
                if room > 0 and self._ours and not only_quoted:
                    given = self._ours(rung.step, room)
                    wanted, room = wanted - given, room - given
                if room > 0:
                    found = rung.next(room, used, self._handed_out, only_quoted=only_quoted)
                    self._handed_out.update(offer.number for offer in found)
                    self._rung_of |= dict.fromkeys((offer.number for offer in found), number)
                    taken[number] += len(found)
                    chosen += found
        return tuple(chosen)


class _RungSearch:
    """One pass through the stock by the criteria of one rung."""

    def __init__(
        self, step: Step, provider: StockPort, lists: Lists, check_interrupts: Callable[[], None], quoted: dict[str, Offer]
    ) -> None:
        self.step, self._provider, self._lists, self._pause_point = step, provider, lists, check_interrupts
        self._quoted = quoted
        self._terms = step.criteria.terms
        self._names_quoted = {one.number for one in self._terms.numbers} if self._terms else set()
        self._fitting = self._walk()
        self.spare: list[Offer] = []
        self._refused: Counter[str] = Counter()
        self._told: set[tuple[str, str]] = set()
        self._seen = 0

    @property
    def report(self) -> RungReport:
        return RungReport(rung=self.step.number, name=self.step.name, seen=self._seen, refused=dict(self._refused))

    def refuse(self, reason: str, number: str) -> None:
        if (reason, number) not in self._told:
            self._told.add((reason, number))
            self._refused[reason] += 1

    def next(self, wanted: int, used: Collection[str], handed_out: Collection[str], *, only_quoted: bool = False) -> list[Offer]:
        pool = [offer for offer in self.spare if offer.number not in used and offer.number not in handed_out]
        while len(pool) < wanted + SPARE and (offer := next(self._fitting, None)) is not None:
            if offer.number not in used and offer.number not in handed_out:
                pool.append(offer)
        pool.sort(key=self._rank)
        most = min(wanted, sum(offer.number in self._names_quoted for offer in pool)) if only_quoted else wanted
        chosen, self.spare = pool[:most], pool[most:]
        return chosen

    def _rank(self, offer: Offer) -> tuple[object, ...]:
        """The quoted ones first, then those with SMS where that is preferred, then the cheapest."""
        plain = self.step.prefers_sms and not offer.sms_enabled
        return offer.number not in self._names_quoted, plain, offer.total_usd, offer.number

    def _walk(self) -> Iterator[Offer]:
        # Those with SMS are listed first where they are preferred, so that it needn't go through the whole stock for them.
        seen: set[str] = set()
        for sms_only in (True, False) if self.step.prefers_sms else (self.step.criteria.sms,):
            for country, city in cities_to_search(self._provider, self.step.criteria):
                for offer in self._offers(country.id, city.id, sms_only=sms_only):
                    if offer.number not in seen:
                        seen.add(offer.number)
                        if self._fits(offer):
                            yield offer

    def _fits(self, offer: Offer) -> bool:
        self._seen += 1
        if offer.number in self._names_quoted:
            self._quoted[offer.number] = offer
        reason: str | None = reason_against(offer, self.step.criteria)
        if reason is None and self._terms is not None and not may_do(offer.number, offer, self._terms):
            reason = "quote"
        if reason is not None:
            self._refused[reason] += 1
        return reason is None

    def _offers(self, country_id: int, city_id: int, *, sms_only: bool) -> Iterator[Offer]:
        def read(page: int) -> Page[Offer]:
            self._pause_point()
            return self._lists.offers(country_id, city_id, sms_only=sms_only, page=page, number_type=self.step.criteria.number_type)

        with suppress(NotThere):  # The last number of the city was sold while we walked.
            for shown in all_pages(read, key=lambda offer: offer.number):
                yield from shown.items


class _EachOnce:
    """Asks for each page once: the rungs of a ladder look at the same cities."""

    def __init__(self, lists: Lists) -> None:
        self._lists = lists
        self._known: dict[tuple[int, int, bool, int, str], Page[Offer]] = {}

    def offers(self, country_id: int, city_id: int, *, sms_only: bool, page: int, number_type: NumberType = "all") -> Page[Offer]:
        asked = (country_id, city_id, sms_only, page, number_type)
        if asked not in self._known:
            self._known[asked] = self._lists.offers(country_id, city_id, sms_only=sms_only, page=page, number_type=number_type)
        return self._known[asked]
