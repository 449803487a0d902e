"""Endpoints of webhooks over HTTP."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from didflow.contract.api_keys import ApiScope
from didflow.ledger.webhooks import endpoints
from tests.support.http_server import Api
from tests.support.ledger_roles import submitted

URL = "https://shop.example.net/hook"


@pytest.fixture(autouse=True)
def removed(api: Api) -> Iterator[None]:
    yield
    for one in api.ledger.perform(endpoints.every(api.ledger.commands)):
        api.ledger.perform(endpoints.delete(api.ledger.commands, one.id))


def created(api: Api, name: str = "shop", **fields: Any) -> dict[str, Any]:
    answered = api.http.post("/v1/webhooks", json={"name": name, "url": URL, **fields})
    assert answered.status_code == 201, answered.text
    found: dict[str, Any] = answered.json()
    return found


def decisions(api: Api) -> list[tuple[str, str, str]]:
    found: Any = api.ledger.client.xrange(api.ledger.keys.decisions)
    return [(fields["what"], fields["subject"], fields["actor"]) for _, fields in found]


def test_an_endpoint_is_created_with_a_secret_that_no_other_answer_has(api: Api) -> None:
    answered = api.http.post("/v1/webhooks", json={"name": "shop", "url": URL, "types": ["didflow.job.*"], "account": "main"})
    assert (answered.status_code, answered.headers["location"]) == (201, "/v1/webhooks/shop")
    assert answered.headers["cache-control"] == "no-store"
    made = answered.json()
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    read = api.http.get("/v1/webhooks/shop").json()
    assert read == made
    assert (read["types"], read["account"], read["state"], read["created_by"]) == (["didflow.job.*"], "main", "enabled", "ops")
    assert api.http.get("/v1/webhooks").json() == {"webhooks": [read]}
    assert api.http.get(f"/v1/webhooks/{read['id']}").json() == read
    others = [api.http.get(path).text for path in ("/v1/webhooks/shop/deliveries", "/v1/decisions")]
    assert secret not in "".join(others) + json.dumps(read)


def test_each_change_names_the_key_that_made_it(api: Api) -> None:
    created(api)
    assert api.http.post("/v1/webhooks/shop/rotate", json={}).status_code == 200
    assert api.http.post("/v1/webhooks/shop/disable").json()["state"] == "disabled"
    assert api.http.post("/v1/webhooks/shop/enable").json()["state"] == "enabled"
    assert api.http.post("/v1/webhooks/shop/test").status_code == 202
    assert api.http.delete("/v1/webhooks/shop").status_code == 204
    verbs = ["create", "rotate", "disable", "enable", "test", "delete"]
    assert decisions(api)[-6:] == [(f"webhooks {verb}", "shop", "ops") for verb in verbs]


def test_a_change_names_its_fields_and_its_reason_in_the_audit_and_leaves_the_rest(api: Api) -> None:
    before = created(api, types=["didflow.job.*"], account="main", reference_prefix="shop-")
    change: dict[str, Any] = {"url": "https://new.example.net/hook", "types": [], "account": None}
    answered = api.http.patch("/v1/webhooks/shop", json=change, headers={"Didflow-Reason": "moved"})
    assert answered.status_code == 200, answered.text
    found = answered.json()
    assert (found["url"], found["types"], found["account"], found["reference_prefix"]) == (change["url"], [], None, "shop-")
    assert (found["id"], found["created_at"], found["state"]) == (before["id"], before["created_at"], "enabled")
    assert api.http.get("/v1/webhooks/shop").json() == found
    entry = api.http.get("/v1/audit", params={"what": "webhooks update"}).json()["entries"][0]
    assert (entry["actor"], entry["on"], entry["detail"], entry["reason"]) == ("ops", {"subject": "shop"}, "url types account", "moved")


def test_a_change_that_changes_nothing_is_not_in_the_audit(api: Api) -> None:
    created(api)
    before = decisions(api)
    bodies: tuple[dict[str, Any], ...] = ({}, {"url": URL}, {"types": [], "account": None}, {"enabled": True})
    for body in bodies:
        assert api.http.patch("/v1/webhooks/shop", json=body).status_code == 200
    assert decisions(api) == before


def test_a_change_enables_and_disables(api: Api) -> None:
    created(api)
    off = api.http.patch("/v1/webhooks/shop", json={"enabled": False}).json()
    assert (off["state"], off["reason"]) == ("disabled", "person")
    assert api.http.patch("/v1/webhooks/shop", json={"enabled": True, "types": ["didflow.job.*"]}).json()["state"] == "enabled"
    assert [what for what, *_ in decisions(api)[-3:]] == ["webhooks disable", "webhooks update", "webhooks enable"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"url": "http://127.0.0.1/hook"}, "/url"),
        ({"types": ["Nothing"]}, "/types/0"),
        ({"name": "other"}, "/name"),
        ({"account": ""}, "/account"),
    ],
)
def test_a_change_that_is_wrong_changes_nothing(api: Api, change: dict[str, Any], pointer: str) -> None:
    created(api)
    before = api.http.get("/v1/webhooks/shop").json()
    answered = api.http.patch("/v1/webhooks/shop", json={"enabled": False, **change})
    assert (answered.status_code, [one["pointer"] for one in answered.json()["errors"]]) == (422, [pointer])
    assert api.http.get("/v1/webhooks/shop").json() == before


def test_changes_of_several_at_once_lose_none(api: Api) -> None:
    created(api)
    changes: list[dict[str, Any]] = [
        {"url": "https://new.example.net/hook"},
        {"types": ["didflow.job.*"]},
        {"account": "main"},
        {"reference_prefix": "a-"},
    ]
    with ThreadPoolExecutor(len(changes)) as threads:
        assert {one.status_code for one in threads.map(lambda body: api.http.patch("/v1/webhooks/shop", json=body), changes)} == {200}
    found = api.http.get("/v1/webhooks/shop").json()
    assert [{name: found[name]} for change in changes for name in change] == changes


def test_why_no_answer_came_is_a_sentence(api: Api) -> None:
    endpoint_id = created(api)["id"]
    record = {"event_id": "job:1", "type": "t", "key": "job", "attempt": 1, "outcome": "retried", "failure": "timed_out"}
    api.ledger.client.xadd(f"{api.ledger.keys.webhook(endpoint_id)}:log", {"record": json.dumps(record), "next_ms": ""})
    (found,) = api.http.get("/v1/webhooks/shop/deliveries").json()["deliveries"]
    assert (found["failure"], found["why"]) == ("timed_out", "no answer within the limit")


def test_a_rotated_secret_signs_beside_the_old_one(api: Api) -> None:
    old = created(api)["secret"]
    answered = api.http.post("/v1/webhooks/shop/rotate", json={"overlap_seconds": 60}).json()
    assert answered["secret"] not in (old, "")
    assert answered["secrets"] == 2
    assert api.http.post("/v1/webhooks/shop/rotate", json={"overlap_seconds": 0}).json()["secrets"] == 1


def test_deliveries_are_listed_in_pages(api: Api) -> None:
    endpoint_id = created(api)["id"]
    for place in range(5):
        record = {"event_id": f"job:{place}", "type": "t", "key": "job", "attempt": 1, "outcome": "retried", "status": 500}
        api.ledger.client.xadd(f"{api.ledger.keys.webhook(endpoint_id)}:log", {"record": json.dumps(record), "next_ms": "1796000000000"})
    first = api.http.get("/v1/webhooks/shop/deliveries", params={"limit": 3}).json()
    assert [one["event_id"] for one in first["deliveries"]] == ["job:4", "job:3", "job:2"]
    rest = api.http.get("/v1/webhooks/shop/deliveries", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    assert ([one["event_id"] for one in rest["deliveries"]], rest["next_cursor"]) == (["job:1", "job:0"], None)
    assert rest["deliveries"][0]["status"] == 500


def test_redelivery_queues_one_event_or_all_since_a_time(api: Api) -> None:
    created(api)
    for place in range(2):
        fields = {"id": f"job:{place}", "type": "didflow.job.queued.v1", "key": "job", "account": "default", "reference": "", "body": "{}"}
        api.ledger.client.xadd(api.ledger.keys.webhook_messages, fields)  # type: ignore[arg-type]
    assert api.http.post("/v1/webhooks/shop/redeliver", json={"event_id": "job:1"}).json() == {"queued": 1}
    since = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    answered = api.http.post("/v1/webhooks/shop/redeliver", json={"since": since})
    assert (answered.status_code, answered.json()) == (202, {"queued": 2})
    assert api.http.get("/v1/webhooks/shop").json()["queued"] == 2
    assert api.http.post("/v1/webhooks/shop/redeliver", json={"event_id": "gone:1"}).json() == {"queued": 0}


@pytest.mark.parametrize("body", [{}, {"event_id": "a:1", "since": "2026-11-30T12:00:00Z"}])
def test_a_redelivery_of_nothing_or_of_both_is_refused(api: Api, body: dict[str, Any]) -> None:
    created(api)
    answered = api.http.post("/v1/webhooks/shop/redeliver", json=body)
    assert (answered.status_code, answered.json()["errors"][0]["pointer"]) == (422, "/event_id")


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"name": "a b"}, "/name"),
        ({"url": "ftp://shop.example.net"}, "/url"),
        ({"url": "http://127.0.0.1/hook"}, "/url"),
        ({"url": "https://user:hunter2@shop.example.net/"}, "/url"),
        ({"types": ["Nothing"]}, "/types/0"),
        ({"types": ["didflow.job.*"] * 101}, "/types"),
        ({"reference_prefix": "a\nb"}, "/reference_prefix"),
        ({"secret": "whsec_mine"}, "/secret"),
    ],
)
def test_what_is_wrong_is_pointed_at_and_the_url_is_not_repeated(api: Api, fields: dict[str, Any], pointer: str) -> None:
    answered = api.http.post("/v1/webhooks", json={"name": "shop", "url": URL, **fields})
    assert (answered.status_code, [one["pointer"] for one in answered.json()["errors"]]) == (422, [pointer])
    assert "hunter2" not in answered.text
    assert api.http.get("/v1/webhooks").json() == {"webhooks": []}


def test_a_name_that_is_taken_is_refused(api: Api) -> None:
    created(api)
    answered = api.http.post("/v1/webhooks", json={"name": "shop", "url": URL})
    assert (answered.status_code, answered.json()["errors"][0]["pointer"]) == (422, "/name")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("PATCH", ""),
        ("POST", "/rotate"),
        ("POST", "/enable"),
        ("POST", "/disable"),
        ("POST", "/test"),
        ("POST", "/redeliver"),
        ("GET", "/deliveries"),
    ],
)
def test_an_unknown_endpoint_is_404_and_another_scope_403(api: Api, method: str, path: str) -> None:
    body = {"event_id": "a:1"} if path == "/redeliver" else {} if path == "/rotate" or method == "PATCH" else None

    def asked(client: httpx.Client) -> tuple[int, str]:
        answered = client.request(method, f"/v1/webhooks/none{path}", json=body)
        return answered.status_code, answered.json()["code"]

    assert asked(api.http) == (404, "webhook_not_found")
    every_other = [scope for scope in ApiScope if scope is not ApiScope.ADMIN]
    name = f"clerk{path.replace('/', '-')}-{method.lower()}"
    with api.client(api.key(name, *every_other)) as clerk:
        assert asked(clerk) == (403, "scope_missing")
    with api.client(api.key(f"{name}-limited", ApiScope.ADMIN, account="main")) as limited:
        assert asked(limited) == (403, "key_limited")


def test_only_an_admin_of_everything_makes_and_lists_them(api: Api) -> None:
    with api.client(api.key("limited-admin", ApiScope.ADMIN, account="main")) as limited:
        assert limited.get("/v1/webhooks").status_code == 403
        assert limited.post("/v1/webhooks", json={"name": "shop", "url": URL}).status_code == 403
    submitted(api.ledger)
    assert api.http.get("/v1/webhooks").json() == {"webhooks": []}


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [("didflow.jobs.*", "didflow.job.*"), ("didflow.job.succeededd.v1", "didflow.job.succeeded.v1"), ("didflow.zzz.*", "didflow.job.*")],
)
def test_a_filter_that_names_no_type_of_event_is_refused_with_the_nearest_types(api: Api, wrong: str, nearest: str) -> None:
    created(api, types=["didflow.job.*", "didflow.webhook.disabled.v1", "didflow.*"])
    made = api.http.post("/v1/webhooks", json={"name": "other", "url": URL, "types": ["didflow.number.*", wrong]})
    changed = api.http.patch("/v1/webhooks/shop", json={"types": ["didflow.number.*", wrong]})
    for refused in (made, changed):
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
        (fault,) = refused.json()["errors"]
        assert (fault["pointer"], fault["code"]) == ("/types/1", "value_error")
        assert fault["next_step"].startswith(f"write {nearest}")
    assert api.http.get("/v1/webhooks/shop").json()["types"][0] == "didflow.job.*", "it is as it was"
