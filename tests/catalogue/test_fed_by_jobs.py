"""What purchases and quotes list for themselves is in the catalogue, with its age: nobody has to look again."""

import time
from collections.abc import Iterator
from typing import cast

import pytest

from didflow.client.sync.client import Didflow
from didflow.contract.errors import CatalogueTimeout
from didflow.contract.provider import Offer, Page
from didflow.contract.requests import SearchAndBuy
from didflow.contract.states import Lane
from didflow.ledger.ledger import Ledger
from tests.support.inline_worker import InlineWorker
from tests.support.working_thread import working
from worker.attempt.lists_read import ListsRead
from worker.attempt.provider_clients import Providers
from worker.inventory.catalogue_feed import CatalogueFeed
from worker.jobs.ports.provider import Provider
from worker.wavix.sandbox import Sandbox, SandboxAdmin, SandboxOptions

LOS_ANGELES = "LOS ANGELES, CA"
QUOTE = SearchAndBuy(country="US", city=(LOS_ANGELES,), dry_run=True, quantity=200, policy="best_effort")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Cities with two pages of numbers."""
    with Sandbox(SandboxOptions(numbers_per_city=150)) as sandbox:
        yield sandbox


class Feeding(InlineWorker):
    """With a worker process's clients, whose lists are left for the catalogue; `feed.write` writes them."""

    def __init__(self, ledger: Ledger, sandbox: SandboxAdmin) -> None:
        super().__init__(ledger, sandbox)
        self.feed = CatalogueFeed(ledger, kept_s=3600, most=100)
        self.providers = Providers(self.settings, ledger, saw_list=self.feed.saw)

    def provider(self, account: str, lane: Lane) -> Provider:
        return self.providers(account, lane)


@pytest.fixture
def feeding(inline: InlineWorker) -> Iterator[Feeding]:
    worker = Feeding(inline.ledger, inline.sandbox)
    yield worker
    worker.close()


def test_a_quote_feeds_places_and_offers(feeding: Feeding, inline: InlineWorker, didflow: Didflow) -> None:
    job = feeding.submit(QUOTE)
    before_ms = inline.ledger.now_ms()
    feeding.finish(job)
    feeding.feed.write()
    catalogue = didflow.catalogue
    countries = catalogue.countries(timeout_s=0)
    assert (len(countries.items), countries.complete, countries.jobs) == (6, True, (job.id,))
    assert countries.looked_at.timestamp() * 1000 >= before_ms - 5
    assert "California" in [one.name for one in catalogue.regions("US", timeout_s=0).items]
    cities = catalogue.cities("US", region="California", timeout_s=0).items
    assert LOS_ANGELES in [one.name for one in cities]
    with pytest.raises(CatalogueTimeout):
        catalogue.cities("US", timeout_s=0)  # Of all regions: nobody has read those.
    with working(inline):
        looked = catalogue.cities("US", region="California", fresh=True)
        offers = catalogue.offers("US", LOS_ANGELES)
    assert looked.items == cities
    assert offers.jobs == (job.id,)
    assert (offers.seen, offers.complete) == (150, True)
    with working(inline):
        again = catalogue.offers("US", LOS_ANGELES, fresh=True)
    assert [one.number for one in again.items] == [one.number for one in offers.items]
    assert again.jobs != offers.jobs


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (QUOTE.model_copy(update={"quantity": 1}), "it stopped after the first page"),
        (QUOTE.model_copy(update={"sms": True}), "only numbers with SMS were listed"),
    ],
)
def test_half_a_list_feeds_nothing(feeding: Feeding, inline: InlineWorker, didflow: Didflow, request_: SearchAndBuy, why: str) -> None:
    feeding.run(request_)
    feeding.feed.write()
    looks = cast("list[str]", inline.ledger.client.hkeys(inline.ledger.keys.catalogue_looks("default")))
    assert "countries" in looks
    assert not [one for one in looks if one.startswith("offers.")], why
    assert didflow.catalogue.countries(timeout_s=0).complete


def offer(place: int) -> Offer:
    return Offer.model_validate({"number": f"+1213555{place:04d}", "setup_usd": "1", "monthly_usd": "1"})


@pytest.mark.parametrize(
    ("pages", "whole"),
    [
        ([(1, range(100), 150), (2, range(100, 150), 150)], True),
        ([(1, range(100), 150), (2, range(90, 140), 150)], False),
        ([(1, range(100), 150), (2, range(100, 149), 149)], False),
        ([(2, range(100, 150), 150)], False),
        ([(1, range(100), 200), (2, range(100, 200), 200)], False),
        ([(1, range(100), 150), (1, range(50), 50)], True),
        ([(1, range(0), 0)], True),
    ],
    ids=["whole", "repeats", "changed", "without its beginning", "perhaps more", "another began", "empty"],
)
def test_only_a_list_that_agrees_with_itself_is_whole(pages: list[tuple[int, range, int]], whole: bool) -> None:
    seen: list[str] = []
    lists = ListsRead("default", lambda look, _: seen.append(look.question))
    for page, items, total in pages:
        total_pages = -(-total // 100)
        lists.offers(1, 2, Page(tuple(map(offer, items)), page, total_pages, total), time.monotonic(), {})
    assert bool(seen) == whole


def test_a_look_stays_where_it_is_about_as_young(feeding: Feeding, inline: InlineWorker, didflow: Didflow) -> None:
    """It knows the documents' titles; and what jobs list all the time isn't written all the time."""
    with working(inline):
        looked = didflow.catalogue.countries()
    feeding.run(QUOTE)
    feeding.feed.write()
    assert didflow.catalogue.countries(timeout_s=0).jobs == looked.jobs


def test_another_accounts_ledger_is_not_fed(feeding: Feeding, inline: InlineWorker) -> None:
    unsure = CatalogueFeed(inline.ledger, kept_s=3600, most=100, is_its_ledger=lambda _: False)
    feeding.run(QUOTE)
    for one in feeding.feed.taken():
        unsure.saw(*one)
    unsure.write()
    assert not inline.ledger.client.exists(inline.ledger.keys.catalogue_looks("default"))
