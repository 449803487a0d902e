"""Keys of the HTTP API: what each allows and sees, how it ends, and where its secret never is."""

import json
import re
import time
from datetime import timedelta

import httpx
import pytest

from didflow.contract.api_keys import ApiKey, ApiScope, digest, new_key_id, new_secret
from didflow.contract.errors import ApiKeyNotFound, InvalidRequest
from didflow.ledger import api_keys
from tests.support.http_server import WITHIN_S, Api, serving
from tests.support.ledger_roles import submitted
from worker.local.embedded_valkey import EmbeddedValkey

READ = ApiScope.READ


def test_a_secret_has_256_bits() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(re.fullmatch(r"dfk_[A-Za-z0-9_-]{43}", secret) for secret in secrets)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "key_missing"),
        ("Bearer " + "dfk_" + "a" * 43, "key_unknown"),
        ("Bearer abc", "key_malformed"),
        ("Basic YTpi", "key_malformed"),
        ("Bearer", "key_malformed"),
    ],
)
def test_without_a_valid_key_it_is_401(api: Api, header: str | None, code: str) -> None:
    answer = httpx.get(f"{api.url}/v1/jobs", headers={} if header is None else {"Authorization": header}, trust_env=False, timeout=WITHIN_S)
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert answer.headers["www-authenticate"] == 'Bearer realm="didflow"'


def test_a_body_of_a_stranger_is_not_read(api: Api) -> None:
    answer = httpx.post(f"{api.url}/v1/jobs", content=b"{", headers={"Content-Type": "application/json"}, trust_env=False, timeout=WITHIN_S)
    assert answer.status_code == 401


def test_a_key_expires(api: Api) -> None:
    key = ApiKey(id=new_key_id(), name="short", scopes=frozenset({READ}))
    secret = api.ledger.perform(api_keys.create(api.ledger.commands, key, valid_for=timedelta(milliseconds=1)))
    time.sleep(0.002)
    with api.client(secret) as http:
        answer = http.get("/v1/jobs")
    assert (answer.status_code, answer.json()["code"]) == (401, "key_expired")


def test_a_revoked_key_is_refused_at_once(api: Api) -> None:
    with api.client(api.key("leaver", READ)) as http:
        assert http.get("/v1/jobs").status_code == 200
        api.ledger.perform(api_keys.revoke(api.ledger.commands, "leaver"))
        assert http.get("/v1/jobs").json()["code"] == "key_unknown"
    with pytest.raises(ApiKeyNotFound):
        api.ledger.perform(api_keys.revoke(api.ledger.commands, "leaver"))


def test_a_rotated_key_is_valid_beside_the_new_one_for_the_overlap(api: Api) -> None:
    old = api.key("rotating", READ)
    key, new = api.ledger.perform(api_keys.rotate(api.ledger.commands, "rotating", overlap=timedelta(hours=1)))
    for secret in (old, new):
        with api.client(secret) as http:
            assert http.get("/v1/jobs").status_code == 200
    (kept,) = (one for one in api.ledger.perform(api_keys.kept(api.ledger.commands)) if one.key.name == "rotating")
    assert (kept.key, kept.secrets, kept.expires_at) == (key, 2, None)
    api.ledger.perform(api_keys.rotate(api.ledger.commands, key.id, overlap=timedelta(0)))
    for secret in (old, new):
        with api.client(secret) as http:
            assert http.get("/v1/jobs").status_code == 401


def test_a_name_is_given_once(api: Api) -> None:
    api.key("twin", READ)
    with pytest.raises(InvalidRequest, match="a key has this name"):
        api.key("twin", READ)


def test_a_key_of_an_account_and_of_references_sees_only_those(api: Api) -> None:
    mine, other = (submitted(api.ledger, reference=reference).id for reference in ("shop-1", "other-1"))
    elsewhere = submitted(api.ledger, reference="shop-2", account="second").id
    with api.client(api.key("shop-only", READ, ApiScope.BUY, account="default", reference_prefix="shop-")) as http:
        assert http.get(f"/v1/jobs/{mine}").status_code == 200
        for hidden in (other, elsewhere):
            assert http.get(f"/v1/jobs/{hidden}").status_code == 404
            assert http.post(f"/v1/jobs/{hidden}/cancel").status_code == 404
        assert {job["id"] for job in http.get("/v1/jobs").json()["jobs"]} == {mine}
        for reference, account, status in (
            ("shop-3", "default", 202),
            ("other-3", "default", 403),
            (None, "default", 403),
            ("shop-3", "second", 403),
        ):
            body = {"request": {"country": "US", "dry_run": True}, "reference": reference, "account": account}
            answer = http.post("/v1/jobs/search-and-buy", json=body)
            assert (reference, account, answer.status_code) == (reference, account, status)


def test_a_key_of_references_releases_only_what_was_bought_for_them(api: Api) -> None:
    with api.client(api.key("shop-churn", ApiScope.RELEASE, reference_prefix="shop-")) as http:
        body = {"request": {"numbers": ["+12135550100"]}, "reference": "shop-1"}
        assert http.post("/v1/jobs/release", json=body, headers={"Idempotency-Key": "r-1"}).json()["code"] == "key_limited"
        body["request"] = {"numbers": ["+12135550100"], "expected_reference": "shop-1"}
        assert http.post("/v1/jobs/release", json=body, headers={"Idempotency-Key": "r-1"}).status_code == 202
    with pytest.raises(InvalidRequest, match="reroute"):
        ApiKey(id=new_key_id(), name="x", scopes=frozenset({ApiScope.REROUTE}), reference_prefix="shop-")


def test_a_key_has_a_rate(api: Api) -> None:
    with api.client(api.key("slow", READ, rate_per_s=0.01)) as http:
        assert http.get("/v1/jobs").status_code == 200
        refused = http.get("/v1/jobs")
    assert (refused.status_code, refused.json()["code"], refused.json()["retryable"]) == (429, "key_rate", True)
    assert 1 <= int(refused.headers["retry-after"]) <= 101


def test_its_last_use_is_noted_once_a_minute(api: Api) -> None:
    with api.client(api.key("used", READ)) as http:
        assert http.get("/v1/jobs").status_code == 200

        def used() -> object:
            return {kept.key.name: kept.last_used_at for kept in api.ledger.perform(api_keys.kept(api.ledger.commands))}["used"]

        first = used()
        assert first is not None
        assert http.get("/v1/jobs").status_code == 200
        assert used() == first


def test_a_secret_is_in_no_log_and_not_in_the_ledger(api: Api, capfd: pytest.CaptureFixture[str]) -> None:
    secret = api.key("quiet", READ, ApiScope.BUY)
    with api.client(secret) as http:
        http.get("/v1/jobs", params={"api_key": secret})
        http.get(f"/v1/jobs/{secret}")
        http.post("/v1/jobs", json={secret: 1})
        http.get(f"/{secret}")
        refused = http.get("/v1/jobs", headers={"Authorization": f"Basic {secret}"})
    assert secret not in refused.text
    captured = capfd.readouterr()
    assert "http.request" in captured.out + captured.err
    assert secret not in captured.out + captured.err
    client = api.ledger.client
    stored = json.dumps([[key, client.dump(key).decode("latin-1")] for key in client.keys(f"{api.ledger.keys.namespace}:*")])  # type: ignore[union-attr]
    assert secret not in stored
    assert client.hexists(api.ledger.keys.api_keys, digest(secret))


def test_before_any_key_only_this_machine_is_served(api: Api, valkey: EmbeddedValkey, namespace: str) -> None:
    ledger = type(api.ledger)(api.ledger.client, namespace, actor="ann")
    with serving(ledger, valkey.url, open_to="ann") as url, httpx.Client(base_url=url, trust_env=False, timeout=WITHIN_S) as http:
        job = http.post("/v1/jobs/search-and-buy", json={"request": {"country": "US", "dry_run": True}}).json()
        assert job["actor"] == "ann"
        for header in (
            {"Host": "evil.example"},
            {"X-Forwarded-For": "10.0.0.1"},
            {"Forwarded": "for=10.0.0.1"},
            {"Origin": "https://evil.example"},
        ):
            assert http.get("/v1/jobs", headers=header).json()["code"] == "not_local"
        key = ApiKey(id=new_key_id(), name="first", scopes=frozenset({READ}))
        ledger.perform(api_keys.create(ledger.commands, key))
        assert http.get("/v1/jobs").json()["code"] == "key_missing"
        ledger.perform(api_keys.revoke(ledger.commands, "first"))
        assert http.get("/v1/jobs").json()["code"] == "key_missing"
