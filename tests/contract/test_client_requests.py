"""Every request that the client can send is one that its dialect's contract allows; every answer shown there can be read."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from pydantic import SecretStr

from didflow.contract.destinations import Destination
from didflow.contract.document_file import read_paper
from didflow.contract.provider import Answer, NotThere, ReadFailed, Yes
from tests.contract.openapi import Operation, contract
from worker.wavix import parsing
from worker.wavix.client import WavixClient
from worker.wavix.sandbox.documents import form

KEY = "k-3f9a1c77"
ROUTE = (Destination.sip("pbx@example.net"), Destination.pstn("+13235550142", priority=2), Destination.trunk(144, "32882", priority=3))
NUMBERS = ("+541139862174", "+541139862175")

CALLS: dict[str, Callable[[WavixClient], object]] = {
    "countries": lambda client: client.countries(),
    "regions": lambda client: client.regions(8652),
    "cities": lambda client: client.cities(8652, None),
    "cities of a region": lambda client: client.cities(8652, 379),
    "offers": lambda client: client.offers(8652, 200, sms_only=True, page=2),
    "put_in_cart": lambda client: client.put_in_cart(NUMBERS),
    "remove_from_cart": lambda client: client.remove_from_cart(NUMBERS),
    "cart": lambda client: client.cart(),
    "check_out": lambda client: client.check_out(NUMBERS),
    "owned": lambda client: client.owned(page=3, search="+1256", label="vip"),
    "owned_one": lambda client: client.owned_one(123),
    "set_route": lambda client: client.set_route((1, 2), ROUTE, None),
    "set_route with callback": lambda client: client.set_route((1, 2), ROUTE, "https://example.net/sms"),
    "set_sms_relay_url": lambda client: client.set_sms_relay_url(123, "https://example.net/sms"),
    "set_sms_enabled": lambda client: client.set_sms_enabled(123, True),
    "upload_paper": lambda client: client.upload_paper((1, 2), read_paper("id", b"%PDF-1.4 a passport")),
    "release": lambda client: client.release((1, 2)),
    "balance_usd": lambda client: client.balance_usd(),
    "trunks": lambda client: client.trunks(),
}

#: The older file requires `sms_relay_url` beside the destinations; the overview of the same API leaves it out. It is sent where
#: the number has one, and left out where it has none: an empty one would switch a callback off.
STATED_EXCEPTION = ("mydids", "set_route", "'sms_relay_url' is a required property")


def sent_by(call: Callable[[WavixClient], object], dialect: Any) -> httpx.Request:
    """The one request of the call, as it goes onto the wire."""
    wire: list[httpx.Request] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        wire.append(request)
        return httpx.Response(404, json={"success": False, "message": "not here"})

    client = WavixClient("https://api.example.net", SecretStr(KEY), dialect, transport=httpx.MockTransport(refuse))
    try:
        call(client)
    except (NotThere, ReadFailed):
        pass
    finally:
        client.close()
    # A city's numbers that aren't found under one path are requested under the other.
    assert len(wire) == 1 or [one.url.path.split("/")[-3] for one in wire] == ["cities", "city"]
    return wire[0]


@pytest.mark.parametrize("dialect", ["mydids", "numbers"])
@pytest.mark.parametrize("name", CALLS)
def test_a_request_is_as_the_contract_says(name: str, dialect: str) -> None:
    request, file = sent_by(CALLS[name], dialect), contract(dialect)
    operation = file.operation(request.method, request.url.path)
    assert operation is not None, f"{request.method} {request.url.path} is not in the {dialect} file"
    known = {one["name"] for one in operation.parameters if one["in"] == "query"}
    query = parse_qs(request.url.query.decode())
    if dialect == "mydids":
        assert query.pop("appid") == [KEY]
        assert "Authorization" not in request.headers
    else:
        assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert set(query) <= known
    schema = file.request_schema(operation)
    if request.headers.get("Content-Type", "").startswith("multipart/form-data"):
        assert not file.faults(file.form_schema(operation), as_described(form(request.headers["Content-Type"], request.content)))
        return
    if schema is None:
        assert not request.content
        return
    faults = [fault.split(": ", 1)[1] for fault in file.faults(schema, json.loads(request.content))]
    faults = [fault for fault in faults if (dialect, name, fault) != STATED_EXCEPTION]
    assert not faults


def as_described(fields: dict[str, str | tuple[str, bytes]]) -> dict[str, Any]:
    """A form's fields in the types of the file: there an integer is one, in a form all is text."""
    kind = fields["doc_id"]
    attached = fields["doc_attachment"]
    assert isinstance(kind, str)
    assert isinstance(attached, tuple)
    return fields | {"doc_id": int(kind), "doc_attachment": attached[1].decode()}


def examples(dialect: str) -> list[tuple[Operation, Any]]:
    file = contract(dialect)
    found = ((operation, status, body) for operation in file.operations() for status, body in file.response_examples(operation))
    return [(operation, body) for operation, status, body in found if status < 300]


@pytest.mark.parametrize("dialect", ["mydids", "numbers"])
def test_every_answer_shown_in_the_contract_can_be_read(dialect: str) -> None:
    read = 0
    for operation, body in examples(dialect):
        exact = json.loads(json.dumps(body), parse_float=Decimal)
        for name, parse in (
            ("countries", parsing.country),
            ("regions", parsing.region),
            ("cities", parsing.city),
            ("dids", parsing.offer),
            ("items", parsing.owned_number),
            ("sip_trunks", parsing.trunk),
        ):
            for one in exact.get(name) or () if isinstance(exact, dict) else ():
                assert parse(one), operation.path
                read += 1
        if isinstance(exact, list) and operation.path.endswith("/buy/cart"):
            assert parsing.offers(exact)
            read += 1
        if operation.path.endswith("/papers"):
            number = parsing.owned_number({"id": 1, "number": "1", "documents": exact})
            assert [(one.kind, one.status) for one in number.documents] == [("id", "pending"), ("address", "approved")]
            read += 1
        if operation.path.endswith("/profile/config"):
            assert parsing.balance_usd(exact) == Decimal("309.06")
            read += 1
    assert read >= 15


def test_only_the_clear_yes_of_the_contract_is_a_yes() -> None:
    def agree(request: httpx.Request) -> httpx.Response:
        return httpx.Response(201, json={"success": True})

    client = WavixClient("https://api.example.net", SecretStr(KEY), "mydids", transport=httpx.MockTransport(agree))
    answer: Answer[None] = client.check_out(NUMBERS)
    client.close()
    assert answer == Yes(None)
