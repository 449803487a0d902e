"""The audit over HTTP: each change has the key's name, the request's id and its reason; reading it needs the scope `admin`."""

import pytest

from didflow.contract.api_keys import ApiScope
from tests.support.http_server import Api
from tests.support.ledger_roles import submitted

REASON = "doppelt bestellt: Kunde für Müller & Söhne"


def test_a_change_has_the_keys_name_its_request_and_its_reason(api: Api) -> None:
    headers = {"X-Request-Id": "req-7", "Didflow-Reason": REASON.encode()}
    job = submitted(api.ledger).id
    assert api.http.post(f"/v1/jobs/{job}/cancel", headers=headers).status_code == 200  # type: ignore[arg-type]
    (entry,) = api.http.get("/v1/audit", params={"job": job}).json()["entries"]
    assert (entry["what"], entry["actor"], entry["request_id"], entry["reason"]) == ("cancel", "ops", "req-7", REASON)
    assert entry["on"]["kind"] == "search_and_buy"


def test_a_submit_and_what_runs_in_a_thread_are_in_it_too(api: Api) -> None:
    job = api.buy("audited").json()["id"]
    moved = {"request": {"numbers": ["+12135550199"], "destinations": [{"transport": 1, "destination": "a@example.net"}]}}
    assert api.http.post("/v1/incidents/INC-77/move", json=moved, headers={"X-Request-Id": "req-8"}).status_code == 202
    found = api.http.get("/v1/audit", params={"what": "submit", "who": "ops", "limit": 2}).json()
    assert [(entry["on"]["kind"], entry["request_id"] == "req-8") for entry in found["entries"]] == [
        ("reroute", True),
        ("search_and_buy", False),
    ]
    assert found["entries"][1]["on"]["job"] == job
    older = api.http.get("/v1/audit", params={"cursor": found["next_cursor"]}).json()["entries"]
    assert all(entry["n"] < found["entries"][1]["n"] for entry in older)


def test_reading_it_needs_admin_of_everything(api: Api) -> None:
    with api.client(api.key("operator", ApiScope.READ, ApiScope.OPERATE)) as http:
        assert http.get("/v1/audit").json()["code"] == "scope_missing"
    with api.client(api.key("admin-of-shop", ApiScope.ADMIN, account="shop")) as http:
        assert http.get("/v1/audit").json()["code"] == "key_limited"


NO_FILTERS = [{"since": "yesterday"}, {"since": "2026-11-30T10:00:00"}, {"cursor": "x"}, {"limit": "0"}, {"whom": "x"}]


@pytest.mark.parametrize("params", NO_FILTERS)
def test_what_is_no_filter_is_refused(api: Api, params: dict[str, str]) -> None:
    assert api.http.get("/v1/audit", params=params).status_code == 422


def test_a_reason_that_cannot_be_stored_is_refused_and_nothing_is_done(api: Api) -> None:
    job = submitted(api.ledger).id
    refused = api.http.post(f"/v1/jobs/{job}/cancel", headers={"Didflow-Reason": "x" * 501})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    assert api.ledger.get(job).state == "queued"
