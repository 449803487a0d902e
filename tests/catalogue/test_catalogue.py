"""What can be bought, asked by those who may not ask the provider."""

import asyncio
import threading
from decimal import Decimal
from typing import Any

import pytest
import typer

from didflow.client.aio.client import AsyncDidflow
from didflow.client.sync.catalogue import Catalogue
from didflow.client.sync.client import Didflow
from didflow.contract.errors import CatalogueTimeout, InvalidRequest, UnknownCity, UnknownCountry, UnknownRegion
from didflow.contract.requests import SearchAndBuy
from didflow.ledger.reservations import Reservation
from didflow.terminal import completion
from tests.support.cli_commands import COMMANDS
from tests.support.inline_worker import InlineWorker, result_of
from tests.support.working_thread import working
from worker.local.embedded_valkey import EmbeddedValkey

LOS_ANGELES = "LOS ANGELES, CA"


def looks(inline: InlineWorker) -> list[str]:
    """The questions of all looks that were submitted, oldest first."""
    found = inline.ledger.perform(inline.ledger.commands.find(limit=1000))
    return [view.request.question for view in reversed(found) if view.kind == "catalogue_look"]  # type: ignore[union-attr]


def test_countries_regions_and_cities_are_listed_with_their_age(inline: InlineWorker, didflow: Didflow) -> None:
    with working(inline):
        countries = didflow.catalogue.countries()
        assert [(one.iso_code, one.has_regions) for one in countries.items[:3]] == [("US", True), ("CA", True), ("AR", False)]
        assert (countries.complete, countries.gaps, countries.account) == (True, None, "default")
        assert 0 <= countries.age_s < 60
        regions = didflow.catalogue.regions("us")
        assert [one.name for one in regions.items] == ["California", "New York", "Texas", "Florida"]
        cities = didflow.catalogue.cities("United States", region="california")
        assert [one.name for one in cities.items] == [LOS_ANGELES, "SAN DIEGO, CA", "SAN FRANCISCO, CA"]
        every = didflow.catalogue.cities("US")
        assert [(one.name, one.region) for one in every.items][2:4] == [("SAN FRANCISCO, CA", "California"), ("NEW YORK, NY", "New York")]
        assert [one.name for one in didflow.catalogue.cities("DE").items] == ["Berlin", "Hamburg"]
        assert didflow.catalogue.regions("DE").items == ()


def test_offers_have_fees_prices_and_documents_with_their_titles(inline: InlineWorker, didflow: Didflow) -> None:
    with working(inline):
        found = didflow.catalogue.offers("DE", "berlin", max_setup_usd="2.00")
    first = found.items[0]
    assert (first.setup_usd, first.monthly_usd, first.per_minute_usd, first.sms_usd) == tuple(map(Decimal, ("2.00", "1.80", "0.01", "0")))
    assert (first.number_type, first.sms, first.channels, first.free_minutes, first.cnam) == ("geographic", False, 4, 0, False)
    assert [(one.kind, one.title) for one in first.documents or ()] == [
        ("id", "Any form of ID"),
        ("localaddress", "Proof of local address"),
    ]
    assert found.seen == 30
    assert found.refused == {"setup_fee": 30 - len(found.items)}
    assert [one.setup_usd + one.monthly_usd for one in found.items] == sorted(one.setup_usd + one.monthly_usd for one in found.items)


def test_what_the_provider_does_not_state_is_none(inline: InlineWorker, didflow: Didflow) -> None:
    fields = ("sms_enabled", "require_docs", "per_min", "sms_price", "free_min", "cnam", "channels")
    inline.sandbox.order("reconfigure", offers_leave_out=fields)
    with working(inline):
        found = didflow.catalogue.offers("US", LOS_ANGELES)
    one = found.items[0]
    assert (one.sms, one.documents, one.per_minute_usd, one.sms_usd, one.free_minutes, one.cnam, one.channels) == (None,) * 7


def test_a_dry_run_and_the_catalogue_offer_the_same_numbers_at_the_same_prices(inline: InlineWorker, didflow: Didflow) -> None:
    criteria: dict[str, Any] = {"sms": True, "max_monthly_usd": "2.50", "documents": "refuse"}
    with working(inline):
        offers = didflow.catalogue.offers("US", LOS_ANGELES, **criteria)
        wanted = len(offers.items)
        request = SearchAndBuy.model_validate({**criteria, "country": "US", "city": LOS_ANGELES, "quantity": wanted, "dry_run": True})
        view = didflow.wait(didflow.submit(request).id, 30)
    quote = result_of(view).quote
    assert quote is not None
    assert 0 < wanted < 30
    shown = [(one.number, one.setup_usd, one.monthly_usd, one.per_minute_usd, one.sms_usd) for one in offers.items]
    assert [(one.number, one.setup_usd, one.monthly_usd, one.per_minute_usd, one.sms_usd) for one in quote.numbers] == shown
    # The purchase asks for numbers with SMS alone, so it doesn't see the others.
    refused = {reason: count for reason, count in offers.refused.items() if reason != "sms"}
    assert (offers.seen, refused) == (30, result_of(view).search.refused)  # type: ignore[union-attr]


def test_any_number_of_askers_have_one_look(inline: InlineWorker, didflow: Didflow) -> None:
    found: list[int] = []
    askers = [threading.Thread(target=lambda: found.append(len(didflow.catalogue.countries().items))) for _ in range(10)]
    for asker in askers:
        asker.start()
    with working(inline):
        for asker in askers:
            asker.join()
    assert found == [6] * 10
    assert looks(inline) == ["countries"]


def test_a_young_answer_is_given_again_and_an_old_one_is_not(inline: InlineWorker, didflow: Didflow) -> None:
    with working(inline):
        first = didflow.catalogue.countries()
        again = didflow.catalogue.countries()
        assert again.jobs == first.jobs
        assert didflow.catalogue.countries(fresh=True).jobs != first.jobs
        assert didflow.catalogue.countries(max_age_s=0).jobs != first.jobs
    # Without a worker: what is there is given, with its age.
    assert len(didflow.catalogue.countries(max_age_s=float("inf")).items) == 6


def test_without_a_worker_the_question_ends_after_its_time(inline: InlineWorker, didflow: Didflow) -> None:
    with pytest.raises(CatalogueTimeout, match="no worker is running: start `didflow worker`") as caught:
        didflow.catalogue.countries(timeout_s=0.2)
    assert (caught.value.code, caught.value.reason) == ("catalogue_timeout", "no_worker")
    # The look continues, and there is still only one.
    with pytest.raises(CatalogueTimeout):
        didflow.catalogue.countries(timeout_s=0.0)
    assert looks(inline) == ["countries"]


def test_an_unknown_name_is_refused_with_the_nearest_ones(inline: InlineWorker, didflow: Didflow) -> None:
    with working(inline):
        with pytest.raises(UnknownCountry, match="did you mean Germany"):
            didflow.catalogue.cities("Germny")
        with pytest.raises(UnknownRegion, match="did you mean California"):
            didflow.catalogue.cities("US", region="Californa")
        with pytest.raises(UnknownCity, match="did you mean LOS ANGELES, CA"):
            didflow.catalogue.offers("US", "LOS ANGELS, CA")


def test_every_fault_of_a_question_is_named(didflow: Didflow) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Catalogue(didflow, account="").countries(max_age_s=-1, timeout_s=float("nan"))
    assert [fault.path for fault in caught.value.faults] == ["account", "max_age_s", "timeout_s"]
    with pytest.raises(InvalidRequest) as caught:
        didflow.catalogue.offers("US", LOS_ANGELES, colour="red", max_total_usd="5")
    assert [fault.path for fault in caught.value.faults] == ["colour", "max_total_usd"]
    with pytest.raises(InvalidRequest) as caught:
        didflow.catalogue.offers("US", LOS_ANGELES, max_monthly_usd=2.5, min_channels=0)
    assert {fault.path for fault in caught.value.faults} == {"max_monthly_usd", "min_channels"}


def test_the_client_for_asyncio_gives_the_same_answers(inline: InlineWorker, didflow: Didflow, valkey: EmbeddedValkey) -> None:
    async def ask() -> list[object]:
        client = AsyncDidflow.from_url(valkey.url, inline.settings.namespace, actor="ann")
        try:
            catalogue = client.catalogue
            lists = (await catalogue.countries(), await catalogue.regions("US"), await catalogue.cities("US", region="Texas"))
            offers = await catalogue.offers("US", "DALLAS, TX", region="Texas", sms=True)
            return [*(one.items for one in lists), offers.items, offers.refused]
        finally:
            await client.aclose()

    with working(inline):
        found = asyncio.run(ask())
        one = didflow.catalogue
        offers = one.offers("US", "DALLAS, TX", region="Texas", sms=True)
        same = [one.countries().items, one.regions("US").items, one.cities("US", region="Texas").items, offers.items, offers.refused]
    assert found == same
    assert len(looks(inline)) == 4, "the second client was answered from what is kept"


def test_two_cities_are_one_list_and_reserved_numbers_are_left_out(inline: InlineWorker, didflow: Didflow) -> None:
    with working(inline):
        every = didflow.catalogue.offers("US", ["houston, tx", "DALLAS, TX"])
        assert {one.city for one in every.items} == {"HOUSTON, TX", "DALLAS, TX"}
        assert every.seen == 60
        inline.ledger.client.hset(
            inline.ledger.keys.reserved("default"), every.items[0].number, Reservation(holder="another", until_ms=0).model_dump_json()
        )
        rest = didflow.catalogue.offers("US", ["houston, tx", "DALLAS, TX"])
    assert [one.number for one in rest.items] == [one.number for one in every.items[1:]]
    assert rest.refused == {"reserved": 1}
    assert rest.jobs == every.jobs


def test_the_setting_says_how_old_an_answer_may_be(
    inline: InlineWorker, didflow: Didflow, valkey: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    with working(inline):
        didflow.catalogue.countries()
    monkeypatch.setenv("DIDFLOW_REDIS_URL", valkey.url)
    monkeypatch.setenv("DIDFLOW_NAMESPACE", inline.settings.namespace)
    assert len(Didflow.from_env().catalogue.countries(timeout_s=0.0).items) == 6
    monkeypatch.setenv("DIDFLOW_CATALOGUE_AGE_SECONDS", "0")
    with pytest.raises(CatalogueTimeout):
        Didflow.from_env().catalogue.countries(timeout_s=0.0)


def test_completion_offers_the_places_that_workers_saw(
    inline: InlineWorker, didflow: Didflow, valkey: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIDFLOW_REDIS_URL", valkey.url)
    monkeypatch.setenv("DIDFLOW_NAMESPACE", inline.settings.namespace)
    buy = typer.Context(COMMANDS[("buy",)])
    buy.params = {"country": "us", "account": "default"}
    assert ("FR", "France") in completion.countries("", buy)
    assert completion.cities(buy, "") == []
    with working(inline):
        didflow.catalogue.cities("US")
    assert [code for code, _ in completion.countries("", buy)] == ["US", "CA", "AR", "DE", "NL", "GB"]
    assert completion.cities(buy, "los") == [(LOS_ANGELES, "California")]
    buy.params["account"] = "customers"
    assert completion.cities(buy, "los") == []
