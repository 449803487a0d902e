"""A field that doesn't exist is answered with the name that is meant, at any depth, or with the place where it belongs."""

from typing import Any

import pytest

from didflow import InvalidRequest, Reroute, SearchAndBuy
from didflow.contract.job_kinds import parse_request
from producers.http.orders import any_order, order_of

BUY = {"kind": "search_and_buy", "country": "US"}


@pytest.mark.parametrize(
    ("fields", "field", "step"),
    [
        ({"request": BUY | {"quantitty": 2}}, "quantitty", "leave it out, or write quantity"),
        ({"request": BUY | {"ladder": [{"citty": "Miami"}]}}, "citty", "leave it out, or write city"),
        ({"request": {"kind": "reroute", "destinations": [{"destinatoin": "x"}]}}, "destinatoin", "leave it out, or write destination"),
        ({"request": {"kind": "reroute", "selector": {"countryy": "US"}}}, "countryy", "leave it out, or write country"),
        ({"request": BUY | {"priority": 1}}, "priority", "put it beside request"),
        ({"request": {"kind": "reroute", "selector": {"canary": 1}}}, "canary", "put it beside selector"),
        ({"request": {"kind": "reroute", "country": "US"}}, "country", "put it into selector"),
        ({"country": "US", "quantity": 2}, "quantity", "put it into request"),
        ({"quantitty": 2}, "quantitty", "put it into request, as quantity"),
        ({"prioritty": 1, "request": BUY}, "prioritty", "leave it out, or write priority"),
        ({"request": BUY | {"zzz": 1}}, "zzz", "leave it out: there is no such field"),
    ],
)
def test_the_next_step_names_the_field_that_is_meant(fields: dict[str, Any], field: str, step: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        any_order().model_validate(fields)
    assert {fault.path.rpartition(".")[2]: fault.next_step for fault in refused.value.faults}[field] == step


@pytest.mark.parametrize("build", [SearchAndBuy.model_validate, parse_request])
def test_a_client_gets_the_same_step(build: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        build(BUY | {"quantitty": 2, "ladder": [{"quantitty": 1}]})
    assert [fault.next_step for fault in refused.value.faults] == ["leave it out, or write quantity"] * 2


def test_a_kind_that_the_path_names_has_fields_of_its_own() -> None:
    with pytest.raises(InvalidRequest) as refused:
        order_of(Reroute).model_validate({"request": {"destinatoins": []}})
    assert "leave it out, or write destinations" in [fault.next_step for fault in refused.value.faults]
