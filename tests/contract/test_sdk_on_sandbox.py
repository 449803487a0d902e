"""The provider's official SDK 1.1.1 runs over all of the sandbox: a client that isn't ours finds there what the contract promises."""

from collections.abc import Iterator

import pytest
from wavix import NumberDestination, Wavix

from worker.wavix.sandbox import Sandbox, SandboxOptions
from worker.wavix.sandbox.options import SANDBOX_KEY

OLD = [{"transport": 1, "destination": "old@example.net", "priority": 1}]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """As the newest contract has it: documents by name, countries without ISO codes, no `type_filter`."""
    with Sandbox(SandboxOptions(numbers_per_city=120, document_types="names", short_names=False)) as sandbox:
        yield sandbox


@pytest.fixture
def sdk(sandbox: Sandbox) -> Wavix:
    return Wavix(base_url=sandbox.url, token=SANDBOX_KEY, max_retries=0)


def ids_of(sandbox: Sandbox) -> list[int]:
    return [int(record["record_id"]) for record in sandbox.owned().values()]


def routes(sandbox: Sandbox) -> list[list[str]]:
    return [[one["destination"] for one in record["destinations"]] for record in sandbox.owned().values()]


def bought(sdk: Wavix, country_id: int, city_id: int, count: int) -> list[int]:
    numbers = [one.number for one in sdk.buy.numbers.list(country_id, city_id, per_page=count).dids]
    sdk.cart.add(ids=numbers)
    assert sdk.cart.checkout(ids=numbers).success
    return [one.id for one in sdk.numbers.list(per_page=100).items if one.number in numbers]


def test_the_stock_is_searched_in_pages_and_the_cart_is_emptied_again(sdk: Wavix) -> None:
    assert {one.name for one in sdk.buy.countries.list().countries} >= {"United States", "Argentina"}
    assert {one.name for one in sdk.buy.cities.list(8669).cities} == {"Buenos Aires", "Rosario"}
    pages = [sdk.buy.numbers.list(8652, 200, page=page, per_page=100) for page in (1, 2)]
    assert [len(page.dids) for page in pages] == [100, 20]
    texting = sdk.buy.numbers.list(8652, 200, text_enabled_only=True, per_page=100).dids
    assert texting
    assert all(one.sms_enabled for one in texting)
    first, second = (one.number for one in texting[:2])
    assert [one.number for one in sdk.cart.add(ids=[first, second])] == [first, second]
    assert sdk.cart.remove(ids=[second]).success
    assert [one.number for one in sdk.cart.get().dids] == [first]


def test_a_patch_changes_the_fields_that_it_gives_and_no_others(sdk: Wavix, sandbox: Sandbox) -> None:
    texting = sdk.buy.numbers.list(8652, 200, text_enabled_only=True, per_page=2).dids
    sdk.cart.add(ids=[one.number for one in texting])
    sdk.cart.checkout(ids=[one.number for one in texting])
    ids = ids_of(sandbox)
    sdk.numbers.bulk_update(ids=ids, destinations=[NumberDestination(transport=1, destination="old@example.net", priority=1)])
    off = sdk.numbers.bulk_update(ids=ids, sms_enabled=False).items
    assert [one.sms_enabled for one in off] == [False, False]
    assert routes(sandbox) == [["old@example.net"]] * 2, "a patch without destinations leaves the routes alone"
    on = sdk.numbers.bulk_update(ids=ids, sms_enabled=True, sms_relay_url="https://example.net/sms").items
    assert [(one.sms_enabled, one.sms_relay_url) for one in on] == [(True, "https://example.net/sms")] * 2
    recorded = sdk.numbers.bulk_update(ids=ids, call_recording_enabled=True, transcription_threshold=30).items
    assert [(one.call_recording_enabled, one.transcription_threshold) for one in recorded] == [(True, 30)] * 2
    assert routes(sandbox) == [["old@example.net"]] * 2
    trunk = NumberDestination(transport=5, destination="32882", priority=1, trunk_id=144)
    sdk.numbers.bulk_update(ids=ids, destinations=[trunk])
    assert [one.sms_relay_url for one in sdk.numbers.list().items] == ["https://example.net/sms"] * 2
    assert routes(sandbox) == [["32882"]] * 2


def test_one_number_is_patched_in_the_same_way(sdk: Wavix, sandbox: Sandbox) -> None:
    sandbox.order("seed_owned", count=2, destinations=OLD)
    first, _ = ids_of(sandbox)
    assert sdk.numbers.update(first, call_recording_enabled=True).call_recording_enabled
    assert routes(sandbox) == [["old@example.net"]] * 2
    sdk.numbers.update(first, destinations=[NumberDestination(transport=4, destination="13235550142", priority=1)])
    assert routes(sandbox) == [["13235550142"], ["old@example.net"]]
    assert sdk.numbers.get(first).destination[0].destination == "13235550142"


def test_a_patch_that_is_refused_changes_nothing(sdk: Wavix, sandbox: Sandbox) -> None:
    sandbox.order("seed_owned", count=1, destinations=OLD, city="Berlin")
    (german,) = ids_of(sandbox)
    sip = NumberDestination(transport=1, destination="new@example.net", priority=1)
    with pytest.raises(Exception, match="US and CA"):
        sdk.numbers.bulk_update(ids=[german], sms_enabled=True, destinations=[sip])
    with pytest.raises(Exception, match="not found"):
        sdk.numbers.bulk_update(ids=[german, 1], destinations=[sip])
    assert routes(sandbox) == [["old@example.net"]]


def test_documents_are_handed_in_by_name(sdk: Wavix, sandbox: Sandbox) -> None:
    (german,) = bought(sdk, 8701, 500, 1)
    assert sdk.numbers.get(german).status == "inactive"
    for kind in ("id", "localaddress"):
        (paper,) = sdk.numbers.papers.upload(did_ids=str(german), doc_id=kind, doc_attachment=("id.pdf", b"%PDF-1.4 x", "application/pdf"))
        assert (paper.doc_type, paper.status) == (kind, "pending")
    (number,) = sandbox.owned()
    sandbox.order("review_documents", number=number)
    assert sdk.numbers.get(german).status == "active"


def test_numbers_are_found_and_released_and_the_account_is_read(sdk: Wavix, sandbox: Sandbox) -> None:
    first, second = bought(sdk, 8652, 200, 2)
    number = sdk.numbers.get(first).number
    assert [one.id for one in sdk.numbers.list(search=number).items] == [first]
    assert sdk.numbers.delete(ids=[first]).success
    assert sdk.numbers.delete(dids=sdk.numbers.get(second).number).success
    assert sdk.numbers.list().items == []
    assert {one.name for one in sdk.sip_trunks.list().sip_trunks} == {"32882", "32883", "32884"}
    assert float(sdk.profile.config.get().balance) == float(1000 - sandbox.charged_usd())
