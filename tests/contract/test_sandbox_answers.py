"""The sandbox's answers are those of the published contracts, and something we didn't write can work with it."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from wavix import NumberDestination, Wavix

from tests.contract.openapi import contract
from worker.wavix.sandbox import Sandbox
from worker.wavix.sandbox.options import SANDBOX_KEY

#: The overview that is this project's specification shows it; the OpenAPI files don't list it.
BEYOND_THE_FILES = {"short_name"}


def without_extras(body: Any) -> Any:
    if isinstance(body, dict) and "countries" in body:
        return {"countries": [{name: value for name, value in one.items() if name not in BEYOND_THE_FILES} for one in body["countries"]]}
    return body


class Caller:
    """Calls the sandbox in one dialect, and holds every answer against that dialect's file."""

    def __init__(self, url: str, dialect: str) -> None:
        self.contract = contract(dialect)
        self.owned_path = "/v1/mydids" if dialect == "mydids" else "/v1/numbers"
        self.dialect = dialect
        auth = {"params": {"appid": SANDBOX_KEY}} if dialect == "mydids" else {"headers": {"Authorization": f"Bearer {SANDBOX_KEY}"}}
        self.http = httpx.Client(base_url=url, **auth)  # type: ignore[arg-type]
        self.checked: list[tuple[str, int]] = []

    def __call__(self, method: str, path: str, status: int, **more: Any) -> Any:
        answer = self.http.request(method, path, **more)
        assert answer.status_code == status, answer.text
        operation = self.contract.operation(method, path)
        assert operation is not None, f"{method} {path} is not in the file"
        schema = self.contract.response_schema(operation, status)
        if schema is not None:
            assert not self.contract.faults(schema, without_extras(answer.json())), (path, answer.text[:500])
        self.checked.append((path, status))
        return answer.json()


@pytest.fixture(params=["mydids", "numbers"])
def call(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Caller]:
    caller = Caller(sandbox.url, request.param)
    yield caller
    caller.http.close()


def test_every_answer_is_as_the_contract_says(call: Caller, sandbox: Sandbox) -> None:
    call("GET", "/v1/buy/countries", 200)
    call("GET", "/v1/buy/countries/8652/regions", 200)
    call("GET", "/v1/buy/countries/8669/regions", 422)
    call("GET", "/v1/buy/countries/1/regions", 404)
    call("GET", "/v1/buy/countries/8652/regions/379/cities", 200)
    call("GET", "/v1/buy/countries/8669/cities", 200)
    dids = call("GET", "/v1/buy/countries/8652/cities/200/dids", 200, params={"per_page": 3})["dids"]
    numbers = [one["number"] for one in dids]
    call("PUT", "/v1/buy/cart", 200, json={"ids": numbers})
    call("PUT", "/v1/buy/cart", 404, json={"ids": ["1"]})
    call("GET", "/v1/buy/cart", 200)
    call("DELETE", "/v1/buy/cart", 200, json={"ids": numbers[2:]})
    call("DELETE", "/v1/buy/cart", 404, json={"ids": numbers[2:]})
    call("POST", "/v1/buy/cart/checkout", 404, json={"ids": numbers})
    call("POST", "/v1/buy/cart/checkout", 201, json={"ids": numbers[:2]})
    owned = call("GET", call.owned_path, 200)["items"]
    ids = [one["id"] for one in owned]
    call("GET", f"{call.owned_path}/{ids[0]}", 200)
    call("GET", f"{call.owned_path}/1", 404)
    route = [{"transport": 5, "destination": "32882", "priority": 1, "trunk_id": 144}]
    changes = ("POST", "/v1/mydids/update-destinations") if call.dialect == "mydids" else ("PATCH", "/v1/numbers")
    call(*changes, 200, json={"ids": ids, "destinations": route, "sms_relay_url": "https://example.net/sms"})
    call(*changes, 404, json={"ids": [*ids, 1], "destinations": route})
    call("GET", call.owned_path, 200)
    call("DELETE", call.owned_path, 404, params={"ids": [ids[0], 1]})
    call("DELETE", call.owned_path, 200, params={"ids": ids})
    call("GET", "/v1/trunks", 200)
    call("GET", "/v1/profile/config", 200)
    sandbox.order("set_balance", usd="0")
    call("PUT", "/v1/buy/cart", 200, json={"ids": numbers[2:]})
    call("POST", "/v1/buy/cart/checkout", 403, json={"ids": numbers[2:]})


def test_documents_and_sms_are_answered_as_the_contract_says(call: Caller, sandbox: Sandbox) -> None:
    berlin = call("GET", "/v1/buy/countries/8701/cities/500/dids", 200, params={"per_page": 2})["dids"]
    los_angeles = call("GET", "/v1/buy/countries/8652/cities/200/dids", 200, params={"per_page": 1, "text_enabled_only": "true"})["dids"]
    numbers = [one["number"] for one in berlin + los_angeles]
    call("PUT", "/v1/buy/cart", 200, json={"ids": numbers})
    call("POST", "/v1/buy/cart/checkout", 201, json={"ids": numbers})
    ids = {one["number"]: one["id"] for one in call("GET", call.owned_path, 200)["items"]}
    first, second, american = (ids[number] for number in numbers)

    path, pdf = f"{call.owned_path}/papers", {"doc_attachment": ("id.pdf", b"%PDF-1.4 a passport", "application/pdf")}
    both = call("POST", path, 200, data={"did_ids": f"{first},{second}", "doc_id": "1"}, files=pdf)
    assert [one["status"] for one in both] == ["pending", "pending"]
    call("POST", path, 400, data={"did_ids": f"{first}", "doc_id": "1"}, files=pdf)  # It is under review.
    call("POST", path, 400, data={"did_ids": f"{first}", "doc_id": "4"}, files=pdf)
    call("POST", path, 400, data={"did_ids": "1", "doc_id": "3"}, files=pdf)
    call("POST", path, 400, data={"did_ids": f"{first}", "doc_id": "3"}, files={"doc_attachment": ("id.pdf", b"GIF89a")})

    def shown(record_id: int) -> tuple[str, list[tuple[int, str, bool]]]:
        one = call("GET", f"{call.owned_path}/{record_id}", 200)
        return one["status"], [(paper["doc_type_id"], paper["status"], paper["allow_replace"]) for paper in one["documents"]]

    assert sandbox.order("review_documents", number=numbers[0], verdict="rejected") == 1
    assert shown(first) == ("inactive", [(1, "rejected", True)])
    call("POST", path, 200, data={"did_ids": f"{first}", "doc_id": "1"}, files=pdf)  # A rejected one is replaced.
    call("POST", path, 200, data={"did_ids": f"{first}", "doc_id": "3"}, files=pdf)
    assert sandbox.order("review_documents", number=numbers[0], kind=1) == 1
    assert shown(first) == ("inactive", [(1, "approved", False), (3, "pending", False)])
    assert sandbox.order("review_documents", number=numbers[0]) == 1
    assert shown(first)[0] == "active"
    assert shown(second) == ("inactive", [(1, "pending", False)])

    if call.dialect == "mydids":
        path = f"{call.owned_path}/update-sms-enabled"
        call("PUT", path, 200, json={"id": american, "sms_enabled": False})
        call("PUT", path, 404, json={"id": 1, "sms_enabled": True})
        call("PUT", path, 422, json={"id": first, "sms_enabled": True})
    else:
        call("PATCH", f"{call.owned_path}/{american}", 200, json={"sms_enabled": False})
        call("PATCH", f"{call.owned_path}/1", 404, json={"sms_enabled": True})
    assert call("GET", f"{call.owned_path}/{american}", 200)["sms_enabled"] is False


def test_a_wrong_key_and_a_wrong_account_are_refused(call: Caller, sandbox: Sandbox) -> None:
    sandbox.order("set_key_valid", valid=False)
    call("GET", "/v1/trunks", 401)
    sandbox.order("set_key_valid", valid=True)
    sandbox.order("set_flex_pro", flex_pro=False)
    call("GET", "/v1/buy/countries", 403)


def test_money_leaves_the_balance_as_the_ledger_says(call: Caller, sandbox: Sandbox) -> None:
    before = Decimal(call("GET", "/v1/profile/config", 200)["balance"])
    numbers = [one["number"] for one in call("GET", "/v1/buy/countries/8652/cities/200/dids", 200)["dids"]]
    call("PUT", "/v1/buy/cart", 200, json={"ids": numbers})
    call("POST", "/v1/buy/cart/checkout", 201, json={"ids": numbers})
    after = Decimal(call("GET", "/v1/profile/config", 200)["balance"])
    assert before - after == sandbox.charged_usd() > 0
    assert [entry["number"] for entry in sandbox.ledger()] == numbers


def test_the_official_sdk_works_on_the_sandbox(sandbox: Sandbox) -> None:
    sdk = Wavix(base_url=sandbox.url, token=SANDBOX_KEY, max_retries=0)
    country = next(one for one in sdk.buy.countries.list().countries if one.name == "United States")
    region = next(one for one in sdk.buy.regions.list(country.id).regions if one.name == "California")
    city = next(one for one in sdk.buy.region_cities.list(country.id, region.id).cities if one.name == "LOS ANGELES, CA")
    numbers = [one.number for one in sdk.buy.numbers.list(country.id, city.id).dids[:2]]
    sdk.cart.add(ids=numbers)
    assert {one.number for one in sdk.cart.get().dids} == set(numbers)
    assert sdk.cart.checkout(ids=numbers).success
    owned = sdk.numbers.list().items
    assert {one.number for one in owned} == set(numbers)
    route = [NumberDestination(transport=1, destination="pbx@example.net", priority=1)]
    sdk.numbers.bulk_update(ids=[one.id for one in owned], destinations=route)
    assert {one.destination[0].destination for one in sdk.numbers.list().items} == {"pbx@example.net"}
    sdk.numbers.delete(ids=[one.id for one in owned])
    assert sdk.numbers.list().items == []
