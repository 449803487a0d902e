"""The sandbox is as slow and as strict as it is told to be."""

import time
from collections import Counter

import httpx

from worker.wavix.sandbox import Sandbox, SandboxOptions
from worker.wavix.sandbox.options import SANDBOX_KEY


def test_above_its_rate_it_says_429_and_when_to_come_back() -> None:
    with Sandbox(SandboxOptions(rate_limit=5)) as sandbox, httpx.Client(base_url=sandbox.url, params={"appid": SANDBOX_KEY}) as client:
        answers = [client.get("/v1/profile/config") for _ in range(12)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert Counter(answer.status_code for answer in answers)[200] in range(5, 8)
        assert len(refused) + 7 >= len(answers)
        time.sleep(float(refused[-1].headers["Retry-After"]))
        assert client.get("/v1/profile/config").status_code == 200


def test_every_call_takes_its_latency() -> None:
    with Sandbox(SandboxOptions(latency_ms=80)) as sandbox, httpx.Client(base_url=sandbox.url, params={"appid": SANDBOX_KEY}) as client:
        began_s = time.monotonic()
        assert client.get("/v1/profile/config").status_code == 200
        assert time.monotonic() - began_s >= 0.08
