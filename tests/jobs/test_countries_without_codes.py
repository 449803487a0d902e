"""Countries that the provider lists by name alone are found by their ISO code all the same."""

import pytest
from pydantic import SecretStr

from didflow.contract.destinations import Destination
from didflow.contract.provider import Country
from didflow.contract.requests import Reroute, SearchAndBuy, Selector
from tests.support.inline_worker import InlineWorker, numbers, outcomes, result_of
from worker.wavix.client import WavixClient
from worker.wavix.sandbox.options import SANDBOX_KEY

BACKUP = (Destination.sip("backup@example.net"),)


@pytest.fixture
def nameless(inline: InlineWorker) -> InlineWorker:
    inline.sandbox.order("reconfigure", short_names=False)
    return inline


@pytest.mark.parametrize(
    ("country", "begins"), [("US", "+1"), ("uk", "+44"), ("GB", "+44"), ("United States of America", "+1"), ("NL", "+31")]
)
def test_a_number_is_bought_by_the_code_of_its_country(nameless: InlineWorker, country: str, begins: str) -> None:
    view = nameless.run(SearchAndBuy(country=country))
    assert view.state == "succeeded", view.error
    assert numbers(view)[0].number.startswith(begins)


@pytest.mark.parametrize("country", ["GB", "UK", "United Kingdom"])
def test_numbers_are_selected_by_their_country(nameless: InlineWorker, country: str) -> None:
    british, others = nameless.own(2, city="London"), nameless.own(2, city="Amsterdam")
    view = nameless.run(Reroute(selector=Selector(country=country), destinations=BACKUP))
    assert outcomes(view) == dict.fromkeys(british, "confirmed")
    assert [nameless.routes()[number] for number in others] == [["old@example.net"]] * 2


class InSpanish(WavixClient):
    """The provider's answers, with names of countries that no library of English ones knows."""

    def countries(self) -> tuple[Country, ...]:
        names = {"Germany": "Alemania", "Netherlands": "Países Bajos", "United Kingdom": "Reino Unido"}
        return tuple(one.model_copy(update={"name": names[one.name], "iso_code": None}) for one in super().countries() if one.name in names)


def test_a_country_of_an_unknown_name_is_known_by_the_code_of_its_numbers(inline: InlineWorker) -> None:
    inline.client = InSpanish(inline.sandbox.url, SecretStr(SANDBOX_KEY), "mydids", read_backoff_s=0.01)
    view = inline.run(SearchAndBuy(country="NL"))
    assert numbers(view)[0].number.startswith("+31")
    missing = inline.run(SearchAndBuy(country="FR"))
    assert missing.error is not None
    assert missing.error.code == "unknown_country"
    assert "write the country's name" in missing.error.message
    assert result_of(missing).totals.charged_usd == 0
    inline.client.close()
