"""The stock: countries, regions, cities, and the numbers that can be bought there."""

from collections.abc import Callable
from typing import Literal, TypeVar

import structlog

from didflow.contract.numbers import NumberType
from didflow.contract.provider import City, Country, No, NotNow, NotNowReason, NotThere, Offer, Page, ReadFailed, Region
from worker.pages import PER_PAGE, PageRepeated, all_pages
from worker.wavix import parsing
from worker.wavix.parsing import Fields
from worker.wavix.reads import NoSuchRoute, Reads
from worker.wavix.transport import Params

T = TypeVar("T")

#: What the overview calls the types of numbers.
TYPE_FILTERS: dict[NumberType, str] = {"geographic": "geo", "toll_free": "toll-free", "all": "all"}
#: Under this it is remembered whether the server refused the filter.
_NO_TYPE_FILTER = "no type_filter"

log = structlog.stdlib.get_logger("didflow.wavix")


class StockCalls(Reads):
    """What is for sale."""

    _city_word: Literal["cities", "city"] = "cities"
    _city_word_known = False

    def countries(self) -> tuple[Country, ...]:
        return self._locations.get("countries", lambda: self._places("/v1/buy/countries", "countries", parsing.country))

    def regions(self, country_id: int) -> tuple[Region, ...]:
        """Raises NotThere for a country without regions."""
        path = f"/v1/buy/countries/{country_id}/regions"
        return self._locations.get(path, lambda: self._places(path, "regions", parsing.region))

    def cities(self, country_id: int, region_id: int | None) -> tuple[City, ...]:
        region = f"/regions/{region_id}" if region_id is not None else ""
        path = f"/v1/buy/countries/{country_id}{region}/cities"
        return self._locations.get(path, lambda: self._places(path, "cities", parsing.city))

    def countries_page(self, page: int) -> Page[Country]:
        """Asked now, whatever is remembered. So are the two below."""
        return self._places_page("/v1/buy/countries", "countries", parsing.country, page)

    def regions_page(self, country_id: int, page: int) -> Page[Region]:
        """Raises NotThere for a country without regions."""
        return self._places_page(f"/v1/buy/countries/{country_id}/regions", "regions", parsing.region, page)

    def cities_page(self, country_id: int, region_id: int | None, page: int) -> Page[City]:
        region = f"/regions/{region_id}" if region_id is not None else ""
        return self._places_page(f"/v1/buy/countries/{country_id}{region}/cities", "cities", parsing.city, page)

    def _places(self, path: str, name: str, parse: Callable[[Fields], T]) -> tuple[T, ...]:
        """All pages, as long as they bring something new; a list of places isn't known to have pages. One entry that can't be read is an
        error: a place that isn't in the list is refused."""
        found: dict[T, None] = {}
        try:
            for shown in all_pages(lambda page: self._places_page(path, name, parse, page), key=lambda place: place):
                if shown.unread:
                    raise ReadFailed(NotNow(NotNowReason.UNAVAILABLE, words=f"{path}: entries that can't be read"))
                found |= dict.fromkeys(shown.items)
        except PageRepeated as repeated:
            log.warning("wavix.page_repeated", path=path, page=repeated.page)
        return tuple(found)

    def _places_page(self, path: str, name: str, parse: Callable[[Fields], T], page: int) -> Page[T]:
        """No `per_page`: the first page is asked for as published, and the others have to be of its size."""
        params: Params = {} if page == 1 else {"page": page}
        return self._read_known(path, params, lambda raw: parsing.places_page(raw, name, parse, page, self._max_pages))

    def offers(self, country_id: int, city_id: int, *, sms_only: bool, page: int, number_type: NumberType = "all") -> Page[Offer]:
        """Numbers in stock. `number_type` only narrows what is listed, on servers that know the filter: check each number.

        ``type_filter`` stands in the overview and was dropped from the contracts. A server that refuses it is asked without it, from
        then on for all numbers.
        """
        params: dict[str, str | int] = {"text_enabled_only": "true" if sms_only else "false", "page": page, "per_page": PER_PAGE}
        if number_type == "all" or self._locations.get(_NO_TYPE_FILTER, lambda: False):
            return self._offers(country_id, city_id, params, page)
        try:
            return self._offers(country_id, city_id, {**params, "type_filter": TYPE_FILTERS[number_type]}, page)
        except (NotThere, ReadFailed) as refused:
            if isinstance(refused, ReadFailed) and not isinstance(refused.answer, No):
                raise
            found = self._offers(country_id, city_id, params, page)
            log.warning("wavix.type_filter_refused", error=str(refused))
            self._locations.get(_NO_TYPE_FILTER, lambda: True, kept_s=0.0)
            return found

    def _offers(self, country_id: int, city_id: int, params: Params, page: int) -> Page[Offer]:
        """The overview writes ``city`` in this path, the OpenAPI descriptions ``cities``: whichever the server knows."""

        def offers(raw: Fields) -> Page[Offer]:
            return parsing.offers_page(raw, page, self._max_pages)

        def read(word: str) -> Page[Offer]:
            return self._read(f"/v1/buy/countries/{country_id}/{word}/{city_id}/dids", params, offers)

        try:
            found = read(self._city_word)
        except (NoSuchRoute, NotThere) as missing:
            # A server may answer a path that it doesn't have as it answers a city that it doesn't have.
            if isinstance(missing, NotThere) and self._city_word_known:
                raise
            other: Literal["cities", "city"] = "city" if self._city_word == "cities" else "cities"
            try:
                found = read(other)
            except NoSuchRoute:
                if isinstance(missing, NotThere):
                    raise missing from None
                log.error("wavix.route_unknown", path=f"/v1/buy/countries/{country_id}/{other}/{city_id}/dids")
                raise ReadFailed(NotNow(NotNowReason.UNAVAILABLE)) from None
            self._city_word = other
        self._city_word_known = True
        return found
