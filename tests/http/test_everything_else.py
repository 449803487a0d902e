"""The other routes: each does what the client's method does, and names who asked."""

import json
from urllib.parse import quote

import pytest

from didflow.contract.api_keys import ApiScope
from didflow.contract.destinations import Destination
from didflow.contract.requests import Reroute
from didflow.contract.results import NumberResult, Result, Totals
from didflow.contract.states import JobState, Outcome
from didflow.ledger.gate import Findings, Gate
from didflow.ledger.script_calls import Submission
from tests.support.http_server import Api
from tests.support.ledger_roles import claimed, submitted

NUMBER = "+12135550100"
AWAY = {"numbers": [NUMBER], "destinations": [{"transport": 1, "destination": "a@example.net"}]}


def ended_with(api: Api, count: int) -> str:
    """A job that bought so many numbers."""
    job_id = submitted(api.ledger).id
    numbers = tuple(NumberResult(number=f"+1213555{place:04}", outcome=Outcome.BOUGHT) for place in range(count))
    assert api.ledger.finish(
        claimed(api.ledger, job_id), JobState.SUCCEEDED, Result(numbers=numbers, totals=Totals(requested=count, done=count))
    )
    return job_id


def bought_for(api: Api, reference: str) -> None:
    """The ledger knows of a number that was bought for this reference."""
    keys = api.ledger.keys
    api.ledger.client.hset(keys.holders, NUMBER, json.dumps({"record_id": "1", "account": "default", "reference": reference}))
    api.ledger.client.sadd(keys.holdings(reference), NUMBER)


def test_the_numbers_of_a_job_come_page_by_page(api: Api) -> None:
    path = f"/v1/jobs/{ended_with(api, 230)}/numbers"
    found, cursor, pages = [], "", 0
    while True:
        page = api.http.get(path, params={"cursor": cursor} if cursor else {}).json()
        found += [number["number"] for number in page["numbers"]]
        pages += 1
        if (cursor := page["next_cursor"] or "") == "":
            break
    assert (pages, len(found), len(set(found))) == (3, 230, 230)


def test_the_numbers_of_a_job_as_csv(api: Api) -> None:
    answer = api.http.get(f"/v1/jobs/{ended_with(api, 130)}/numbers", headers={"Accept": "text/csv"})
    lines = answer.text.splitlines()
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert (lines[0].split(",")[:3], lines[1].split(",")[:3], len(lines)) == (
        ["number", "record_id", "outcome"],
        ["+12135550000", "", "bought"],
        131,
    )


def test_a_quote_is_a_dry_run(api: Api) -> None:
    answer = api.http.post("/v1/quotes?wait=0", json={"request": {"country": "US"}, "reusable": True, "reference": "q"})
    assert (answer.status_code, answer.json()["request"]["dry_run"], answer.json()["request"]["reusable_quote"]) == (202, True, True)


def test_a_forged_quote_is_refused(api: Api) -> None:
    quote = {"numbers": [], "signature": "x"}
    answer = api.http.post("/v1/jobs/search-and-buy", json={"quote": quote}, headers={"Idempotency-Key": "forged"})
    assert (answer.status_code, {fault["pointer"] for fault in answer.json()["errors"]}) == (422, {"/quote"})


def test_an_incident_from_the_move_to_the_way_back(api: Api) -> None:
    moved = api.http.post("/v1/incidents/INC-1/move", json={"request": AWAY})
    assert (moved.status_code, moved.json()["kind"], moved.json()["actor"]) == (202, "reroute", "ops")
    assert api.http.post("/v1/incidents/INC-1/move", json={"request": AWAY}).json()["id"] == moved.json()["id"]
    other = {**AWAY, "numbers": ["+12135550101"]}
    assert api.http.post("/v1/incidents/INC-1/move", json={"request": other}).json()["code"] == "idempotency_conflict"
    assert [one["name"] for one in api.http.get("/v1/incidents").json()["incidents"]] == ["INC-1"]
    assert api.http.get("/v1/incidents/INC-1").json()["jobs"][0]["id"] == moved.json()["id"]
    ways = api.http.post("/v1/incidents/INC-1/failback", json={"dry_run": True}).json()["ways"]
    assert [(way["job"], way["failback"]) for way in ways] == [(moved.json()["id"], None)]
    assert api.http.post("/v1/incidents/INC-1/cancel").json()["jobs"][0]["state"] == "cancelled"
    assert api.ledger.get(moved.json()["id"]).decided_by == "ops"
    assert api.http.get("/v1/incidents/INC-9").status_code == 404


def test_a_name_may_have_any_characters(api: Api) -> None:
    name = "EU/7 ü?#%"
    place = quote(name, safe="")
    moved = api.http.post(f"/v1/incidents/{place}/move", json={"request": {**AWAY, "numbers": ["+12135550177"]}})
    assert (moved.status_code, moved.json()["reference"]) == (202, name), moved.text
    assert api.http.get(f"/v1/incidents/{place}").json()["name"] == name
    assert api.http.post(f"/v1/incidents/{place}/cancel").json()["jobs"][0]["state"] == "cancelled"
    bought_for(api, name)
    left = api.http.post(f"/v1/churn/{place}/left", json={}, headers={"Idempotency-Key": "left-odd"})
    assert (left.status_code, left.json()["reference"]) == (202, name)
    assert api.http.post(f"/v1/churn/{place}/returned", json={}).json()["called_off"] == [left.json()["id"]]


def test_a_failover_plan_is_saved_run_and_deleted(api: Api) -> None:
    saved = api.http.put("/v1/failover-plans/night", json={"request": AWAY})
    assert (saved.status_code, saved.json()["saved_by"], saved.json()["count"]) == (200, "ops", 0)
    assert [plan["name"] for plan in api.http.get("/v1/failover-plans").json()["plans"]] == ["night"]
    early = api.http.post("/v1/failover-plans/night/run", json={"incident": "INC-2"})
    assert early.status_code == 422, early.text
    assert api.http.get("/v1/failover-plans/night").json()["request"]["numbers"] == [NUMBER]
    assert api.http.delete("/v1/failover-plans/night").status_code == 204
    assert api.http.get("/v1/failover-plans/night").json()["code"] == "plan_not_found"
    decisions = api.http.get("/v1/decisions").json()["decisions"]
    assert ("plan delete", "night", "ops") in [(one["what"], one["subject"], one["actor"]) for one in decisions]


def test_a_customer_leaves_and_returns(api: Api) -> None:
    bought_for(api, "acme")
    without = api.http.post("/v1/churn/acme/left", json={})
    assert (without.status_code, without.json()["code"]) == (400, "idempotency_key_missing")
    left = api.http.post("/v1/churn/acme/left", json={"grace": "7d"}, headers={"Idempotency-Key": "left-acme"})
    assert (left.status_code, left.json()["kind"], left.json()["reference"]) == (202, "release", "acme"), left.text
    assert left.json()["actor"] == "ops"
    assert [one["job"] for one in api.http.get("/v1/churn/upcoming?days=30").json()["releases"]] == [left.json()["id"]]
    back = api.http.post("/v1/churn/acme/returned", json={}).json()
    assert (back["outcome"], back["called_off"]) == ("kept", [left.json()["id"]])
    nothing = api.http.post("/v1/churn/nobody/left", json={}, headers={"Idempotency-Key": "left-nobody"})
    assert nothing.status_code == 422


def test_the_history_and_the_inventory_are_read(api: Api) -> None:
    assert api.http.get(f"/v1/numbers/{NUMBER}/history").json()["entries"] == []
    assert api.http.get("/v1/numbers/abc/history").status_code == 422
    page = api.http.get("/v1/numbers", params={"status": "active", "channels_min": "2", "sms": "true", "limit": "10"})
    assert (page.status_code, page.json()["numbers"]) == (200, [])
    assert api.http.get("/v1/numbers/totals").json()["numbers"] == 0
    assert api.http.get(f"/v1/numbers/{NUMBER}").json()["number"] is None
    assert api.http.get("/v1/numbers", params={"without": "label, reference"}).status_code == 200
    assert api.http.get("/v1/numbers", params={"without": "label,price"}).json()["errors"][0]["parameter"] == "without"
    assert api.http.get("/v1/numbers", params={"label": ""}).status_code == 422
    wrong = api.http.get("/v1/numbers", params={"channels_min": "many", "sms": "maybe"})
    assert (wrong.status_code, {fault["parameter"] for fault in wrong.json()["errors"]}) == (422, {"channels_min", "sms"})
    assert api.http.get("/v1/numbers", params={"sort": "colour"}).json()["errors"][0]["parameter"] == "sort"
    assert api.http.get("/v1/numbers", params={"colour": "red"}).json()["errors"][0]["parameter"] == "colour"


def test_spending_is_read(api: Api) -> None:
    found = api.http.get("/v1/spending", params={"account": "default", "reference": "acme"}).json()["spending"]
    assert [(one["scope"], one["name"]) for one in found] == [("account", "default"), ("reference", "acme")]


def test_a_limited_key_reads_the_spending_of_its_own(api: Api) -> None:
    for limits, path, status in (
        ({"account": "default"}, "account=default", 200),
        ({"account": "default"}, "account=second", 403),
        ({"account": "default"}, "reference=shop-1", 403),
        ({"reference_prefix": "shop-"}, "reference=shop-1", 200),
        ({"reference_prefix": "shop-"}, "reference=shop-1&reference=other", 403),
    ):
        with api.client(api.key(f"spends {limits} {path}", ApiScope.READ, **limits)) as http:
            assert (limits, path, http.get(f"/v1/spending?{path}").status_code) == (limits, path, status)


def test_a_paused_account_and_a_closed_gate_are_seen_and_findings_accepted(api: Api) -> None:
    api.ledger.pause_account("second", 401, "wrong key")
    accounts = {one["name"]: one for one in api.http.get("/v1/accounts").json()["accounts"]}
    assert (accounts["second"]["state"]["paused"], accounts["default"]["gate_closed"]) == (True, False)
    found = Findings("default", {NUMBER: 7})
    api.ledger.client.hset(api.ledger.keys.gate("default"), "findings", json.dumps(found.as_fields()))
    strange = api.http.post("/v1/accounts/default/findings/accept", json={"numbers": ["+12135550199"]})
    assert strange.status_code == 422
    assert api.http.post("/v1/accounts/default/findings/accept", json={"numbers": [NUMBER]}).status_code == 200
    assert Gate(api.ledger).accepted("default") == {"7"}
    api.ledger.resume_account("second")


def test_a_dead_letter_is_replayed_or_dropped(api: Api) -> None:
    name = str(api.ledger.client.xadd(api.ledger.keys.poison, {"poison_entry": "1-1", "poison_group": "billing", "poison_reason": "x"}))
    assert [one["name"] for one in api.http.get("/v1/dead-letters").json()["poison"]] == [name]
    assert api.http.delete(f"/v1/dead-letters/{name}").status_code == 204
    assert api.http.delete(f"/v1/dead-letters/{name}").json()["code"] == "dead_letter_not_found"
    assert api.http.post("/v1/dead-letters/nothing/replay").status_code in (404, 422)


def test_the_follower_of_a_purchase(api: Api) -> None:
    assert api.http.get(f"/v1/jobs/{submitted(api.ledger).id}/documents").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/incidents", None),
        ("GET", "/v1/failover-plans", None),
        ("GET", "/v1/dead-letters", None),
        ("GET", "/v1/decisions", None),
        ("GET", f"/v1/numbers/{NUMBER}/history", None),
        ("GET", "/v1/numbers", None),
        ("GET", "/v1/spending", None),
        ("GET", "/v1/spending?reference=other", None),
        ("GET", "/v1/spending?account=default", None),
        ("POST", "/v1/churn/other/left", {}),
        ("POST", "/v1/documents/missing", {"numbers": [NUMBER]}),
    ],
)
def test_a_key_of_references_sees_nothing_of_others(api: Api, method: str, path: str, body: object) -> None:
    name = f"narrow{abs(hash((method, path)))}"
    secret = api.key(name, ApiScope.READ, ApiScope.BUY, ApiScope.RELEASE, reference_prefix="shop-")
    with api.client(secret) as http:
        answer = http.request(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "key_limited")


def test_a_failback_of_a_hidden_job_is_refused(api: Api) -> None:
    request = Reroute(numbers=(NUMBER,), destinations=(Destination.sip("a@example.net"),))
    elsewhere = api.ledger.submit(Submission(request, account="second")).id
    with api.client(api.key("first-only", ApiScope.REROUTE, account="default")) as http:
        body = {"request": {"job_id": elsewhere}}
        answer = http.post("/v1/jobs/failback", json=body, headers={"Idempotency-Key": "hidden"})
    assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")


@pytest.mark.parametrize("field", ["after", "snapshot_of"])
def test_a_move_that_names_a_hidden_job_is_refused(api: Api, field: str) -> None:
    request = Reroute(numbers=(NUMBER,), destinations=(Destination.sip("a@example.net"),))
    elsewhere = api.ledger.submit(Submission(request, account="second")).id
    body = {"request": {**AWAY, field: elsewhere}}
    if field == "snapshot_of":
        body = {"request": {"record_ids": [1], "destinations": AWAY["destinations"], field: elsewhere}}
    with api.client(api.key(f"first-{field}", ApiScope.REROUTE, account="default")) as http:
        answer = http.post(f"/v1/incidents/hidden-{field}/move", json=body)
    assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found"), answer.text


def test_a_key_of_one_account_reads_only_its_part_of_a_numbers_history(api: Api) -> None:
    number = "+12135550177"
    for record_id, account in enumerate(("default", "second"), 47000177):
        assert Gate(api.ledger).accept(account, {number: record_id}) == 1
    with api.client(api.key("one-account", ApiScope.READ, account="second")) as http:
        shown = http.get(f"/v1/numbers/{number}", params={"account": "second"}).json()
    assert [entry["account"] for entry in shown["history"]["entries"]] == ["second"]
    assert [entry["account"] for entry in api.http.get(f"/v1/numbers/{number}").json()["history"]["entries"]] == ["default", "second"]
