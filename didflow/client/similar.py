"""Builds a request for a number similar to one that was released."""

from collections import Counter
from collections.abc import Iterable, Sequence

import phonenumbers

from didflow.contract.jobs import JobView
from didflow.contract.requests import SearchAndBuy

#: What made a number the one that was wanted, in the request that bought it. Prices of then and counts are not among it.
_ALIKE = (
    "country",
    "region",
    "city",
    "area_code",
    "prefix",
    "number_type",
    "sms",
    "min_channels",
    "documents",
    "destinations",
    "sms_relay_url",
)


def similar(gone: Sequence[str], purchases: Iterable[JobView]) -> tuple[SearchAndBuy, ...]:
    """Requests for as many numbers as are gone: each as the one that bought it was; by the number itself where that is forgotten."""
    bought_by = {number.number: view for view in purchases if view.result for number in view.result.numbers}
    wanted: Counter[SearchAndBuy] = Counter()
    for number in gone:
        purchase = bought_by.get(number)
        asked = purchase.request if purchase else None
        wanted[_as_asked(asked) if isinstance(asked, SearchAndBuy) else _by_its_digits(number)] += 1
    return tuple(request.model_copy(update={"quantity": count}) for request, count in wanted.items())


def _as_asked(asked: SearchAndBuy) -> SearchAndBuy:
    return SearchAndBuy.model_validate({name: getattr(asked, name) for name in _ALIKE})


def _by_its_digits(number: str) -> SearchAndBuy:
    """In the same country, with the same area code if it has one."""
    read = phonenumbers.parse(number, None)
    country = phonenumbers.region_code_for_country_code(read.country_code or 0)
    area = phonenumbers.length_of_geographical_area_code(read)
    national = phonenumbers.national_significant_number(read)
    exact = phonenumbers.region_code_for_number(read)
    return SearchAndBuy(country=exact or country, area_code=national[:area] if area else None)
