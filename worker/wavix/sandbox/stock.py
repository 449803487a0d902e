"""What the sandbox sells: countries with and without regions, cities, and their numbers, the same for the same seed."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from worker.wavix.sandbox.timeline import Timeline


@dataclass(frozen=True)
class StockCity:
    """`prefix` begins every number of the city; `digits` more follow. Toll-free numbers have no area code."""

    id: int
    name: str
    area_code: int | None
    prefix: str
    digits: int


@dataclass(frozen=True)
class StockCountry:
    """`regions` by id: name and cities; a country without regions has the one region 0. `documents`: types that activation needs."""

    id: int
    name: str
    short_name: str
    regions: dict[int, tuple[str, tuple[StockCity, ...]]]
    documents: tuple[int, ...] = ()
    setup_usd: tuple[str, ...] = ("0.50", "1.00", "3.00")
    monthly_usd: tuple[str, ...] = ("0.99", "1.50", "2.50", "5.00")
    sms_share: float = 0.0

    @property
    def has_regions(self) -> bool:
        return 0 not in self.regions

    def cities(self) -> Iterator[StockCity]:
        for _, cities in self.regions.values():
            yield from cities

    def city(self, city_id: int) -> StockCity | None:
        return next((city for city in self.cities() if city.id == city_id), None)


def _us(city_id: int, name: str, npa_nxx: int) -> StockCity:
    return StockCity(city_id, name, npa_nxx, f"1{npa_nxx}", 4)


COUNTRIES: tuple[StockCountry, ...] = (
    StockCountry(
        8652,
        "United States",
        "US",
        {
            379: (
                "California",
                (_us(200, "LOS ANGELES, CA", 213568), _us(201, "SAN DIEGO, CA", 619304), _us(202, "SAN FRANCISCO, CA", 415230)),
            ),
            380: ("New York", (_us(210, "NEW YORK, NY", 212380), _us(211, "BUFFALO, NY", 716220))),
            381: ("Texas", (_us(220, "HOUSTON, TX", 713470), _us(221, "DALLAS, TX", 214550))),
            382: ("Florida", (_us(230, "MIAMI, FL", 305770),)),
        },
        sms_share=0.5,
    ),
    StockCountry(
        8653,
        "Canada",
        "CA",
        {
            480: ("Ontario", (_us(300, "TORONTO, ON", 416200), _us(301, "OTTAWA, ON", 613280))),
            481: ("Quebec", (_us(310, "MONTREAL, QC", 514360),)),
        },
        sms_share=0.3,
    ),
    StockCountry(
        8669,
        "Argentina",
        "AR",
        {0: ("", (StockCity(128791, "Buenos Aires", 113, "54113", 7), StockCity(132655, "Rosario", 341, "54341", 7)))},
        setup_usd=("15.00",),
        monthly_usd=("10.00", "12.00"),
    ),
    StockCountry(
        8701,
        "Germany",
        "DE",
        {0: ("", (StockCity(500, "Berlin", 30, "4930", 8), StockCity(501, "Hamburg", 40, "4940", 8)))},
        documents=(1, 3),
        setup_usd=("2.00", "4.00"),
        monthly_usd=("1.80", "2.20"),
    ),
    StockCountry(
        8702,
        "Netherlands",
        "NL",
        {0: ("", (StockCity(510, "Amsterdam", 20, "3120", 7), StockCity(511, "Rotterdam", 10, "3110", 7)))},
    ),
    StockCountry(
        8703,
        "United Kingdom",
        "GB",
        {0: ("", (StockCity(520, "London", 20, "4420", 8), StockCity(521, "Manchester", 161, "44161", 7)))},
    ),
)

_TOLL_FREE = StockCity(290, "TOLL-FREE", None, "1800", 7)


def countries(*, toll_free: bool) -> tuple[StockCountry, ...]:
    """What is listed; with toll-free numbers at the end of the first country, so that the other ones stay the same."""
    if not toll_free:
        return COUNTRIES
    first, *others = COUNTRIES
    return (replace(first, regions={**first.regions, 389: ("Toll-free", (_TOLL_FREE,))}), *others)


DOCUMENT_TYPES = {1: ("id", "Any form of ID"), 2: ("address", "Proof of address"), 3: ("localaddress", "Proof of local address")}


class StockNumber:
    """A number that can be bought, or was. `for_sale` over time; `shown`: further fields, as the lists show them for it alone."""

    __slots__ = ("city", "country", "for_sale", "monthly_usd", "number", "setup_usd", "shown", "sms_enabled")

    def __init__(
        self, number: str, country: StockCountry, city: StockCity, setup_usd: Decimal, monthly_usd: Decimal, sms_enabled: bool
    ) -> None:
        self.number, self.country, self.city = number, country, city
        self.setup_usd, self.monthly_usd, self.sms_enabled = setup_usd, monthly_usd, sms_enabled
        self.for_sale = Timeline(True)
        self.shown: dict[str, object] = {}

    @property
    def total_usd(self) -> Decimal:
        return self.setup_usd + self.monthly_usd

    @property
    def is_toll_free(self) -> bool:
        return self.city.area_code is None


def build_stock(numbers_per_city: int, seed: int, *, toll_free: bool = False) -> dict[str, StockNumber]:
    """All numbers for sale, by their digits."""
    rng = random.Random(seed)
    places = [(country, city) for country in countries(toll_free=toll_free) for city in country.cities()]
    places.sort(key=lambda place: place[1] is _TOLL_FREE)  # Last, so that the other numbers are the same with and without.
    return {stocked.number: stocked for country, city in places for stocked in _numbers_of(country, city, numbers_per_city, rng)}


def _numbers_of(country: StockCountry, city: StockCity, count: int, rng: random.Random) -> Iterator[StockNumber]:
    for tail in rng.sample(range(10**city.digits), min(count, 10**city.digits)):
        yield StockNumber(
            f"{city.prefix}{tail:0{city.digits}d}",
            country,
            city,
            Decimal(rng.choice(country.setup_usd)),
            Decimal(rng.choice(country.monthly_usd)),
            rng.random() < country.sms_share,
        )
