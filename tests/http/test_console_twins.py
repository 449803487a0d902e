"""Nothing is possible in the console that isn't in the API: each of its forms and figures has a route, or a reason why there is none."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute

from didflow.client.sync.client import Didflow
from didflow.contract.api_keys import ApiScope
from didflow.ledger import api_keys, console_sessions
from producers.console import door, live
from producers.console.screens import SCREENS
from tests.support.described_answers import description
from tests.support.http_server import Api
from tests.support.ledger_roles import claimed, finished, submitted

SESSION = "a session is the console's own: the API has a key with each request"
LOOKS = "how the console looks in one browser"
#: The forms, by the path that they are sent to; and the figures, by the path of the page.
BY_FORM = {
    "/login": SESSION,
    "/logout": SESSION,
    "/appearance": LOOKS,
    "/accounts/freeze": "POST /v1/freezes",
    "/accounts/lift": "POST /v1/freezes/lift",
    "/accounts/accept": "POST /v1/accounts/{account}/findings/accept",
    "/dead-letters/replay": "POST /v1/dead-letters/{name}/replay",
    "/dead-letters/drop": "DELETE /v1/dead-letters/{name}",
    "/jobs/{job_id}/cancel": "POST /v1/jobs/{job_id}/cancel",
    "/jobs/{job_id}/retry": "POST /v1/jobs/{job_id}/retry",
    "/review/{job_id}/read": "GET /v1/numbers",
    "/review/{job_id}/retry": "POST /v1/jobs/{job_id}/retry",
    "/review/{job_id}/resolve": "POST /v1/jobs/{job_id}/resolve",
    "/review/give": "POST /v1/accounts/{account}/findings/give",
    "/order/quote": "POST /v1/quotes",
    "/order/{job_id}": "POST /v1/jobs/search-and-buy",
    "/churn/{job_id}/call-off": "POST /v1/jobs/{job_id}/cancel",
    "/churn/csv": "a dry run of `POST /v1/churn/{reference}/left`, line by line",
    "/churn/csv/act": "POST /v1/churn/{reference}/left",
    "/numbers/views/save": "PUT /v1/console/views/{name}",
    "/numbers/views/delete": "DELETE /v1/console/views/{name}",
    "/numbers/change": "POST /v1/jobs",
    "/numbers/change/{job_id}": "POST /v1/jobs",
    "/webhooks": "POST /v1/webhooks",
    "/webhooks/{name}/change": "PATCH /v1/webhooks/{name}",
    "/webhooks/{name}/switch": "PATCH /v1/webhooks/{name}",
    "/webhooks/{name}/test": "POST /v1/webhooks/{name}/test",
    "/webhooks/{name}/redeliver": "POST /v1/webhooks/{name}/redeliver",
    "/webhooks/{name}/rotate": "POST /v1/webhooks/{name}/rotate",
    "/webhooks/{name}/delete": "DELETE /v1/webhooks/{name}",
    "/failover/plan/save": "PUT /v1/failover-plans/{name}",
    "/failover/plan/remove": "DELETE /v1/failover-plans/{name}",
    "/failover/refresh": "POST /v1/failover-plans/{name}/refresh",
    "/failover/check": "POST /v1/jobs/reroute",
    "/failover/start": "POST /v1/incidents/{name}/move",
    "/failover/stop": "POST /v1/incidents/{name}/cancel",
    "/failover/back": "POST /v1/incidents/{name}/failback",
    "/keys/create": "POST /v1/keys",
    "/keys/rotate": "POST /v1/keys/{name}/rotate",
    "/keys/revoke": "DELETE /v1/keys/{name}",
    "/keys/sessions/end": "POST /v1/console/sessions/end",
}
#: Several figures of a page are behind a semicolon.
BY_PAGE = {
    "/": "GET /metrics; GET /v1/jobs; GET /v1/incidents",
    "/charts": "GET /v1/activity",
    "/live": "GET /v1/events",
    "/login": SESSION,
    "/jobs": "GET /v1/jobs",
    "/jobs/{job_id}": "GET /v1/jobs/{job_id}; GET /v1/jobs/{job_id}/steps; GET /v1/jobs/{job_id}/numbers; GET /v1/jobs/{job_id}/tally",
    "/jobs/{job_id}/numbers.csv": "GET /v1/jobs/{job_id}/numbers",
    "/review": "GET /v1/jobs; GET /v1/accounts",
    "/review/{job_id}": "GET /v1/jobs/{job_id}/evidence",
    "/failover": "GET /v1/failover-plans; GET /v1/incidents",
    "/failover/check/{job_id}": "GET /v1/jobs/{job_id}/numbers",
    "/failover/incident": "GET /v1/incidents/{name}",
    "/numbers": "GET /v1/numbers; GET /v1/console/views",
    "/numbers/totals": "GET /v1/numbers/totals",
    "/numbers/numbers.csv": "GET /v1/numbers",
    "/numbers/routes": "GET /v1/routes; GET /v1/routes/diff",
    "/numbers/drift": "GET /v1/events",
    "/numbers/change": "GET /v1/numbers",
    "/numbers/change/{job_id}": "GET /v1/jobs/{job_id}/numbers",
    "/numbers/{number}": "GET /v1/numbers/{number}; GET /v1/numbers/{number}/history",
    "/order": "GET /v1/catalogue/countries; GET /v1/catalogue/regions; GET /v1/catalogue/cities; GET /v1/catalogue/offers",
    "/order/{job_id}": "GET /v1/jobs/{job_id}",
    "/churn": "GET /v1/churn/upcoming; GET /v1/jobs",
    "/churn/csv": "a form for a file",
    "/churn/csv/act": "leads to the form for a file",
    "/dead-letters": "GET /v1/dead-letters",
    "/spend": "GET /v1/spending",
    "/accounts": "GET /v1/accounts; GET /v1/freezes",
    "/webhooks": "GET /v1/webhooks",
    "/webhooks/{name}": "GET /v1/webhooks/{name}; GET /v1/webhooks/{name}/deliveries",
    "/keys": "GET /v1/keys; GET /v1/console/sessions",
    "/audit": "GET /v1/audit",
    "/audit/check": "GET /v1/audit/check",
}


def routes(*routers: Any) -> Iterator[APIRoute]:
    """With those of the routers that they include."""
    for route in (route for router in routers for route in router.routes):
        if isinstance(route, APIRoute):
            yield route
        elif (included := getattr(route, "original_router", None)) is not None:
            yield from routes(included)


def paths(method: str) -> set[str]:
    """Of the console, without the path that it is mounted on."""
    every = routes(door.router, live.router, *(screen.router for screen in SCREENS))
    return {route.path for route in every if method in (route.methods or ())}


def test_each_form_and_each_page_of_the_console_has_a_route_of_the_api_or_a_reason() -> None:
    """A new one belongs into `BY_FORM` or `BY_PAGE`."""
    assert paths("POST") == set(BY_FORM)
    described = {f"{method.upper()} {path}" for path, operations in description()["paths"].items() for method in operations}
    places = {place for text in (*BY_FORM.values(), *BY_PAGE.values()) for place in text.split("; ")}
    named = {place for place in places if place.partition(" ")[0].isupper()}
    assert named - described == set()
    assert paths("GET") == set(BY_PAGE)


def test_who_is_logged_in_is_listed_and_ended_by_the_api_and_the_client(api: Api) -> None:
    api.key("carl", ApiScope.READ)
    key = next(one for one in api.http.get("/v1/keys").json()["keys"] if one["key"]["name"] == "carl")
    assert (key["key"]["scopes"], "secret" in key) == (["read"], False)
    kept = next(one.key for one in api.ledger.perform(api_keys.kept(api.ledger.commands)) if one.key.name == "carl")
    for name in ("one", "two", "three"):
        api.ledger.perform(console_sessions.create(api.ledger.commands, kept, name=name))
    listed = api.http.get("/v1/console/sessions").json()["sessions"]
    assert {one["name"]: one["key_id"] for one in listed} == dict.fromkeys(("one", "two", "three"), kept.id)
    first = next(one["id"] for one in listed if one["name"] == "one")
    assert api.http.delete(f"/v1/console/sessions/{first}", headers={"Didflow-Reason": "lost laptop"}).status_code == 204
    assert api.http.delete(f"/v1/console/sessions/{first}").json()["code"] == "console_session_not_found"
    entry = api.http.get("/v1/audit", params={"what": "sessions end"}).json()["entries"][0]
    assert (entry["actor"], entry["reason"]) == ("ops", "lost laptop")
    assert api.http.post("/v1/console/sessions/end", json={"key": "carl"}).json() == {"ended": 2}
    assert api.http.post("/v1/console/sessions/end", json={"key": "nobody"}).status_code == 404
    assert Didflow(api.ledger.client, api.ledger.keys.namespace).console.sessions() == ()


ADMINS = [("GET", "/keys"), ("DELETE", "/keys/x"), ("GET", "/console/sessions"), ("DELETE", "/console/sessions/x")]


@pytest.mark.parametrize(("method", "path"), ADMINS)
def test_only_an_admin_of_everything_sees_and_ends_sessions(api: Api, method: str, path: str) -> None:
    place = f"{method}{path}".replace("/", "-")
    others = [scope for scope in ApiScope if scope is not ApiScope.ADMIN]
    with (
        api.client(api.key(f"clerk{place}", *others)) as clerk,
        api.client(api.key(f"main{place}", ApiScope.ADMIN, account="main")) as main,
    ):
        assert clerk.request(method, f"/v1{path}").json()["code"] == "scope_missing"
        assert main.request(method, f"/v1{path}").json()["code"] == "key_limited"


def test_keys_are_made_rotated_and_revoked_by_an_admin_with_each_secret_shown_once(api: Api) -> None:
    body = {"name": "made", "scopes": ["read"], "reference_prefix": "made-", "rate_per_s": 50, "expires_seconds": 3600}
    made = api.http.post("/v1/keys", json=body)
    assert (made.status_code, made.headers["cache-control"], made.json()["key"]["scopes"]) == (201, "no-store", ["read"])
    taken = api.http.post("/v1/keys", json=body)
    assert (taken.status_code, taken.json()["errors"][0]["pointer"]) == (422, "/name")
    with api.client(made.json()["secret"]) as old:
        assert old.get("/v1/jobs").status_code == 200
        rotated = api.http.post("/v1/keys/made/rotate", json={"overlap_seconds": 0}, headers={"Didflow-Reason": "leaked"}).json()
        assert old.get("/v1/jobs").status_code == 401
    with api.client(rotated["secret"]) as new:
        assert new.get("/v1/jobs").status_code == 200
        assert api.http.delete("/v1/keys/made").status_code == 204
        assert new.get("/v1/jobs").status_code == 401
    assert api.http.delete("/v1/keys/made").json()["code"] == "api_key_not_found"
    shown = api.http.get("/v1/keys").text + api.http.get("/v1/audit").text
    assert made.json()["secret"] not in shown
    assert rotated["secret"] not in shown
    wrong = api.http.post("/v1/keys", json={"name": "wide", "scopes": ["reroute"], "reference_prefix": "a-"})
    assert wrong.status_code == 422
    with api.client(api.key("operator", ApiScope.READ, ApiScope.OPERATE)) as operator:
        assert operator.post("/v1/keys", json={"name": "own", "scopes": ["admin"]}).status_code == 403


def test_views_of_the_inventory_are_kept_by_the_api_as_by_the_console(api: Api) -> None:
    saved = api.http.put("/v1/console/views/idle in Germany", json={"query": "country=DE&unused_for=30d"})
    assert saved.json() == {"name": "idle in Germany", "query": "country=DE&unused_for=30d", "by": "ops"}
    assert api.http.put("/v1/console/views/main", json={"query": "account=main"}).status_code == 200
    assert [one["name"] for one in api.http.get("/v1/console/views").json()["views"]] == ["idle in Germany", "main"]
    wrong = api.http.put("/v1/console/views/wrong", json={"query": "nation=DE"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/query")
    with api.client(api.key("viewer", ApiScope.READ)) as viewer, api.client(api.key("of main", ApiScope.READ, account="main")) as main:
        assert viewer.delete("/v1/console/views/main").status_code == 403
        assert [one["name"] for one in main.get("/v1/console/views").json()["views"]] == ["main"]
    for name in ("idle in Germany", "main"):
        assert api.http.delete(f"/v1/console/views/{name}").status_code == 204
    assert api.http.get("/v1/console/views").json() == {"views": []}


def test_the_figures_of_the_charts_are_in_the_api_and_in_the_client(api: Api) -> None:
    job = submitted(api.ledger)
    finished(api.ledger, claimed(api.ledger, job.id))
    minutes = api.http.get("/v1/activity", params={"minutes": 5}).json()["minutes"]
    assert len(minutes) == 5
    assert sum(one["ended"].get("succeeded", 0) for one in minutes) == 1
    assert {(one["spent_usd"], one["calls"], one["p50_ms"]) for one in minutes} == {("0", 0, None)}
    read = Didflow(api.ledger.client, api.ledger.keys.namespace).activity(5)
    assert sum(one.ended.get("succeeded", 0) for one in read) == 1
    assert api.http.get("/v1/activity", params={"minutes": 1441}).status_code == 422
    with api.client(api.key("one account", ApiScope.READ, account="main")) as limited:
        assert limited.get("/v1/activity").status_code == 403


def test_the_chain_of_the_audit_is_checked_by_the_api(api: Api) -> None:
    api.buy("audited-1")
    found = api.http.get("/v1/audit/check").json()
    assert (found["entries"] > 0, found["faults"]) == (True, [])
    assert api.http.get("/v1/audit/check", params={"anchor": found["anchor"]}).json()["faults"] == []
    assert api.http.get("/v1/audit/check", params={"anchor": "1:" + "0" * 40}).json()["faults"] != []
    assert api.http.get("/v1/audit/check", params={"anchor": "nonsense"}).status_code == 422
