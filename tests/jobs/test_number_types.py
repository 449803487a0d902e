"""Toll-free or geographic, and area codes: the numbers themselves decide, whatever the server's filter does and its cities show."""

from collections.abc import Iterator

import pytest

from didflow.contract.numbers import NumberType, is_of_type
from didflow.contract.provider import City
from didflow.contract.requests import Rung, SearchAndBuy
from didflow.ledger.ledger import Ledger
from tests.support.inline_worker import InlineWorker, numbers, result_of
from worker.wavix.client import WavixClient
from worker.wavix.sandbox import Sandbox, SandboxOptions

MODES = pytest.mark.parametrize("mode", ["works", "ignored", "refused"])


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxOptions(numbers_per_city=5, toll_free=True)) as sandbox:
        yield sandbox


@MODES
def test_a_toll_free_number_is_toll_free(inline: InlineWorker, mode: str) -> None:
    inline.sandbox.order("reconfigure", type_filter=mode)
    view = inline.run(SearchAndBuy(country="US", number_type="toll_free", quantity=2))
    assert view.state == "succeeded"
    assert all(one.number.startswith("+1800") for one in numbers(view))


@MODES
def test_a_geographic_number_is_not_toll_free(inline: InlineWorker, mode: str) -> None:
    inline.sandbox.order("reconfigure", type_filter=mode)
    view = inline.run(SearchAndBuy(country="US", number_type="geographic", quantity=1000, policy="best_effort"))
    bought = [one.number for one in numbers(view)]
    assert len(bought) == 8 * 5
    assert not any(number.startswith("+1800") for number in bought)


def test_where_the_filter_is_ignored_the_report_says_why_numbers_were_refused(inline: InlineWorker) -> None:
    inline.sandbox.order("reconfigure", type_filter="ignored")
    view = inline.run(SearchAndBuy(country="US", region="California", number_type="toll_free"))
    assert view.state == "failed"
    search = result_of(view).search
    assert search is not None
    assert search.refused == {"number_type": 15}


def test_a_rung_has_a_type_of_its_own(inline: InlineWorker) -> None:
    ladder = (Rung(number_type="toll_free", quantity=1), Rung())
    view = inline.run(SearchAndBuy(country="US", number_type="geographic", quantity=2, ladder=ladder))
    assert [one.number.startswith("+1800") for one in sorted(numbers(view), key=lambda one: one.rung or 0)] == [True, False]


def test_a_refused_filter_is_sent_once(inline: InlineWorker) -> None:
    inline.sandbox.order("reconfigure", type_filter="refused")
    before = inline.sandbox.state()["calls"].get("dids", 0)
    for _ in range(3):
        assert inline.client.offers(8652, 200, sms_only=False, page=1, number_type="geographic").total == 5
    assert inline.sandbox.state()["calls"]["dids"] - before == 4


@pytest.mark.parametrize(
    ("number", "wanted", "fits"),
    [
        ("+18005550142", "toll_free", True),
        ("+18885550142", "toll_free", True),
        ("+12135550142", "toll_free", False),
        ("+18005550142", "geographic", False),
        ("+12135550142", "geographic", True),
        ("+448001111111", "toll_free", True),
        ("+442071234567", "geographic", True),
        ("+447911123456", "geographic", False),
        ("+80012345678", "toll_free", True),
        ("+18005550142", "all", True),
    ],
)
def test_the_digits_determine_the_type(number: str, wanted: NumberType, fits: bool) -> None:
    assert is_of_type(number, wanted) is fits


@pytest.mark.parametrize(("area_code", "begins"), [("800", "+1800"), ("716", "+1716")])
def test_an_area_code_is_looked_for_in_the_numbers(inline: InlineWorker, area_code: str, begins: str) -> None:
    view = inline.run(SearchAndBuy(country="US", area_code=area_code))
    assert numbers(view)[0].number.startswith(begins)


class OneAreaCode(WavixClient):
    """Each city with the same area code, as a provider shows a city that has several."""

    def cities(self, country_id: int, region_id: int | None) -> tuple[City, ...]:
        return tuple(one.model_copy(update={"area_code": "213568"}) for one in super().cities(country_id, region_id))


def test_a_city_is_not_left_out_for_the_one_area_code_that_it_shows(real_ledger: Ledger, sandbox: Sandbox) -> None:
    inline = InlineWorker(real_ledger, sandbox)
    settings = inline.settings
    inline.client.close()
    inline.client = OneAreaCode(sandbox.url, settings.wavix_api_key, "mydids", read_backoff_s=0.01)  # type: ignore[arg-type]
    view = inline.run(SearchAndBuy(country="US", city=("BUFFALO, NY",), area_code="716"))
    assert numbers(view)[0].number.startswith("+1716")
    inline.close()
