"""From the name of a place to the provider's country, region or city. An unknown name is refused with the nearest ones."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Literal

from didflow.contract.countries import iso_code_of
from didflow.contract.errors import UnknownCity, UnknownCountry, UnknownPlace, UnknownRegion
from didflow.contract.provider import Country

PlaceKind = Literal["country", "region", "city"]
_ERRORS: dict[PlaceKind, type[UnknownPlace]] = {"country": UnknownCountry, "region": UnknownRegion, "city": UnknownCity}


def country_named(countries: Iterable[Country], wanted: str) -> Country:
    """The country of that ISO code or name, as the list alone shows it. Raises UnknownCountry."""
    known = list(countries)
    for country in known:
        if wanted.casefold() in (country.name.casefold(), (country.iso_code or "").casefold()):
            return country
    code = iso_code_of(wanted)
    for country in known:
        if code is not None and code == (country.iso_code or "").upper():
            return country
    if len(wanted) == 2 and (nameless := sum(country.iso_code is None for country in known)):
        why = f"its list doesn't show the codes of {nameless} countries, so write the country's name"
        raise _refusal("country", f"the provider has no country {wanted!r}: {why}")
    raise unknown_place(
        "country", wanted, [country.name for country in known] + [country.iso_code for country in known if country.iso_code]
    )


def unknown_place(kind: PlaceKind, wanted: str, known: Iterable[str]) -> UnknownPlace:
    """The refusal of a name that the provider doesn't have, with the names that are most like it."""
    by_folded = {name.casefold(): name for name in known}
    near = [by_folded[folded] for folded in get_close_matches(wanted.casefold(), by_folded, n=5, cutoff=0.6)]
    hint = f"did you mean {' or '.join(near)}?" if near else "nothing there has a similar name"
    return _refusal(kind, f"the provider has no {kind} {wanted!r}: {hint}")


def _refusal(kind: PlaceKind, message: str) -> UnknownPlace:
    return _ERRORS[kind](message, ((kind, message),))
