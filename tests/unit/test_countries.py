"""Countries by the names that people and providers write."""

import iso3166
import pytest

from didflow.contract.countries import iso_code_of, same_country


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("United States", "US"),
        ("United States of America", "US"),
        ("USA", "US"),
        ("us", "US"),
        ("United Kingdom", "GB"),
        ("UK", "GB"),
        ("Great Britain", "GB"),
        ("Czech Republic", "CZ"),
        ("Czechia", "CZ"),
        ("South Korea", "KR"),
        ("Korea, Republic of", "KR"),
        ("Republic of Korea", "KR"),
        ("North Korea", "KP"),
        ("Russia", "RU"),
        ("Russian Federation", "RU"),
        ("Vietnam", "VN"),
        ("Viet Nam", "VN"),
        ("Türkiye", "TR"),
        ("TURKIYE", "TR"),
        ("Turkey", "TR"),
        ("Iran", "IR"),
        ("Bolivia", "BO"),
        ("Venezuela", "VE"),
        ("Tanzania", "TZ"),
        ("Moldova", "MD"),
        ("Taiwan", "TW"),
        ("Hong Kong", "HK"),
        ("Macau", "MO"),
        ("Côte d’Ivoire", "CI"),
        ("Ivory Coast", "CI"),
        ("The Netherlands", "NL"),
        ("The Bahamas", "BS"),
        ("St. Lucia", "LC"),
        ("Trinidad & Tobago", "TT"),
        ("British Virgin Islands", "VG"),
        ("U.S. Virgin Islands", "VI"),
        ("Nauru", "NR"),
        ("Congo", "CG"),
        ("Democratic Republic of the Congo", "CD"),
        ("Puerto Rico", "PR"),
        ("Kosovo", "XK"),
    ],
)
def test_the_code_of_a_name(name: str, code: str) -> None:
    assert iso_code_of(name) == code


@pytest.mark.parametrize("name", ["", "Korea", "Virgin Islands", "Atlantis", "United States (toll-free)", "International", "XX"])
def test_what_is_ambiguous_or_unknown_has_no_code(name: str) -> None:
    assert iso_code_of(name) is None


def test_every_code_and_formal_name_is_its_own_country() -> None:
    for country in iso3166.countries:
        assert {iso_code_of(text) for text in (country.alpha2, country.alpha3, country.name)} == {country.alpha2}


def test_countries_are_compared_by_name_or_code() -> None:
    assert same_country("United States", "US")
    assert same_country("Atlantis", "ATLANTIS")
    assert not same_country("Atlantis", "US")
    assert not same_country("Georgia", "US")
