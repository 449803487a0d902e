"""Keys of the HTTP API: what each allows and sees, how it ends, and where its secret never is."""

import itertools
import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest

from didflow.contract.api_keys import ApiKey, ApiScope, KeptKey, digest, new_key_id, new_secret
from didflow.contract.errors import ApiKeyNotFound, InvalidRequest
from didflow.ledger import api_keys, console_sessions
from didflow.ledger.ledger import Ledger
from tests.support.cluster import until
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


def test_a_key_is_not_taken_for_another_one_that_is_named_as_its_id(api: Api) -> None:
    """The console names keys by their ids, and a name is anything."""
    mine = ApiKey(id=new_key_id(), name="mine", scopes=frozenset({READ}))
    old = api.ledger.perform(api_keys.create(api.ledger.commands, mine))
    strange = api.key(mine.id, READ)
    strange_key = next(one.key for one in api.ledger.perform(api_keys.kept(api.ledger.commands)) if one.key.name == mine.id)
    api.ledger.perform(console_sessions.create(api.ledger.commands, strange_key))
    key, new = api.ledger.perform(api_keys.rotate(api.ledger.commands, mine.id, overlap=timedelta(0)))
    assert key == mine
    assert answered(api, old, new, strange) == [401, 200, 200]
    assert api.http.post("/v1/console/sessions/end", json={"key": mine.id}).json() == {"ended": 0}
    api.ledger.perform(api_keys.revoke(api.ledger.commands, mine.id))
    assert answered(api, new, strange) == [401, 200]
    api.ledger.perform(api_keys.revoke(api.ledger.commands, mine.id))
    assert answered(api, strange) == [401]


def answered(api: Api, *secrets: str) -> list[int]:
    """The status that each secret gets."""
    found = []
    for secret in secrets:
        with api.client(secret) as http:
            found.append(http.get("/v1/jobs").status_code)
    return found


@pytest.mark.parametrize("valid_for", [None, timedelta(days=9)])
def test_a_rotated_key_expires_when_it_would_have_unless_it_gets_another_time(api: Api, valid_for: timedelta | None) -> None:
    commands, name = api.ledger.commands, f"expires {valid_for}"
    key = ApiKey(id=new_key_id(), name=name, scopes=frozenset({READ}))
    api.ledger.perform(api_keys.create(commands, key, valid_for=timedelta(days=3)))

    def kept() -> KeptKey:
        return next(one for one in api.ledger.perform(api_keys.kept(commands)) if one.key.name == name)

    first = kept().expires_at
    for _ in range(3):  # Also those of one millisecond.
        api.ledger.perform(api_keys.rotate(commands, name, overlap=timedelta(hours=1), valid_for=valid_for))
    assert first is not None
    assert kept().secrets == 4
    assert (kept().expires_at == first) is (valid_for is None)
    if valid_for is not None:
        assert kept().expires_at > first + timedelta(days=5)  # type: ignore[operator]


def test_nothing_is_kept_of_a_key_that_has_expired(api: Api) -> None:
    key = ApiKey(id=new_key_id(), name="gone", scopes=frozenset({READ}), rate_per_s=5)
    secret = api.ledger.perform(api_keys.create(api.ledger.commands, key, valid_for=timedelta(days=1)))
    with api.client(secret) as http:
        assert http.get("/v1/jobs").status_code == 200
    client, keys = api.ledger.client, api.ledger.keys
    noted = (keys.api_keys_used, keys.api_keys_sent)
    assert [client.hexists(name, key.id) for name in noted] == [True, True]
    record = json.loads(str(client.hget(keys.api_keys, digest(secret))))
    client.hset(keys.api_keys, digest(secret), json.dumps({**record, "until_ms": 1}))
    api.key("after it", READ)
    assert [client.hexists(name, key.id) for name in noted] == [False, False]


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


def test_a_key_has_one_rate_over_all_servers(api: Api, valkey: EmbeddedValkey) -> None:
    """Three at once, and then no more for a long time, whichever server is asked."""
    secret = api.key("slow", READ, rate_per_s=3)
    far = api.ledger.keys.api_keys_sent
    with api.client(secret) as one, serving(api.ledger, valkey.url) as url, api.client(secret) as two:
        two.base_url = url
        assert [http.get("/v1/jobs").status_code for http in (one, two)] == [200, 200]
        ((key_id, _),) = api.ledger.client.hscan_iter(far, match=key_of(api, "slow"))
        # As many as it may were sent just now, so that the time that the test takes plays no part.
        api.ledger.client.hset(far, key_id, 2**52)
        for http in (one, two):
            refused = http.get("/v1/jobs")
            assert (refused.status_code, refused.json()["code"], refused.json()["retryable"]) == (429, "key_rate", True)
            assert refused.headers["retry-after"] == "1"


def test_a_rate_below_one_a_second_says_when_the_next_one_is(api: Api) -> None:
    with api.client(api.key("very slow", READ, rate_per_s=0.01)) as http:
        assert http.get("/v1/jobs").status_code == 200
        assert 90 <= int(http.get("/v1/jobs").headers["retry-after"]) <= 100


def key_of(api: Api, name: str) -> str:
    return next(one.key.id for one in api.ledger.perform(api_keys.kept(api.ledger.commands)) if one.key.name == name)


def test_a_key_costs_one_call_of_redis_for_each_request(api: Api) -> None:
    client: Any = api.ledger.client
    with api.client(api.key("counted", READ, rate_per_s=1000)) as http, client.monitor() as seen:
        http.get("/v1/nothing")  # From then on the server knows the script.
        client.get("the beginning")
        for _ in range(10):
            assert http.get("/v1/nothing").status_code == 404
        client.get("the end")
        assert any("the beginning" in one["command"] for one in iter(seen.next_command, None))
        commands = itertools.takewhile(lambda one: "the end" not in one["command"], iter(seen.next_command, None))
        sent = [one["command"].split()[0] for one in commands if one["client_type"] != "lua"]
        sent = [name for name in sent if name not in ("PING", "HELLO", "CLIENT", "SELECT")]  # Of a new connection.
    assert sent == ["EVALSHA"] * 10


def test_while_redis_takes_no_writes_reads_are_answered(api: Api) -> None:
    client: Any = api.ledger.client
    with api.client(api.key("reads", READ, rate_per_s=1000)) as http:
        client.config_set("min-replicas-to-write", 1)
        try:
            assert http.get("/v1/jobs").status_code == 200
            assert http.get("/metrics").status_code == 200
            refused = api.buy("not-now")
            assert (refused.status_code, refused.json()["code"]) == (503, "service_unavailable")
        finally:
            client.config_set("min-replicas-to-write", 0)
    assert api.http.get("/v1/jobs", params={"key": "not-now"}).json()["jobs"] == []


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


def test_of_two_first_keys_made_at_once_one_is_made(api: Api, valkey: EmbeddedValkey, namespace: str) -> None:
    """Both requests are let in without a key, and send their bodies only then."""
    ledger = type(api.ledger)(api.ledger.client, namespace, actor="ann")
    both_are_in = threading.Event()

    def create(url: str, name: str) -> httpx.Response:
        def body() -> Iterator[bytes]:
            yield b'{"scopes": ["admin"], '
            assert both_are_in.wait(WITHIN_S)
            yield f'"name": "{name}"}}'.encode()

        with httpx.Client(base_url=url, trust_env=False, timeout=WITHIN_S) as http:
            return http.post("/v1/keys", content=body(), headers={"Content-Type": "application/json"})

    with serving(ledger, valkey.url, open_to="ann") as url, ThreadPoolExecutor() as pool:
        httpx.get(f"{url}/v1/jobs", trust_env=False, timeout=WITHIN_S)  # Now the server knows the script that looks for a key.
        before = scripts_run(ledger)
        answers = [pool.submit(create, url, name) for name in ("mine", "theirs")]
        until(lambda: scripts_run(ledger) >= before + 2, WITHIN_S, "both requests' look for a key")
        both_are_in.set()
        made, refused = sorted((answer.result() for answer in answers), key=lambda answer: answer.status_code)
    assert (made.status_code, refused.status_code, refused.json()["code"]) == (201, 401, "key_missing")
    assert [one.key.name for one in ledger.perform(api_keys.kept(ledger.commands))] == [made.json()["key"]["name"]]


def scripts_run(ledger: Ledger) -> int:
    """How many scripts the server has run by their hash."""
    return int(ledger.client.info("commandstats")["cmdstat_evalsha"]["calls"])


def test_a_conflict_says_nothing_of_a_job_that_the_key_does_not_see(api: Api) -> None:
    taken = api.buy("taken-once", account="second").json()["id"]
    conflict = {"request": {"country": "FR"}, "account": "default"}
    headers = {"Idempotency-Key": "taken-once"}
    with api.client(api.key("other-account", ApiScope.BUY, account="default")) as http:
        hidden = http.post("/v1/jobs/search-and-buy", json=conflict, headers=headers)
    seen = api.http.post("/v1/jobs/search-and-buy", json=conflict, headers=headers)
    assert (hidden.status_code, hidden.json()["code"]) == (seen.status_code, seen.json()["code"]) == (422, "idempotency_conflict")
    assert taken in seen.text
    assert "second" in seen.text
    assert not any(word in hidden.text for word in (taken, "second", "US"))


MANY = [f"+1213{place:07}" for place in range(2_000_000, 2_002_001)]


@pytest.mark.parametrize(
    ("kind", "request_"),
    [
        ("search-and-buy", {"country": "US"}),
        ("search-and-buy", {"country": "CA"}),
        ("release", {"numbers": MANY, "expected_reference": "shop-1", "dry_run": True}),
    ],
    ids=["the same request", "another request", "the same very large request"],
)
def test_an_idempotency_key_of_a_job_that_a_key_does_not_see_shows_nothing_of_it(api: Api, kind: str, request_: dict[str, Any]) -> None:
    name = uuid.uuid4().hex
    first = {"country": "US"} if kind == "search-and-buy" else request_
    theirs = api.http.post(f"/v1/jobs/{kind}", json={"request": first, "reference": "other-1"}, headers={"Idempotency-Key": name})
    assert theirs.status_code == 202
    with api.client(api.key(name, ApiScope.BUY, ApiScope.RELEASE, reference_prefix="shop-")) as http:
        answer = http.post(f"/v1/jobs/{kind}", json={"request": request_, "reference": "shop-1"}, headers={"Idempotency-Key": name})
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_conflict")
    assert answer.json()["detail"].startswith("this idempotency key belongs to a job that your key doesn't see")
    assert theirs.json()["id"] not in answer.text
