"""No list ends at a full page: trunks, transactions, places, the stock. And a page may be smaller than was asked for."""

from collections.abc import Iterator

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.requests import Reroute, SearchAndBuy
from didflow.contract.states import JobState
from tests.support.inline_worker import InlineWorker, outcomes
from worker.jobs.owned_numbers import listed, owned_whole
from worker.wavix.sandbox import Sandbox, SandboxOptions

pytestmark = pytest.mark.provider()
#: Behind the first page of the trunks.
FAR_TRUNK = 1149
TWO = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=2)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Three pages of numbers in a city, and two of trunks."""
    with Sandbox(SandboxOptions(numbers_per_city=240, more_trunks=tuple(range(1000, 1150)))) as sandbox:
        yield sandbox


@pytest.mark.parametrize("most", [100, 25])
@pytest.mark.parametrize("pages", ["right", "too_few"])
def test_a_trunk_behind_a_page_that_is_said_to_be_the_last_is_a_destination(inline: InlineWorker, pages: str, most: int) -> None:
    ours = inline.own(1)
    inline.sandbox.order("reconfigure", trunk_pages=pages, most_per_page=most)
    view = inline.run(Reroute(numbers=tuple(ours), destinations=(Destination.trunk(FAR_TRUNK),)))
    assert outcomes(view) == dict.fromkeys(ours, "confirmed"), view.error


def test_a_trunk_that_no_page_shows_is_refused_all_the_same(inline: InlineWorker) -> None:
    ours = inline.own(1)
    inline.sandbox.order("reconfigure", trunk_pages="too_few")
    view = inline.run(Reroute(numbers=tuple(ours), destinations=(Destination.trunk(77),)))
    assert view.error is not None
    assert view.error.code == "unknown_trunk"


@pytest.mark.parametrize(
    "server",
    [
        {"charge_filter": "ignored"},
        {"charge_filter": "silent"},
        {"charge_filter": "ignored", "charge_pages": "too_few"},
        {"charge_filter": "silent", "charge_pages": "too_few"},
        {"charge_filter": "silent", "charge_pages": "too_few", "most_per_page": 25},
    ],
    ids=str,
)
def test_a_charge_behind_other_charges_keeps_a_number_from_being_replaced(inline: InlineWorker, server: dict[str, object]) -> None:
    """The checkout's answer is lost, the owned list lags for longer than it may, and the account pays for other things meanwhile."""
    inline.sandbox.order("reconfigure", **server)
    inline.sandbox.add_fault("checkout", "act_and_drop")
    inline.sandbox.add_fault("owned", "lag", seconds=60.0, times=None)
    job = inline.submit(TWO)
    assert inline.attempt(job).state is JobState.WAITING
    for _ in range(120):
        inline.sandbox.order("charge", kind=14, usd="0.01", details="Outbound call")
    for _ in range(6):
        inline.wait_until_due(job)
        assert inline.attempt(job).state is JobState.WAITING
        if "charged_not_shown" in inline.steps(job):
            break
    assert "charged_not_shown" in inline.steps(job)
    assert len(inline.sandbox.ledger()) == 2


@pytest.mark.parametrize("lists", ["paged", "said_to_be_one"])
def test_a_city_on_the_second_page_is_found(inline: InlineWorker, lists: str) -> None:
    inline.sandbox.order("reconfigure", place_lists=lists)
    view = inline.run(SearchAndBuy(country="US", city="SAN FRANCISCO, CA", dry_run=True))
    assert view.state is JobState.SUCCEEDED, view.error


@pytest.mark.parametrize("most", [100, 25])
@pytest.mark.parametrize("pages", ["published", "said_to_be_one"])
def test_numbers_behind_the_first_page_of_a_city_can_be_bought(inline: InlineWorker, pages: str, most: int) -> None:
    inline.sandbox.order("reconfigure", stock_pages=pages, most_per_page=most)
    view = inline.run(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=230, dry_run=True))
    assert view.state is JobState.SUCCEEDED, view.error


@pytest.mark.parametrize("pages", ["right", "too_few"])
def test_a_list_with_smaller_pages_than_were_asked_for_is_read_to_its_end(inline: InlineWorker, pages: str) -> None:
    ours = inline.own(60)
    inline.sandbox.order("reconfigure", owned_pages=pages, most_per_page=25)
    assert {one.number for items in listed(inline.client) for one in items} == set(ours)
    assert {one.number for one in owned_whole(inline.client)} == set(ours)
