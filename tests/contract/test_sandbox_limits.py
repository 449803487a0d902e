"""The sandbox is as slow and as strict as its options say."""

import time
from collections import Counter
from decimal import Decimal

import httpx
import pytest

from worker.wavix.sandbox import Sandbox, SandboxOptions
from worker.wavix.sandbox.options import SANDBOX_KEY


def test_above_its_rate_it_says_429_and_when_to_come_back() -> None:
    with Sandbox(SandboxOptions(rate_limit=5)) as sandbox, httpx.Client(base_url=sandbox.url, params={"appid": SANDBOX_KEY}) as client:
        answers = [client.get("/v1/profile/config") for _ in range(12)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert Counter(answer.status_code for answer in answers)[200] in range(5, 8)
        assert len(refused) + 7 >= len(answers)
        time.sleep(float(refused[-1].headers["Retry-After"]))  # What it says is what is tested.
        assert client.get("/v1/profile/config").status_code == 200


def test_every_call_takes_its_latency() -> None:
    with Sandbox(SandboxOptions(latency_ms=80)) as sandbox, httpx.Client(base_url=sandbox.url, params={"appid": SANDBOX_KEY}) as client:
        began_s = time.monotonic()
        assert client.get("/v1/profile/config").status_code == 200
        assert time.monotonic() - began_s >= 0.08


@pytest.mark.parametrize("html", [False, True])
def test_a_call_may_act_and_then_be_refused(sandbox: Sandbox, html: bool) -> None:
    with httpx.Client(base_url=sandbox.url, headers={"Authorization": f"Bearer {SANDBOX_KEY}"}) as http:
        number = http.get("/v1/buy/countries/8652/cities/200/dids").json()["dids"][0]["number"]
        assert http.put("/v1/buy/cart", json={"ids": [number]}).status_code == 200
        sandbox.add_fault("checkout", "act_then_refuse", status=503, html=html, headers={"Retry-After": "7"})
        answer = http.post("/v1/buy/cart/checkout", json={"ids": [number]})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert answer.headers["Content-Type"] == ("text/html" if html else "application/json")
    assert list(sandbox.owned()) == [number]


@pytest.mark.parametrize("words_in", ["message", "error", "error_dids", "nothing"])
@pytest.mark.parametrize("status", [400, 402, 403, 422])
def test_a_checkout_without_funds_is_refused_in_every_published_way(status: int, words_in: str) -> None:
    options = SandboxOptions(balance_usd=Decimal("0.10"), funds_status=status, funds_words_in=words_in)  # type: ignore[arg-type]
    with Sandbox(options) as sandbox, httpx.Client(base_url=sandbox.url, params={"appid": SANDBOX_KEY}) as http:
        number = http.get("/v1/buy/countries/8652/cities/200/dids").json()["dids"][0]["number"]
        http.put("/v1/buy/cart", json={"ids": [number]})
        answer = http.post("/v1/buy/cart/checkout", json={"ids": [number]})
        assert answer.status_code == status
        assert ("Insufficient funds" in answer.text) == (words_in != "nothing")
        assert answer.json().get("error_dids") == ([number] if words_in == "error_dids" else None)
        assert not sandbox.owned()
