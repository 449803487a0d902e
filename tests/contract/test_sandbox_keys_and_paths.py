"""The sandbox takes a key where its options say, under the paths that they say, and for what its scopes allow."""

from itertools import product

import httpx
import pytest

from worker.wavix.sandbox import Sandbox, SandboxOptions
from worker.wavix.sandbox.options import SANDBOX_KEY

PATHS = {"mydids": "/v1/mydids", "numbers": "/v1/numbers"}
KEYS: dict[str, dict[str, dict[str, str]]] = {
    "query": {"params": {"appid": SANDBOX_KEY}},
    "bearer": {"headers": {"Authorization": f"Bearer {SANDBOX_KEY}"}},
}


@pytest.mark.parametrize(("path", "key_place"), list(product(["mydids", "numbers", "both"], ["query", "bearer", "both"])))
def test_each_combination_of_path_and_key_place_can_be_played(path: str, key_place: str) -> None:
    with Sandbox(SandboxOptions(numbers_per_city=1, path=path, key_place=key_place)) as sandbox:  # type: ignore[arg-type]
        for family, place in product(PATHS, KEYS):
            known = 404 if path not in (family, "both") else 401 if key_place not in (place, "both") else 200
            assert httpx.get(sandbox.url + PATHS[family], **KEYS[place]).status_code == known  # type: ignore[arg-type]


def test_the_status_for_a_key_that_is_not_taken_is_an_option() -> None:
    with Sandbox(SandboxOptions(numbers_per_city=1, key_place="bearer", key_status=403)) as sandbox:
        assert httpx.get(sandbox.url + "/v1/trunks", **KEYS["query"]).status_code == 403  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "body"), [("json", "status"), ("record_json", "success")])
def test_an_unknown_path_answers_as_the_option_says(kind: str, body: str) -> None:
    with Sandbox(SandboxOptions(numbers_per_city=1, path="numbers", unknown_route=kind)) as sandbox:  # type: ignore[arg-type]
        answer = httpx.get(sandbox.url + "/v1/mydids", **KEYS["query"])  # type: ignore[arg-type]
        assert answer.status_code == 404
        assert body in answer.json()


def test_a_call_needs_a_scope_of_the_key() -> None:
    options = SandboxOptions(numbers_per_city=1, scopes={"default": ("numbers:read", "buy")})
    with Sandbox(options) as sandbox, httpx.Client(base_url=sandbox.url, **KEYS["bearer"]) as client:  # type: ignore[arg-type]
        reads = [client.get(path) for path in ("/v1/numbers", "/v1/buy/countries", "/v1/trunks", "/v1/profile/config")]
        assert [one.status_code for one in reads] == [200, 200, 403, 403]
        assert client.delete("/v1/numbers", params={"ids": 1}).json()["message"] == "The API key lacks the scope numbers:write"
        assert client.put("/v1/buy/cart", json={"ids": ["1"]}).status_code == 404
