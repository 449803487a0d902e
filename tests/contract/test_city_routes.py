"""A city's numbers are found under either path, however a server answers the one that it doesn't have."""

import pytest
from pydantic import SecretStr

from didflow.contract.provider import NotThere
from worker.wavix.client import WavixClient
from worker.wavix.sandbox import Sandbox, SandboxOptions
from worker.wavix.sandbox.options import SANDBOX_KEY


@pytest.mark.parametrize("unknown_route", ["html", "json", "record_json"])
@pytest.mark.parametrize("city_route", ["cities", "city"])
def test_a_city_s_numbers_are_found_and_an_unknown_city_is_not_there(city_route: str, unknown_route: str) -> None:
    options = SandboxOptions(numbers_per_city=3, city_route=city_route, unknown_route=unknown_route)  # type: ignore[arg-type]
    with Sandbox(options) as sandbox:
        client = WavixClient(sandbox.url, SecretStr(SANDBOX_KEY), "mydids", timeout_s=2.0, read_backoff_s=0.01)
        with pytest.raises(NotThere):
            client.offers(8652, 999, sms_only=False, page=1)
        assert client.offers(8652, 200, sms_only=False, page=1).total == 3
        asked = sandbox.state()["calls"]["dids"]
        assert client.offers(8652, 200, sms_only=False, page=1).total == 3
        with pytest.raises(NotThere):
            client.offers(8652, 999, sms_only=False, page=1)
        assert sandbox.state()["calls"]["dids"] == asked + 2, "the path that works is remembered"
        client.close()
