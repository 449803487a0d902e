"""What a changing call's answer is about is compared with what was asked: an answer about another number is no answer to this call."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydantic import SecretStr

from didflow.contract.destinations import Destination
from didflow.contract.document_file import read_paper
from didflow.contract.provider import No, Unclear, Yes
from worker.wavix.answer_matching import Subject, is_about_another
from worker.wavix.answers import Mutation
from worker.wavix.client import WavixClient
from worker.wavix.sandbox import Sandbox
from worker.wavix.sandbox.options import SANDBOX_KEY, SandboxOptions
from worker.wavix.sandbox.world import World

ANOTHER = Unclear("an answer about another number")
ROUTE = (Destination.sip("pbx@example.net"),)
DOCUMENT = read_paper("id", b"%PDF-1.4 a passport")
ONE, OTHER, *_ = (f"+{number}" for number in World(SandboxOptions(numbers_per_city=30)).stock)


@contextmanager
def client_of(sandbox: Sandbox, dialect: str = "numbers") -> Iterator[WavixClient]:
    client = WavixClient(sandbox.url, SecretStr(SANDBOX_KEY), dialect, timeout_s=5.0, read_backoff_s=0.001)  # type: ignore[arg-type]
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[WavixClient]:
    with client_of(sandbox) as client:
        yield client


def owned_ids(sandbox: Sandbox, count: int) -> list[tuple[str, int]]:
    return [(f"+{number}", int(sandbox.owned()[number]["record_id"])) for number in sandbox.order("seed_owned", count=count)]


def with_sms(client: WavixClient, sandbox: Sandbox) -> int:
    """The record id of an owned number that receives SMS."""
    sandbox.order("seed_owned", count=20)
    return next(one.record_id for one in client.owned(page=1).items if one.sms_enabled)


def test_a_cart_that_confirms_another_number_confirms_nothing(client: WavixClient, sandbox: Sandbox) -> None:
    sandbox.add_fault("cart_put", "set_field", field="number", value=json.dumps(OTHER[1:]))
    assert client.put_in_cart([ONE]) == ANOTHER


def test_a_cart_that_answers_with_all_that_is_in_it_confirms_what_was_asked() -> None:
    with Sandbox(SandboxOptions(numbers_per_city=30).with_profiles("cart-answers-all")) as sandbox, client_of(sandbox) as client:
        for number in (OTHER, ONE):
            added = client.put_in_cart([number])
            assert isinstance(added, Yes)
            assert [offer.number for offer in added.value] == [number]
        assert {offer.number for offer in client.cart()} == {ONE, OTHER}


def test_a_checkout_that_refuses_another_number_has_no_clear_answer(client: WavixClient, sandbox: Sandbox) -> None:
    client.put_in_cart([ONE])
    sandbox.add_fault("checkout", "refuse", status=422, body={"success": False, "error_dids": [OTHER[1:]]})
    assert client.check_out([ONE]) == ANOTHER
    sandbox.add_fault("checkout", "refuse", status=422, body={"success": False, "error_dids": [ONE[1:]]})
    assert client.check_out([ONE]) == No("some_unavailable", "HTTP 422", numbers=(ONE,))


@pytest.mark.parametrize("value", ["7", "null", '"x"', "1e99999999"])
def test_routes_that_were_changed_on_another_record_are_not_confirmed(client: WavixClient, sandbox: Sandbox, value: str) -> None:
    (_, first), (_, second) = owned_ids(sandbox, 2)
    sandbox.add_fault("destinations", "set_field", field="id", value=value)
    assert client.set_route([first, second], ROUTE, None) == ANOTHER
    assert isinstance(client.set_route([first, second], ROUTE, None), Yes)


@pytest.mark.parametrize("dialect", ["mydids", "numbers"])
def test_a_record_that_was_updated_is_the_one_that_was_asked_for(sandbox: Sandbox, dialect: str) -> None:
    with client_of(sandbox, dialect) as client:
        record_id = with_sms(client, sandbox)
        sandbox.add_fault("update_one", "set_field", field="id", value=str(record_id + 1))
        assert client.set_sms_relay_url(record_id, "https://example.net/sms") == ANOTHER
        assert isinstance(client.set_sms_relay_url(record_id, "https://example.net/sms"), Yes)


def test_sms_that_was_turned_on_for_another_record_is_not_confirmed(client: WavixClient, sandbox: Sandbox) -> None:
    record_id = with_sms(client, sandbox)
    sandbox.add_fault("update_one", "set_field", field="id", value=str(record_id + 1))
    assert client.set_sms_enabled(record_id, True) == ANOTHER
    assert isinstance(client.set_sms_enabled(record_id, True), Yes)


@pytest.mark.parametrize(
    ("field", "value"), [("did_number", json.dumps(OTHER)), ("url", '"https://api.wavix.com/v1/numbers/7/papers/101"')]
)
@pytest.mark.parametrize("dialect", ["mydids", "numbers"])
def test_a_document_of_another_number_is_not_ours(sandbox: Sandbox, dialect: str, field: str, value: str) -> None:
    (number, record_id), (second, second_id) = owned_ids(sandbox, 2)
    assert number != OTHER
    with client_of(sandbox, dialect) as client:
        sandbox.add_fault("papers", "set_field", field=field, value=value)
        assert client.upload_paper([record_id], DOCUMENT, numbers=[number]) == ANOTHER
        assert isinstance(client.upload_paper([second_id], DOCUMENT, numbers=[second]), Yes)


@pytest.mark.parametrize("call", Mutation)
def test_an_answer_that_names_nothing_contradicts_nothing(call: Mutation) -> None:
    bodies: tuple[object, ...] = ({"success": True}, {"success": False, "message": "no"}, [], {"items": []}, None, "text", 7)
    for body in bodies:
        assert not is_about_another(call, body, Subject.of([ONE], [1])), body
