"""Submits over HTTP: once for each idempotency key, whatever is repeated."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from didflow.contract.api_keys import ApiScope
from tests.support.http_server import Api
from tests.support.ledger_roles import claimed, finished


def new_key() -> str:
    return f"order-{uuid.uuid4().hex[:8]}"


def test_a_submit_is_a_job_with_its_location(api: Api) -> None:
    answer = api.buy(new_key(), reference="acme")
    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["kind"], job["state"], job["reference"], job["actor"]) == ("search_and_buy", "queued", "acme", "ops")
    assert api.http.get(answer.headers["location"]).json() == job


def test_a_kind_stands_in_the_path_or_in_the_request(api: Api) -> None:
    body = {"request": {"kind": "reroute", "numbers": ["+12135550100"], "destinations": [{"transport": 1, "destination": "a@example.net"}]}}
    one = api.http.post("/v1/jobs", json=body, headers={"Idempotency-Key": new_key()})
    assert (one.status_code, one.json()["kind"]) == (202, "reroute"), one.text
    del body["request"]["kind"]
    other = api.http.post("/v1/jobs/reroute", json=body, headers={"Idempotency-Key": new_key()})
    assert (other.status_code, other.json()["kind"]) == (202, "reroute")
    assert other.json()["request"] == one.json()["request"]


def test_a_server_that_forgot_the_script_gets_it_again(api: Api) -> None:
    """As after a restart of Redis."""
    key = new_key()
    for _ in range(2):
        api.ledger.client.script_flush()
        answer = api.buy(key)
        assert (answer.status_code, answer.json()["idempotency_key"]) == (202, key)


def test_the_same_key_and_request_is_the_same_job(api: Api) -> None:
    key = new_key()
    first, second = api.buy(key), api.buy(key)
    assert first.json()["id"] == second.json()["id"]
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"


def test_the_same_key_for_another_request_is_refused(api: Api) -> None:
    key = new_key()
    job_id = api.buy(key).json()["id"]
    other = api.http.post("/v1/jobs/search-and-buy", json={"request": {"country": "CA"}}, headers={"Idempotency-Key": key})
    problem = other.json()
    assert (other.status_code, other.headers["content-type"]) == (422, "application/problem+json")
    assert (problem["code"], problem["job_id"]) == ("idempotency_conflict", job_id)
    assert "country" in problem["detail"]


def test_fifty_at_once_with_one_key_are_one_job(api: Api) -> None:
    key = new_key()
    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(lambda _: api.buy(key), range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1


@pytest.mark.parametrize(
    ("path", "request_"),
    [
        ("search-and-buy", {"country": "US"}),
        ("release", {"numbers": ["+12135550100"]}),
        ("reroute", {"numbers": ["+12135550100"], "destinations": [{"transport": 1, "destination": "a@example.net"}]}),
        ("failback", {"job_id": "x"}),
    ],
)
def test_what_can_move_money_or_numbers_needs_a_key(api: Api, path: str, request_: dict[str, object]) -> None:
    answer = api.http.post(f"/v1/jobs/{path}", json={"request": request_})
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")
    assert answer.json()["errors"][0]["parameter"] == "Idempotency-Key"


def test_what_only_looks_needs_none(api: Api) -> None:
    bodies = (("search-and-buy", {"country": "US", "dry_run": True}), ("follow-documents", {"numbers": ["+12135550100"]}))
    for path, request in bodies:
        assert api.http.post(f"/v1/jobs/{path}", json={"request": request}).status_code == 202


def test_a_job_that_has_ended_is_answered_with_200(api: Api) -> None:
    key = new_key()
    job_id = api.buy(key).json()["id"]
    assert finished(api.ledger, claimed(api.ledger, job_id))
    again = api.buy(key)
    assert (again.status_code, again.json()["state"]) == (200, "succeeded")


def test_a_key_for_purchases_releases_nothing(api: Api) -> None:
    with api.client(api.key("shop", ApiScope.BUY)) as shop:
        body = {"request": {"numbers": ["+12135550100"]}}
        refused = shop.post("/v1/jobs/release", json=body, headers={"Idempotency-Key": new_key()})
        assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
        bought = shop.post("/v1/jobs/search-and-buy", json={"request": {"country": "US"}}, headers={"Idempotency-Key": new_key()})
        assert (bought.status_code, bought.json()["actor"]) == (202, "shop")


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_the_trace_context_of_the_request_is_the_jobs(api: Api) -> None:
    body = {"request": {"country": "US"}}

    def submitted_with(*traces: str) -> str | None:
        headers = [("Idempotency-Key", f"traced-{len(traces)}-{traces[:1]}"), *(("traceparent", trace) for trace in traces)]
        view = api.http.post("/v1/jobs/search-and-buy", json=body, headers=headers).json()
        return str(view["traceparent"]) if view["traceparent"] else None

    assert submitted_with(TRACE) == TRACE
    assert submitted_with() is None
    assert submitted_with("00-nonsense") is None
    assert submitted_with(TRACE, TRACE) is None, "several are none"


@pytest.mark.parametrize(
    ("parent", "states", "kept"),
    [
        (TRACE, ("rojo=00f067aa0ba902b7", "congo=t61rcWkgMzE"), "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        (TRACE, (), None),
        (TRACE, ("rojo=1,rojo=2",), None),
        ("00-nonsense", ("rojo=1",), None),
    ],
)
def test_the_trace_state_is_kept_beside_its_parent(api: Api, parent: str, states: tuple[str, ...], kept: str | None) -> None:
    headers = [("Idempotency-Key", f"state-{parent[:6]}-{states}"), ("traceparent", parent), *(("tracestate", one) for one in states)]
    view = api.http.post("/v1/jobs/search-and-buy", json={"request": {"country": "US"}}, headers=headers).json()
    assert view["tracestate"] == kept
    assert api.http.get(f"/v1/jobs/{view['id']}").json()["tracestate"] == kept
