"""Every call of the client over real HTTP, in both dialects."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from pydantic import SecretStr

from didflow.contract.destinations import Destination, same_route
from didflow.contract.document_file import read_paper
from didflow.contract.provider import Barred, No, NotThere, ReadFailed, Yes
from worker.wavix.client import WavixClient
from worker.wavix.sandbox import Sandbox
from worker.wavix.sandbox.options import SANDBOX_KEY, SandboxOptions


@pytest.fixture(params=["mydids", "numbers"])
def client(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[WavixClient]:
    client = WavixClient(sandbox.url, SecretStr(SANDBOX_KEY), request.param, timeout_s=2.0, read_backoff_s=0.01)
    yield client
    client.close()


def test_a_number_lives_from_search_to_release(client: WavixClient, sandbox: Sandbox) -> None:
    country = next(one for one in client.countries() if one.iso_code == "US")
    region = next(one for one in client.regions(country.id) if one.name == "California")
    city = next(one for one in client.cities(country.id, region.id) if one.name == "LOS ANGELES, CA")
    assert city.area_code == "213568"
    offers = client.offers(country.id, city.id, sms_only=True, page=1)
    assert offers.total == len(offers.items)
    assert all(offer.sms_enabled for offer in offers.items)
    first, second = (offer.number for offer in offers.items[:2])

    added = client.put_in_cart([first, second, "+12135550100"])
    assert isinstance(added, Yes)
    assert {offer.number for offer in added.value} == {first, second}
    assert client.remove_from_cart([second]) == Yes(None)
    assert isinstance(client.remove_from_cart([second]), No)
    assert [offer.number for offer in client.cart()] == [first]
    assert client.check_out([first]) == Yes(None)
    assert client.balance_usd() == Decimal("1000.00") - sandbox.charged_usd()

    (owned,) = client.owned(page=1).items
    assert (owned.number, owned.status, owned.documents) == (first, "active", ())
    assert owned.paid_until is not None
    assert client.owned(page=1, search=first).items == (owned,)
    assert client.owned(page=1, search="+9999").items == ()
    assert client.owned_one(owned.record_id) == owned

    route = (Destination.trunk(144, "32882"), Destination.sip("pbx@example.net", priority=2))
    assert client.set_route([owned.record_id], route, "https://example.net/sms") == Yes(None)
    changed = client.owned_one(owned.record_id)
    assert same_route(changed.route, route)
    assert changed.sms_relay_url == "https://example.net/sms"
    assert client.set_sms_relay_url(owned.record_id, "https://example.net/other") == Yes(None)
    assert isinstance(client.set_route([owned.record_id, 1], route, None), No)
    assert {trunk.id for trunk in client.trunks()} == {144, 145, 146}

    assert isinstance(client.release([owned.record_id, 1]), No)
    assert client.release([owned.record_id]) == Yes(None)
    with pytest.raises(NotThere):
        client.owned_one(owned.record_id)


def test_a_document_is_handed_in_and_reviewed(client: WavixClient, sandbox: Sandbox) -> None:
    berlin = client.offers(8701, 500, sms_only=False, page=1).items[0].number
    assert isinstance(client.put_in_cart([berlin]), Yes)
    assert client.check_out([berlin]) == Yes(None)
    (owned,) = client.owned(page=1).items
    assert (owned.is_active, owned.required_documents, owned.documents) == (False, ("id", "localaddress"), ())
    for kind in owned.required_documents:
        assert client.upload_paper([owned.record_id], read_paper(kind, b"%PDF-1.4 a passport")) == Yes(None)
    shown = client.owned_one(owned.record_id)
    assert [(one.kind, one.status) for one in shown.documents] == [("id", "pending"), ("localaddress", "pending")]
    assert [paper["file_name"] for paper in sandbox.owned()[berlin[1:]]["documents"]] == ["id.pdf", "localaddress.pdf"]
    refused = client.upload_paper([owned.record_id], read_paper("id", b"%PDF-1.4 another"))
    assert isinstance(refused, No)
    assert isinstance(client.upload_paper([owned.record_id, 1], read_paper("address", b"%PDF-1.4 x")), No)
    sandbox.order("review_documents", number=berlin[1:])
    assert client.owned_one(owned.record_id).is_active


def test_sms_is_turned_on_where_the_provider_has_it(client: WavixClient, sandbox: Sandbox) -> None:
    american = next(offer.number for offer in client.offers(8652, 200, sms_only=True, page=1).items)
    berlin = client.offers(8701, 500, sms_only=False, page=1).items[0].number
    client.put_in_cart([american, berlin])
    assert client.check_out([american, berlin]) == Yes(None)
    ids = {one.number: one.record_id for one in client.owned(page=1).items}
    for wanted in (False, True):
        assert client.set_sms_enabled(ids[american], wanted) == Yes(None)
        assert client.owned_one(ids[american]).sms_enabled is wanted
    assert isinstance(client.set_sms_enabled(ids[berlin], True), No)


def test_a_country_without_regions_says_so(client: WavixClient) -> None:
    with pytest.raises(NotThere):
        client.regions(8669)
    assert {city.name for city in client.cities(8669, None)} == {"Buenos Aires", "Rosario"}


def test_lists_are_walked_in_pages(client: WavixClient, sandbox: Sandbox) -> None:
    sandbox.order("seed_owned", count=120)
    pages = [client.owned(page=number) for number in (1, 2)]
    assert [len(page.items) for page in pages] == [100, 20]
    assert pages[0].total_pages == 2
    assert len({one.record_id for page in pages for one in page.items}) == 120


def test_reads_are_repeated_and_changes_never(client: WavixClient, sandbox: Sandbox) -> None:
    sandbox.add_fault("owned", "status_500_before", times=2)
    assert client.owned(page=1).items == ()
    assert sandbox.state()["calls"]["owned"] == 3
    sandbox.add_fault("cart_put", "status_500_before")
    client.put_in_cart(["+12135550100"])
    assert sandbox.state()["calls"]["cart_put"] == 1


def test_a_wrong_key_bars_reads_and_changes(client: WavixClient, sandbox: Sandbox) -> None:
    sandbox.order("set_key_valid", valid=False)
    with pytest.raises(ReadFailed) as refused:
        client.balance_usd()
    assert isinstance(refused.value.answer, Barred)
    assert isinstance(client.check_out(["+12135550100"]), Barred)


@pytest.mark.parametrize("word", ["city", "cities"])
def test_either_path_to_a_citys_numbers_is_found_and_remembered(word: str) -> None:
    with Sandbox(SandboxOptions(numbers_per_city=5, city_route=word)) as sandbox:  # type: ignore[arg-type]
        client = WavixClient(sandbox.url, SecretStr(SANDBOX_KEY), "mydids")
        for _ in range(2):
            assert client.offers(8652, 200, sms_only=False, page=1).total == 5
        with pytest.raises(NotThere):
            client.offers(8652, 999, sms_only=False, page=1)
        client.close()
        assert sandbox.state()["calls"]["dids"] == 3
