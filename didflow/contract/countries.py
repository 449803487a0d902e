"""ISO 3166-1 codes of countries by their names, as people and providers write them.

The provider's published contracts list countries by name only; requests name them by code. The formal names come from the library
`iso3166`; the short ones that everybody uses and ISO doesn't are in `_ALSO`.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterator

import iso3166

#: Names and codes in use that neither are ISO's nor follow from them.
_ALSO = {
    "bosnia": "BA",
    "bosnia herzegovina": "BA",
    "brunei": "BN",
    "burma": "MM",
    "cape verde": "CV",
    "congo brazzaville": "CG",
    "congo kinshasa": "CD",
    "czech republic": "CZ",
    "democratic republic of congo": "CD",
    "dr congo": "CD",
    "drc": "CD",
    "east timor": "TL",
    "falkland islands": "FK",
    "great britain": "GB",
    "holland": "NL",
    "ivory coast": "CI",
    "laos": "LA",
    "macau": "MO",
    "macedonia": "MK",
    "nauru": "NR",
    "north korea": "KP",
    "palestine": "PS",
    "palestinian territory": "PS",
    "republic of congo": "CG",
    "russia": "RU",
    "saint helena": "SH",
    "saint martin": "MF",
    "sint maarten": "SX",
    "south korea": "KR",
    "swaziland": "SZ",
    "syria": "SY",
    "turkey": "TR",
    "uae": "AE",
    "uk": "GB",
    "united kingdom": "GB",
    "united states": "US",
    "usa": "US",
    "vatican": "VA",
    "vatican city": "VA",
    "vietnam": "VN",
}


def iso_code_of(text: str) -> str | None:
    """The two-letter code, in capitals, of a country given by its name or by its two- or three-letter code. None if it is unknown.

    Case, accents, punctuation, "the", and "St." for "Saint" don't matter.
    """
    return _CODES.get(_plain(text))


def same_country(one: str, other: str) -> bool:
    """Whether the two are the same country, each given by name or code. Unknown ones are the same if they are written the same."""
    return (iso_code_of(one) or one.casefold()) == (iso_code_of(other) or other.casefold())


def _plain(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text.casefold().replace("&", " and ").replace("ı", "i").replace(".", ""))
    words = "".join(one if one.isalnum() else " " for one in letters if not unicodedata.combining(one)).split()
    return " ".join("saint" if word == "st" else word for word in words if word != "the")


def _names() -> Iterator[tuple[str, str]]:
    """Names in plain letters with their codes; the surer ones last."""
    short = Counter(_plain(one.name.partition(",")[0]) for one in iso3166.countries)
    for one in iso3166.countries:
        name, comma, title = one.name.partition(",")
        if comma and short[_plain(name)] == 1:
            yield _plain(name), one.alpha2  # "Iran" of "Iran, Islamic Republic of"; not "Korea".
        if comma:
            yield _plain(f"{title} {name}"), one.alpha2  # "Republic of Korea", "British Virgin Islands"
    for one in iso3166.countries:
        yield from ((_plain(name), one.alpha2) for name in (one.name, one.apolitical_name, one.alpha2, one.alpha3))
    yield from _ALSO.items()


_CODES = dict(_names())
