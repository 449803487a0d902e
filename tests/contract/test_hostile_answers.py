"""What a server does that is broken, hostile, or behind a proxy that is: the client ends in time, and believes none of it."""

import json
import time
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from pydantic import SecretStr

from didflow.contract.destinations import Destination
from didflow.contract.document_file import read_paper
from didflow.contract.provider import UNREADABLE, NotNow, NotNowReason, ReadFailed, Unclear, Yes
from worker.wavix.client import WavixClient
from worker.wavix.reads import READ_ATTEMPTS
from worker.wavix.sandbox import Sandbox
from worker.wavix.sandbox.options import SANDBOX_KEY, SandboxOptions
from worker.wavix.sandbox.world import World

TIMEOUT_S = 0.5
#: Of a test machine that has other things to do.
SLACK_S = 10.0
#: In the stock of every sandbox with this seed.
NUMBER = "+" + next(iter(World(SandboxOptions(numbers_per_city=30)).stock))
UNAVAILABLE = NotNow(NotNowReason.UNAVAILABLE)

READS: dict[str, Callable[[WavixClient], object]] = {
    "countries": lambda client: client.countries(),
    "regions": lambda client: client.regions(8652),
    "cities": lambda client: client.cities(8652, 379),
    "dids": lambda client: client.offers(8652, 200, sms_only=False, page=1),
    "cart": lambda client: client.cart(),
    "owned": lambda client: client.owned(page=1),
    "owned_one": lambda client: client.owned_one(1),
    "profile": lambda client: client.balance_usd(),
    "trunks": lambda client: client.trunks(),
}
CHANGES: dict[str, Callable[[WavixClient], object]] = {
    "cart_put": lambda client: client.put_in_cart([NUMBER]),
    "cart_delete": lambda client: client.remove_from_cart([NUMBER]),
    "checkout": lambda client: client.check_out([NUMBER]),
    "destinations": lambda client: client.set_route([1], (Destination.sip("pbx@example.net"),), None),
    "update_one": lambda client: client.set_sms_relay_url(1, "https://example.net/sms"),
    "sms_enabled": lambda client: client.set_sms_enabled(1, True),
    "papers": lambda client: client.upload_paper([1], read_paper("id", b"%PDF-1.4 a passport")),
    "release": lambda client: client.release([1]),
}


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[WavixClient]:
    client = WavixClient(sandbox.url, SecretStr(SANDBOX_KEY), "mydids", timeout_s=TIMEOUT_S, read_backoff_s=0.001, max_pages=50)
    yield client
    client.close()


def failed(read: Callable[[], object]) -> NotNow:
    with pytest.raises(ReadFailed) as error:
        read()
    assert isinstance(error.value.answer, NotNow)
    return error.value.answer


@pytest.mark.parametrize("kind", ["trickle", "trickle_head"])
@pytest.mark.parametrize("call", CHANGES)
def test_an_answer_that_trickles_is_unclear_when_the_time_is_up(client: WavixClient, sandbox: Sandbox, call: str, kind: str) -> None:
    sandbox.add_fault(call, kind, seconds=0.05)
    began_s = time.monotonic()
    assert CHANGES[call](client) == Unclear("ReadTimeout")
    assert TIMEOUT_S <= time.monotonic() - began_s < TIMEOUT_S + SLACK_S


@pytest.mark.parametrize("kind", ["trickle", "trickle_head"])
@pytest.mark.parametrize("call", ["countries", "owned", "profile"])
def test_a_read_that_trickles_fails_when_its_tries_are_up(client: WavixClient, sandbox: Sandbox, call: str, kind: str) -> None:
    sandbox.add_fault(call, kind, seconds=0.05, times=None)
    began_s = time.monotonic()
    assert failed(lambda: READS[call](client)) == UNAVAILABLE
    assert time.monotonic() - began_s < READ_ATTEMPTS * TIMEOUT_S + SLACK_S


def test_a_packed_answer_is_not_unpacked(client: WavixClient, sandbox: Sandbox) -> None:
    """It may be a thousand times as large as it was on the way."""
    client.put_in_cart([NUMBER])
    sandbox.add_fault("checkout", "gzip", size=2_000_000)
    assert client.check_out([NUMBER]) == Unclear("ContentEncoding")
    assert len(sandbox.ledger()) == 1
    sandbox.add_fault("owned", "gzip", times=None)
    assert failed(lambda: client.owned(page=1)) == UNAVAILABLE


def test_an_answer_of_many_megabytes_is_not_read_to_its_end(client: WavixClient, sandbox: Sandbox) -> None:
    sandbox.add_fault("cart_put", "set_field", field="city", value='"' + "x" * 3_000_000 + '"')
    assert client.put_in_cart([NUMBER]) == Unclear("AnswerTooLarge")


@pytest.mark.parametrize("call", ["owned", "dids", "trunks"])
def test_a_list_that_claims_a_billion_pages_is_not_believed(client: WavixClient, sandbox: Sandbox, call: str) -> None:
    sandbox.order("seed_owned", count=3)
    sandbox.add_fault(call, "set_field", field="total_pages", value="1000000000", times=None)
    assert failed(lambda: READS[call](client)) == UNAVAILABLE


def test_pages_are_believed_only_as_far_as_they_bring_something(client: WavixClient, sandbox: Sandbox) -> None:
    sandbox.add_fault("trunks", "set_field", field="total_pages", value="50", times=None)
    assert failed(client.trunks) == UNAVAILABLE
    assert sandbox.state()["calls"]["trunks"] == 1 + READ_ATTEMPTS, "the second page is empty"


@pytest.mark.parametrize("value", ["1e99999999", "-1", "NaN", "1e400", "9" * 5000, '"1e99999999"', "true", "{}", "[]", "4.5", str(2**63)])
@pytest.mark.parametrize("field", ["id", "number"])
def test_a_record_without_a_readable_name_spoils_only_itself(client: WavixClient, sandbox: Sandbox, field: str, value: str) -> None:
    bad, good = sandbox.order("seed_owned", count=2)
    sandbox.add_fault("owned", "set_field", field=field, value=value, record=bad, times=None)
    page = client.owned(page=1)
    assert [one.number for one in page.items] == [f"+{good}"]
    assert page.unread == (f"+{bad}",) if field == "id" else (None,)


@pytest.mark.parametrize("value", ["{}", '"x"', "[{}]", "[null]", "[5]"])
def test_a_route_that_cannot_be_read_is_neither_none_nor_the_whole_lists_end(client: WavixClient, sandbox: Sandbox, value: str) -> None:
    bad, _ = sandbox.order("seed_owned", count=2)
    sandbox.add_fault("owned", "set_field", field="destination", value=value, record=bad)
    routes = {one.number: one.route for one in client.owned(page=1).items}
    assert [one.destination for one in routes[f"+{bad}"]] == [UNREADABLE]
    assert len(routes) == 2


@pytest.mark.parametrize("field", ["label", "sms_relay_url"])
def test_what_a_decision_rests_on_is_not_guessed(client: WavixClient, sandbox: Sandbox, field: str) -> None:
    bad, _ = sandbox.order("seed_owned", count=2)
    sandbox.add_fault("owned", "set_field", field=field, value='{"x": 1}', record=bad)
    assert client.owned(page=1).unread == (f"+{bad}",)


@pytest.mark.parametrize("value", ["null", '"example"', '"-3"', "1e99999999"])
def test_seconds_that_cannot_be_read_are_no_silence(client: WavixClient, sandbox: Sandbox, value: str) -> None:
    sandbox.order("seed_owned", count=1)
    assert not client.owned(page=1).items[0].seconds_unread
    sandbox.add_fault("owned", "set_field", field="seconds", value=value)
    assert client.owned(page=1).items[0].seconds_unread


@pytest.mark.parametrize("value", ["1e400", "1e-400", "NaN", '"1e99999999"', "-1", '"' + "9" * 100 + '"'])
def test_a_number_with_an_impossible_price_stays_in_the_shop(client: WavixClient, sandbox: Sandbox, value: str) -> None:
    first = client.offers(8652, 200, sms_only=False, page=1).items[0].number
    sandbox.add_fault("dids", "set_field", field="monthly_fee", value=value, record=first[1:])
    page = client.offers(8652, 200, sms_only=False, page=1)
    assert first not in {one.number for one in page.items}
    assert page.unread == (first,)
    sandbox.add_fault("profile", "set_field", field="balance", value=value if value != "-1" else "{}")
    sandbox.add_fault("profile", "set_field", field="balance", value="-1.5", times=None)
    assert client.balance_usd() == Decimal("-1.5")


def test_channels_that_cannot_be_written_out_are_unknown(client: WavixClient, sandbox: Sandbox) -> None:
    sandbox.add_fault("dids", "set_field", field="channels", value="1e99999999")
    assert {one.channels for one in client.offers(8652, 200, sms_only=False, page=1).items} == {None}


@pytest.mark.parametrize(
    "body", ['{"success": true, "success": false}', "[" * 100_000, '{"success": ' + "[" * 60 + "]" * 60 + "}", "\\ud800", "\xff"]
)
def test_no_text_that_is_hardly_json_is_a_yes(client: WavixClient, sandbox: Sandbox, body: str) -> None:
    client.put_in_cart([NUMBER])
    sandbox.add_fault("checkout", "set_field", field="success", value=body)
    assert isinstance(client.check_out([NUMBER]), Unclear)


def test_trunks_that_are_null_are_none(client: WavixClient, sandbox: Sandbox) -> None:
    assert len(client.trunks()) == 3
    sandbox.add_fault("trunks", "set_field", field="sip_trunks", value="null")
    assert client.trunks() == ()


@pytest.mark.parametrize(("count", "readable"), [(0, True), (2, False)])
def test_a_null_instead_of_the_owned_list_is_an_empty_one_only_where_the_total_is_zero(
    client: WavixClient, sandbox: Sandbox, count: int, readable: bool
) -> None:
    sandbox.order("seed_owned", count=count)
    sandbox.add_fault("owned", "set_field", field="items", value="null", times=None)
    if readable:
        assert client.owned(page=1).items == ()
    else:
        assert failed(lambda: client.owned(page=1)) == UNAVAILABLE


# One answer too many


@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_an_answer_that_comes_twice_is_not_the_answer_to_the_next_question(client: WavixClient, sandbox: Sandbox, seconds: float) -> None:
    one, other = sandbox.order("seed_owned", count=2)
    for _ in range(3):
        sandbox.add_fault("owned", "answer_twice", seconds=seconds)
        for asked in (one, other):
            assert [owned.number for owned in client.owned(page=1, search=asked).items] == [f"+{asked}"]


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.1])
def test_pages_over_a_kept_connection_are_those_asked_for(sandbox: Sandbox, seconds: float) -> None:
    with Sandbox(SandboxOptions(numbers_per_city=300)) as many:
        many.order("seed_owned", count=350)
        client = WavixClient(many.url, SecretStr(SANDBOX_KEY), "mydids", timeout_s=5.0, read_backoff_s=0.001)
        for skip in range(3):
            many.add_fault("owned", "answer_twice", seconds=seconds, skip=skip)
            pages = [client.owned(page=page) for page in range(1, 5)]
            assert [page.page for page in pages] == [1, 2, 3, 4]
            assert len({one.record_id for page in pages for one in page.items}) == 350
            many.clear_faults()
        client.close()


def test_a_record_is_the_one_that_was_asked_for(client: WavixClient, sandbox: Sandbox) -> None:
    (number,) = sandbox.order("seed_owned", count=1)
    record_id = sandbox.owned()[number]["record_id"]
    sandbox.add_fault("owned_one", "set_field", field="id", value="7", record=number)
    assert client.owned_one(record_id).record_id == record_id
    assert sandbox.state()["calls"]["owned_one"] == 2


@pytest.mark.parametrize("call", CHANGES)
def test_a_change_has_a_connection_of_its_own(client: WavixClient, sandbox: Sandbox, call: str) -> None:
    """What a proxy sends twice to a read before it, or to it, is the answer to no request."""
    sandbox.add_fault("owned", "answer_twice")
    sandbox.add_fault(call, "answer_twice")
    client.owned(page=1)
    first = CHANGES[call](client)
    assert not isinstance(first, Unclear)
    assert isinstance(client.put_in_cart([NUMBER]), Yes)
    assert client.owned(page=1).page == 1


def test_every_form_of_a_json_text_is_read_as_json(client: WavixClient, sandbox: Sandbox) -> None:
    (number,) = sandbox.order("seed_owned", count=1)
    sandbox.add_fault("owned", "set_field", field="label", value=json.dumps("caf\u00e9 \U0001f4de"))
    assert client.owned(page=1, search=number).items[0].label == "caf\u00e9 \U0001f4de"
