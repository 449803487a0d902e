"""A sandbox process that was started with profiles behaves as they say."""

import httpx

from worker.local.stack import LocalStack
from worker.wavix.sandbox.options import SANDBOX_KEY

DIDS = "/v1/buy/countries/8652/{}/200/dids"


def test_a_sandbox_command_takes_its_profiles() -> None:
    arguments = ("--port", "0", "--numbers-per-city", "3", "--profile", "city-route", "--profile", "funds-402", "--balance", "0")
    with (
        LocalStack(processes=0, redis_url="unix:///unused", sandbox=arguments) as stack,
        httpx.Client(base_url=stack.sandbox_url or "", params={"appid": SANDBOX_KEY}) as client,
    ):
        assert client.get(DIDS.format("cities")).status_code == 404
        number = client.get(DIDS.format("city")).json()["dids"][0]["number"]
        client.put("/v1/buy/cart", json={"ids": [number]})
        assert client.post("/v1/buy/cart/checkout", json={"ids": [number]}).status_code == 402
