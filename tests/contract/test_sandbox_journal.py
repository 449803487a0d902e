"""The sandbox remembers what came for each number, what that did, and what it answered, so that a failure can be explained."""

from typing import Any

import httpx
import pytest

from tests.support.cluster import until
from worker.wavix.sandbox import Sandbox
from worker.wavix.sandbox.options import SANDBOX_KEY


def reported(entries: list[dict[str, Any]]) -> list[tuple[str, str, int | None, int | None]]:
    return [(one["call"], one["fault"], one["acted"], one["answered"]) for one in entries]


def test_a_number_s_calls_are_kept_with_what_they_did_and_what_was_answered(sandbox: Sandbox) -> None:
    with httpx.Client(base_url=sandbox.url, params={"appid": SANDBOX_KEY}) as client:
        number = client.get("/v1/buy/countries/8652/cities/200/dids").json()["dids"][0]["number"]
        client.put("/v1/buy/cart", json={"ids": [number]})
        sandbox.add_fault("checkout", "act_and_drop")
        with pytest.raises(httpx.TransportError):
            client.post("/v1/buy/cart/checkout", json={"ids": [number]})
        record_id = sandbox.owned()[number]["record_id"]
        client.get(f"/v1/mydids/{record_id}")
        sandbox.add_fault("release", "refuse", status=422)
        client.delete("/v1/mydids", params={"ids": [record_id]})
    calls = sandbox.calls([f"+{number}"])
    assert reported(calls[number]) == [
        ("cart_put", "", 200, 200),
        ("checkout", "act_and_drop", 201, None),
        ("owned_one", "", 200, 200),
        ("release", "refuse", None, 422),
    ]
    assert reported(calls[""]) == [("dids", "", 200, 200)]
    assert calls[number][2]["path"] == f"/v1/mydids/{record_id}"
    assert all(0 <= one["ended_s"] - one["came_s"] < 60 for one in calls[number])
    assert SANDBOX_KEY not in str(calls)


def test_what_acts_late_is_kept_when_it_acts(sandbox: Sandbox) -> None:
    with httpx.Client(base_url=sandbox.url, params={"appid": SANDBOX_KEY}) as client:
        number = client.get("/v1/buy/countries/8652/cities/200/dids").json()["dids"][0]["number"]
        sandbox.add_fault("cart_put", "act_late", seconds=0.05)
        with pytest.raises(httpx.TransportError):
            client.put("/v1/buy/cart", json={"ids": [number]})
        until(lambda: len(sandbox.calls([number])[number]) == 2, what="the late act")
        calls = reported(sandbox.calls([number])[number])
    assert calls == [("cart_put", "act_late", None, None), ("cart_put", "acted_late", 200, None)]
