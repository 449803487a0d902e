"""Bad input: each has its own status, and every fault is named at once."""

import json
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.http_server import WITHIN_S, Api
from tests.support.ledger_roles import submitted

PATH = "/v1/jobs"
JSON = {"Content-Type": "application/json", "Idempotency-Key": "bad"}


def faults(answer: object) -> dict[str, str]:
    """Where and which kind."""
    found: dict[str, str] = {
        fault.get("pointer", fault.get("parameter")): fault["code"]
        for fault in answer.json()["errors"]  # type: ignore[attr-defined]
    }
    return found


def test_a_fault_of_ours_is_a_problem_without_its_details(api: Api) -> None:
    job_id = submitted(api.ledger).id
    api.ledger.client.xadd(api.ledger.keys.steps(job_id), {"at": "1", "name": "bind", "calls": "[1"})
    answer = httpx.get(f"{api.url}/v1/jobs/{job_id}/steps", headers=dict(api.http.headers), timeout=WITHIN_S, trust_env=False)
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert (answer.json()["code"], answer.json()["request_id"]) == ("internal_error", answer.headers["x-request-id"])
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "line 1 column 2"),
        (b"\xff", "UTF-8"),
        (b'{"request":{"country":"US","country":"CA"}}', "twice"),
        (b'{"request":{"country":"US","max_monthly_usd":NaN}}', "NaN"),
        (b'{"priority":1e999}', "too large"),
        (b'{"priority":' + b"9" * 5000 + b"}", "too long"),
        (b"[" * 100_000, "nested"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "nested"),
        (b"\xef\xbb\xbf{}", "JSON"),
    ],
)
def test_what_is_not_one_json_document_is_400(api: Api, body: bytes, words: str) -> None:
    answer = api.http.post(PATH, content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (400, "not_json")
    assert words in answer.json()["detail"]


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/xml", "application/json; charset=latin-1", "multipart/form-data"]
)
def test_another_type_is_415(api: Api, content_type: str | None) -> None:
    headers = {"Idempotency-Key": "bad"} | ({"Content-Type": content_type} if content_type else {})
    answer = api.http.post(PATH, content=b'{"request":{"kind":"search_and_buy","country":"US"}}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_a_large_body_is_413_however_it_comes(api: Api) -> None:
    large = b" " * 10_000_001
    for content in (large, iter([large])):
        answer = api.http.post(PATH, content=content, headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_every_fault_is_named_at_once(api: Api) -> None:
    body = {
        "request": {"kind": "search_and_buy", "quantity": 0, "quantitty": 3, "max_monthly_usd": "a lot", "city": ["x" * 201]},
        "reference": "a\u0000b",
        "account": "",
        "priority": 10,
        "not_before": "tomorrow",
        "a/b~c": 1,
    }
    answer = api.http.post(f"{PATH}?wait=-1&waits=1", json=body, headers=JSON)
    assert answer.status_code == 422
    assert faults(answer) == {"waits": "extra_forbidden", "wait": "greater_than_equal"}
    answer = api.http.post(f"{PATH}?wait=-1", json=body, headers=JSON)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert set(faults(answer)) == {
        *("wait", "/request/country", "/request/quantity", "/request/quantitty", "/request/max_monthly_usd", "/request/city/0"),
        *("/reference", "/account", "/priority", "/not_before", "/a~1b~0c"),
    }
    steps = {fault.get("pointer"): fault["next_step"] for fault in answer.json()["errors"]}
    assert steps["/request/quantitty"] == "leave it out, or write quantity"
    assert all(steps.values())


def test_faults_between_fields_and_of_the_ledger_are_named_too(api: Api) -> None:
    body: dict[str, object] = {"request": {"country": "US", "quantity": 2, "at_least": 3}}
    assert faults(api.http.post(f"{PATH}/search-and-buy", json=body, headers=JSON)) == {"/request": "value_error"}
    body = {"request": {"numbers": ["+12135550100"]}, "not_before": "2099-01-01T00:00:00Z"}
    assert set(faults(api.http.post(f"{PATH}/release", json=body, headers=JSON))) == {"/not_before"}
    body = {"request": {"numbers": ["+12135550100"], "at": "2020-01-01"}}
    assert set(faults(api.http.post(f"{PATH}/release", json=body, headers=JSON))) == {"/request/at"}


@pytest.mark.parametrize(
    "body", [[], "text", 1, None, {}, {"request": []}, {"request": {"kind": "nothing"}}, {"request": {"kind": ["release"]}}]
)
def test_another_shape_is_422(api: Api, body: object) -> None:
    answer = api.http.post(PATH, content=json.dumps(body).encode(), headers=JSON)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"]


def test_a_lone_surrogate_is_no_text(api: Api) -> None:
    answer = api.http.post(f"{PATH}/search-and-buy", content=rb'{"request":{"country":"\ud800"}}', headers=JSON)
    assert (answer.status_code, set(faults(answer))) == (422, {"/request/country"})


@pytest.mark.parametrize("key", ["", "x" * 201, "a\tb", "\u00e9" * 201])
def test_a_key_that_cannot_be_stored_is_named(api: Api, key: str) -> None:
    headers = [(b"Idempotency-Key", key.encode()), (b"Content-Type", b"application/json")]
    answer = api.http.post(f"{PATH}/search-and-buy", content=b'{"request":{"country":"US"}}', headers=headers)
    assert (answer.status_code, set(faults(answer))) == (422, {"Idempotency-Key"})


def test_a_key_may_be_any_text(api: Api) -> None:
    headers = [(b"Idempotency-Key", "Größe 7 ✓".encode()), (b"Content-Type", b"application/json")]
    answer = api.http.post(f"{PATH}/search-and-buy", content=b'{"request":{"country":"US"}}', headers=headers)
    assert (answer.status_code, answer.json()["idempotency_key"]) == (202, "Größe 7 ✓")
    assert api.ledger.get(answer.json()["id"]).idempotency_key == "Größe 7 ✓"


@pytest.mark.long
def test_a_hundred_thousand_numbers_are_taken_and_one_more_is_not(api: Api) -> None:
    numbers = [f"+1213{place:07}" for place in range(2_000_000, 2_100_001)]
    body = {"request": {"numbers": numbers, "expected_count": 1, "dry_run": True}}
    answer = api.http.post(f"{PATH}/release", json=body)
    assert (answer.status_code, faults(answer)) == (422, {"/request/numbers": "too_long"})
    body["request"] = {"numbers": numbers[1:], "dry_run": True}
    answer = api.http.post(f"{PATH}/release", json=body)
    assert answer.status_code == 202, answer.text[:300]
    assert len(answer.json()["request"]["numbers"]) == 100_000


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/nothing", 404), ("DELETE", "/v1/jobs", 405), ("GET", "/nothing", 404)])
def test_other_paths_and_methods_are_problems_too(api: Api, method: str, path: str, status: int) -> None:
    answer = api.http.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/jobs", "GET, POST"),
        ("/v1/jobs/release", "POST"),
        ("/v1/failover-plans/a", "DELETE, GET, PUT"),
        ("/v1/incidents/a", "GET"),
        ("/v1/incidents/a/cancel", "POST"),
        ("/v1/console/sessions/end", "POST"),
        ("/v1/console/sessions/a", "DELETE"),
        ("/metrics", "GET"),
    ],
)
@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "HEAD"])
def test_another_method_is_answered_with_those_that_there_are(api: Api, method: str, path: str, allowed: str) -> None:
    answer = api.http.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def test_a_request_has_the_id_that_it_was_given(api: Api) -> None:
    assert api.http.get("/v1/jobs", headers={"X-Request-Id": "trace-7"}).headers["x-request-id"] == "trace-7"
    for strange in ("a b", "x" * 101, "<script>"):
        given = api.http.get("/v1/jobs", headers={"X-Request-Id": strange}).headers["x-request-id"]
        assert given != strange
        assert len(given) == 32


def test_a_client_that_leaves_while_it_waits_stops_nothing(api: Api) -> None:
    url = urlsplit(api.url)
    body = json.dumps({"request": {"country": "US", "dry_run": True}, "reference": "left"}).encode()
    key = api.http.headers["authorization"]
    head = f"POST /v1/jobs/search-and-buy?wait=60 HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((url.hostname or "", url.port or 0)) as raw:
        raw.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        while not (found := api.http.get("/v1/jobs", params={"reference": "left"}).json()["jobs"]):
            pass
    assert api.ledger.get(found[0]["id"]).state == "queued"
    assert api.http.get(f"/v1/jobs/{submitted(api.ledger).id}").status_code == 200


def test_each_fault_of_a_selector_is_named(api: Api) -> None:
    selector = {
        "unused_fro": "30d",
        "channels_min": "many",
        "paid_until_after": "2026-12-02T00:00Z",
        "paid_until_before": "2026-12-01T00:00Z",
    }
    answer = api.http.post("/v1/jobs/release", json={"request": {"selector": selector, "expected_count": 1}}, headers=JSON)
    assert answer.status_code == 422
    assert {"/request/selector/unused_fro", "/request/selector/channels_min", "/request/selector"} <= faults(answer).keys()
    good = {"selector": {"unused_for": "30d", "reference": "acme"}, "expected_count": 1}
    answer = api.http.post("/v1/jobs/release", json={"request": good}, headers=JSON | {"Idempotency-Key": "a-selector"})
    assert answer.status_code == 202
    given = {name: value for name, value in answer.json()["request"]["selector"].items() if value}
    assert given == {"unused_for": "P30D", "reference": "acme"}


@pytest.mark.parametrize(
    ("path", "body", "where", "step"),
    [
        (PATH, {"request": {"kind": "search_and_buy", "country": "US", "quantitty": 2}}, "/request/quantitty", "or write quantity"),
        (f"{PATH}/search-and-buy", {"request": {"country": "US", "quantitty": 2}}, "/request/quantitty", "or write quantity"),
        (f"{PATH}/reroute", {"request": {"selector": {"countryy": "US"}}}, "/request/selector/countryy", "or write country"),
        (PATH, {"country": "US", "quantity": 2}, "/quantity", "put it into request"),
        ("/v1/webhooks", {"name": "a", "url": "https://a.example.net/", "typs": []}, "/typs", "or write types"),
    ],
)
def test_a_field_that_does_not_exist_is_answered_with_the_one_that_is_meant(
    api: Api, path: str, body: dict[str, object], where: str, step: str
) -> None:
    answer = api.http.post(path, json=body, headers=JSON)
    assert answer.status_code == 422
    assert {one["pointer"]: one["next_step"] for one in answer.json()["errors"]}[where].endswith(step)


@pytest.mark.parametrize(("kind", "nearest"), [("buy", "search-and-buy"), ("relleasee", "release"), ("search_and_buy", "search-and-buy")])
def test_a_submit_to_an_unknown_kind_is_404_with_the_kinds(api: Api, kind: str, nearest: str) -> None:
    answer = api.http.post(f"{PATH}/{kind}", json={"request": {"country": "US"}}, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_kind")
    assert f"did you mean POST /v1/jobs/{nearest}?" in answer.json()["detail"]
    assert "search-and-buy, reroute, failback, release" in answer.json()["detail"]
    assert api.http.post(f"{PATH}/zzz", json={}, headers=JSON).json()["detail"].startswith("there is no kind of job 'zzz': use one of ")


@pytest.mark.parametrize(
    ("path", "listed"),
    [("jobs/a", "jobs"), ("incidents/a", "incidents"), ("webhooks/a", "webhooks"), ("failover-plans/a", "failover-plans")],
)
def test_a_404_says_where_this_api_lists_what_there_is(api: Api, path: str, listed: str) -> None:
    answer = api.http.get(f"/v1/{path}")
    assert answer.status_code == 404
    assert f"`GET /v1/{listed}`" in answer.json()["detail"]
    assert "didflow " not in answer.json()["detail"]
    assert api.http.get(f"/v1/{listed}").status_code == 200


def test_a_parameter_that_does_not_exist_is_named_with_every_other_fault(api: Api) -> None:
    answer = api.http.get("/v1/numbers?limit=0&zzz=red&countryy=US&wait=99")
    assert answer.status_code == 422
    assert {one["parameter"]: one["next_step"] for one in answer.json()["errors"]} == {
        "zzz": "leave it out: there is no such parameter",
        "countryy": "leave it out, or write country",
        "limit": "give at least 1",
        "wait": "give at most 30.0",
    }


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("numbers?limit=0&sort=nothing&parked=perhaps&country=&wait=99", {"limit", "sort", "parked", "country", "wait"}),
        ("numbers?limit=0&without=colour&zzz=1", {"limit", "without", "zzz"}),
        ("numbers/totals?renewal_days=-1&parked=perhaps", {"renewal_days", "parked"}),
        ("jobs?limit=0&cursor=abc", {"limit", "cursor"}),
        ("jobs/j-1/numbers?limit=0&cursor=abc", {"limit", "cursor"}),
        ("jobs/j-1/evidence?limit=0&cursor=abc", {"limit", "cursor"}),
        ("routes?limit=0&cursor=abc&at=yesterday", {"limit", "cursor", "at"}),
        ("routes/diff?limit=0&cursor=abc&first=yesterday", {"limit", "cursor", "first"}),
        ("webhooks/shop/deliveries?limit=0&cursor=abc", {"limit", "cursor"}),
    ],
)
def test_every_fault_of_a_query_is_named_at_once(api: Api, path: str, parameters: set[str]) -> None:
    """Also those of filters and cursors, which FastAPI doesn't know, and although what the path names isn't there."""
    answer = api.http.get(f"/v1/{path}")
    assert answer.status_code == 422, answer.text
    assert {one["parameter"] for one in answer.json()["errors"]} == parameters, answer.text
