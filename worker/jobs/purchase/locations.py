"""From the names in a request to the provider's countries and cities. An unknown name is refused with the nearest ones."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice

from didflow.contract.countries import iso_code_of
from didflow.contract.errors import JobError, UnknownPlace
from didflow.contract.place_names import country_named, unknown_place
from didflow.contract.provider import City, Country, NotThere, Region
from didflow.contract.requests import SearchAndBuy
from worker.jobs.ports.endings import Refused
from worker.jobs.ports.provider import StockPort

#: For a country with an unknown name, a number is requested, which has the code; at most this many times.
ASKED_FOR_A_NUMBER = 20


def country_of(provider: StockPort, wanted: str) -> Country:
    """The provider's country of that ISO code or name. Raises Refused (`unknown_country`)."""
    known = provider.countries()
    try:
        return find_country(known, wanted)
    except Refused:
        code = iso_code_of(wanted)
        for country in [one for one in known if one.iso_code is None][: ASKED_FOR_A_NUMBER if code else 0]:
            if code == _code_of_a_number(provider, country):
                return country.model_copy(update={"iso_code": code})
        raise


def find_country(countries: Iterable[Country], wanted: str) -> Country:
    """The country of that ISO code or name, as the list alone shows it. Raises Refused (`unknown_country`)."""
    try:
        return country_named(countries, wanted)
    except UnknownPlace as unknown:
        raise _refused(unknown) from None


def _code_of_a_number(provider: StockPort, country: Country) -> str | None:
    """The ISO code that the country's numbers in stock show: those of its first city that has any."""
    for city in islice(_cities(provider, country, None), 3):
        with suppress(NotThere):
            for offer in provider.offers(country.id, city.id, sms_only=False, page=1).items:
                return iso_code_of(offer.country_iso_code)
    return None


def _refused(unknown: UnknownPlace) -> Refused:
    return Refused(JobError(code=unknown.code, message=str(unknown)))


def cities_to_search(provider: StockPort, request: SearchAndBuy) -> Iterator[tuple[Country, City]]:
    """The cities in which numbers that fit may be; requested one region at a time, as far as they are needed.

    With an area code those come first whose own one leaves room for it. The others come after them and aren't left out: a city is listed
    with one area code and may have numbers of several, and toll-free ones have no city's. The numbers themselves decide. Raises Refused
    for a country, region or city that the provider doesn't have.
    """
    country = country_of(provider, request.country)
    missing = {name.casefold(): name for name in request.city}
    seen: list[str] = []
    later: list[City] = []
    for city in _cities(provider, country, request.region):
        seen.append(city.name)
        if request.city and city.name.casefold() not in {name.casefold() for name in request.city}:
            continue
        missing.pop(city.name.casefold(), None)
        if likely_has(city, request):
            yield country, city
        else:
            later.append(city)
    if missing:
        raise _refused(unknown_place("city", next(iter(missing.values())), seen))
    yield from ((country, city) for city in later)


def check_place(provider: StockPort, request: SearchAndBuy) -> None:
    """Raises Refused for a country, region or city that the provider doesn't have, before anything is looked up there."""
    if request.region is None and not request.city:
        country_of(provider, request.country)
        return
    for _ in cities_to_search(provider, request):
        pass


def likely_has(city: City, request: SearchAndBuy) -> bool:
    """Whether the city's area code leaves room for the area code requested. A city without one does."""
    if not request.area_code or not city.area_code:
        return True
    return city.area_code.startswith(request.area_code) or request.area_code.startswith(city.area_code)


def _cities(provider: StockPort, country: Country, wanted_region: str | None) -> Iterator[City]:
    regions = _regions(provider, country)
    if wanted_region is not None:
        regions = [region for region in regions if region.name.casefold() == wanted_region.casefold()]
        if not regions:
            raise _refused(unknown_place("region", wanted_region, [region.name for region in _regions(provider, country)]))
    ids: list[int | None] = [region.id for region in regions]
    for region_id in ids or [None]:
        with suppress(NotThere):  # No cities there, by now.
            yield from provider.cities(country.id, region_id)


def _regions(provider: StockPort, country: Country) -> list[Region]:
    if not country.has_regions:
        return []
    try:
        return list(provider.regions(country.id))
    except NotThere:
        # The country list said that there are regions; the regions call is the authority.
        return []
