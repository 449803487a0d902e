"""What operators look at and decide over HTTP: the pool, consumer groups, checks, settings, plans, and the routes of a moment."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from didflow.contract.api_keys import ApiScope
from didflow.contract.attempt_write import Write
from didflow.contract.history import Happened, Happening
from didflow.ledger.gate import Findings
from didflow.ledger.replies import Saved
from producers.http.cursors import cursor_of
from tests.support.described_answers import description
from tests.support.http_server import Api
from tests.support.ledger_roles import claimed, submitted

NUMBER, OTHER = "+12135550100", "+12135550101"


def lend(api: Api, number: str) -> str:
    """A purchase that has ended has this number of the pool."""
    job_id = submitted(api.ledger).id
    api.http.post(f"/v1/jobs/{job_id}/cancel")
    api.ledger.client.hset(api.ledger.keys.handed_out("default"), number, json.dumps({"record_id": "7", "job": job_id, "order": 1}))
    return job_id


def test_the_pool_is_listed_and_numbers_return(api: Api) -> None:
    job_id = lend(api, NUMBER)
    assert api.http.get("/v1/pool").json() == {"assigned": [{"number": NUMBER, "record_id": 7, "job_id": job_id}]}
    assert api.http.post("/v1/pool/return", json={"numbers": [NUMBER, OTHER]}).json() == {"returned": [NUMBER]}
    assert api.http.get("/v1/pool").json() == {"assigned": []}
    assert api.http.get("/v1/decisions").json()["decisions"][0]["actor"] == "ops"
    assert api.http.post("/v1/pool/return", json={"numbers": []}).status_code == 422


def test_consumer_groups_have_their_lag_and_are_deleted(api: Api) -> None:
    client: Any = api.ledger.client
    client.xgroup_create(api.ledger.keys.results, "old/group", id="$", mkstream=True)
    client.xadd(api.ledger.keys.results, {"id": "x:1"})
    found = {(one["stream"], one["name"]): one for one in api.http.get("/v1/consumer-groups").json()["groups"]}
    assert (found["results", "old/group"]["unread"], found["results", "old/group"]["pending"]) == (1, 0)
    assert api.http.delete("/v1/consumer-groups/results/old%2Fgroup").status_code == 204
    assert api.http.delete("/v1/consumer-groups/results/old%2Fgroup").status_code == 422
    assert api.http.delete("/v1/consumer-groups/keys/billing").status_code == 422
    assert ("results delete-group", "old/group", "ops") in [
        (one["what"], one["subject"], one["actor"]) for one in api.http.get("/v1/decisions").json()["decisions"]
    ]


def test_the_checks_of_the_ledger_are_those_of_doctor(api: Api) -> None:
    api.ledger.client.xadd(api.ledger.keys.poison, {"poison_entry": "1-1", "poison_group": "billing", "poison_reason": "x"})
    found = api.http.get("/v1/checks").json()
    checks = {one["name"]: one for one in found["checks"]}
    assert (found["ok"], checks["workers"]["verdict"]) == (False, "fail")
    assert "didflow worker" in checks["workers"]["message"]
    assert (checks["poison"]["verdict"], checks["clock"]["verdict"]) == ("warn", "ok")
    assert not [name for name in checks if name.startswith(("account", "key ", "dialect"))], "nothing is asked of a provider"


def test_settings_are_listed_without_secrets(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAVIX_API_KEY", "very-secret")
    monkeypatch.setenv("DIDFLOW_RATE_LIMIT", "7")
    answer = api.http.get("/v1/settings")
    server = {one["name"]: one for one in answer.json()["server"]}
    assert (server["DIDFLOW_RATE_LIMIT"]["value"], server["DIDFLOW_RATE_LIMIT"]["source"]) == ("7.0", "environment")
    assert server["WAVIX_API_KEY"]["value"] == "********"
    assert "very-secret" not in answer.text
    assert answer.json()["workers"] == {}


def test_a_plan_is_refreshed_by_a_worker(api: Api) -> None:
    plan = {"selector": {"trunk_id": 144}, "destinations": [{"transport": 1, "destination": "a@example.net"}]}
    assert api.http.put("/v1/failover-plans/evening", json={"request": plan}).status_code == 200
    late = api.http.post("/v1/failover-plans/evening/refresh?wait=0")
    assert (late.status_code, late.json()["code"], late.json()["retryable"]) == (504, "wait_timeout", True)
    jobs = api.http.get("/v1/jobs", params={"reference": "plan:evening"}).json()["jobs"]
    assert [(job["kind"], job["state"]) for job in jobs] == [("reroute", "queued")]
    assert api.http.post("/v1/failover-plans/nothing/refresh").json()["code"] == "plan_not_found"


def routed(api: Api, number: str, *places: str) -> None:
    """The number's history says that it was routed there."""
    before, after = places
    happened = Happened(what=Happening.ROUTED, record_id=1, route_before=(before,), route_after=(after,))
    assert api.ledger.save(claimed(api.ledger, submitted(api.ledger).id), 1, Write("happened", history={number: happened})) == Saved()


def test_the_routes_of_a_moment_and_what_changed(api: Api) -> None:
    numbers = [f"+1213666{place:04}" for place in range(5)]
    for number in numbers[:4]:
        routed(api, number, "sip:a@example.net", "sip:b@example.net")
    then_ms = api.ledger.now_ms()
    while api.ledger.now_ms() <= then_ms:
        pass
    between = datetime.fromtimestamp(then_ms / 1000, UTC)
    for number in numbers[2:4]:
        routed(api, number, "sip:b@example.net", "sip:c@example.net")
    page = api.http.get("/v1/routes", params={"at": between.isoformat(), "number": numbers}).json()
    assert [one["destinations"] for one in page["routes"]] == [["sip:b@example.net"]] * 4 + [None]
    assert [one["source"] for one in page["routes"]] == ["history"] * 4 + ["unknown"]

    found, cursor = [], ""
    while True:
        page = api.http.get("/v1/routes", params={"limit": "3"} | ({"cursor": cursor} if cursor else {})).json()
        found += [(one["number"], one["destinations"]) for one in page["routes"]]
        if (cursor := page["next_cursor"] or "") == "":
            break
    shown = {number: places for number, places in found if number in numbers}
    assert list(shown) == numbers[:4]
    assert shown[numbers[3]] == ["sip:c@example.net"]

    diff = api.http.get("/v1/routes/diff", params={"first": between.isoformat()}).json()
    assert [(one["number"], one["before"]["destinations"], one["after"]["destinations"]) for one in diff["changed"]] == [
        (number, ["sip:b@example.net"], ["sip:c@example.net"]) for number in numbers[2:4]
    ]


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/v1/routes?at=2099-01-01T00:00:00Z", "at"),
        ("/v1/routes?at=yesterday", "at"),
        ("/v1/routes?number=abc", "number"),
        ("/v1/routes?cursor=abc", "cursor"),
        (f"/v1/routes?cursor={cursor_of('x', 2**52)}", "cursor"),
        (f"/v1/routes/diff?first=2026-01-01T00:00:00Z&cursor={cursor_of('x', 253_402_300_800_000)}", "cursor"),
        ("/v1/routes/diff", "first"),
        ("/v1/routes/diff?first=2020-01-01T00:00:00", "first"),
    ],
)
def test_a_wrong_moment_is_named(api: Api, path: str, parameter: str) -> None:
    answer = api.http.get(path)
    assert (answer.status_code, [fault["parameter"] for fault in answer.json()["errors"]]) == (422, [parameter]), answer.text


def test_a_reroute_to_the_routes_of_a_moment_is_tried_first(api: Api) -> None:
    request = {"numbers": [NUMBER], "back_to": "2026-11-01T00:00:00Z", "dry_run": True}
    answer = api.http.post("/v1/jobs/reroute", json={"request": request})
    assert (answer.status_code, answer.json()["request"]["back_to"]) == (202, "2026-11-01T00:00:00Z"), answer.text


def test_a_jobs_numbers_are_counted_and_a_release_says_when_they_leave(api: Api) -> None:
    bought = submitted(api.ledger).id
    assert api.http.get(f"/v1/jobs/{bought}/tally").json()["selected"] == 0
    assert api.http.get(f"/v1/jobs/{bought}/departures").status_code == 204
    body = {"request": {"numbers": [NUMBER], "grace": "7d"}}
    release = api.http.post("/v1/jobs/release", json=body, headers={"Idempotency-Key": "departs"}).json()["id"]
    assert api.http.get(f"/v1/jobs/{release}/departures").json()["job"] == release


@pytest.mark.parametrize("path", ["/v1/checks", "/v1/settings", "/v1/consumer-groups", "/v1/pool", "/v1/routes"])
def test_a_limited_key_sees_none_of_it(api: Api, path: str) -> None:
    with api.client(api.key(f"narrow {path}", ApiScope.READ, reference_prefix="shop-")) as http:
        assert http.get(path).status_code == 403


def test_a_finding_is_given_to_the_purchase_that_bought_it(api: Api) -> None:
    keys, number, path = api.ledger.keys, "+12135550188", "/v1/accounts/third/findings/give"
    api.ledger.client.hset(keys.gate("third"), "findings", json.dumps(Findings("third", {number: 9}).as_fields()))
    job_id = api.buy("gives", account="third").json()["id"]
    wrong = api.http.post(path, json={"number": NUMBER, "job": submitted(api.ledger).id})
    assert (wrong.status_code, {fault["pointer"] for fault in wrong.json()["errors"]}) == (422, {"/number", "/job"})
    assert api.http.post(path, json={"number": number, "job": "nothing"}).json()["code"] == "job_not_found"
    given = api.http.post(path, json={"number": number, "job": job_id})
    gift = {"number": number, "record_id": 9, "job": job_id, "actor": "ops", "refused": ""}
    assert (given.status_code, given.json()["gifts"]) == (202, [gift])
    assert api.http.post(path, json={"number": number, "job": job_id}).json()["gifts"] == [gift], "a repeated call changes nothing"
    late = api.http.post(path, json={"number": number, "job": api.buy("gives-late", account="third").json()["id"]})
    accepted = api.http.post("/v1/accounts/third/findings/accept", json={"numbers": [number]})
    assert [(one.status_code, one.json()["code"]) for one in (late, accepted)] == [(409, "already_decided")] * 2
    assert f"given to purchase {job_id}" in late.json()["detail"]
    api.http.post(f"/v1/jobs/{job_id}/cancel")
    ended = api.http.post(path, json={"number": number, "job": job_id})
    assert "cancelled: only a waiting purchase" in ended.json()["detail"]


READS = [
    path.replace("{name}", "x").replace("{number}", "%2B12135550100")
    for path, operations in description()["paths"].items()
    if "get" in operations and "{" not in path.replace("{number}", "") and not path.endswith("/events") and "catalogue" not in path
]


#: They say how old something is, or what is due at the moment of the question.
OF_THE_MOMENT = {"/metrics", "/v1/checks", "/v1/routes/diff", "/v1/churn/upcoming"}


@pytest.mark.parametrize("path", [path for path in READS if path not in OF_THE_MOMENT])
def test_every_read_has_an_etag_by_which_it_is_304(api: Api, path: str) -> None:
    answer = api.http.get(path, params={"at": "2026-11-01T00:00:00Z"} if path == "/v1/routes" else {})
    assert answer.status_code == 200, answer.text
    again = api.http.get(str(answer.request.url), headers={"If-None-Match": f'"another", W/{answer.headers["etag"]}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", answer.headers["etag"])
