"""Who did what, when and why; and where events are delivered."""

import re

import httpx
import pytest

from didflow.contract.api_keys import ApiScope
from didflow.ledger import console_sessions
from didflow.ledger.webhooks import endpoints
from tests.console.conftest import As
from tests.support.console_desk import hidden
from tests.support.console_visitor import tags_of, text_of, visiting
from tests.support.http_server import Api
from tests.support.ledger_roles import submitted

HOSTILE = "<img src=x onerror=alert(1)>"
URL = "https://93.184.216.34/hook"


def test_the_audit_shows_who_did_what_when_and_why(as_: As, api: Api) -> None:
    job = submitted(api.ledger, reference=HOSTILE)
    as_("operator").post(f"/jobs/{job.id}/cancel", {"reason": f"a mistake {HOSTILE}"})
    admin = as_("admin")
    page = admin.get(f"/audit?job={job.id}")
    text = text_of(page)
    assert f"operator cancel {job.id}" in re.sub(r" (job|kind|account|reference) ", " ", text)
    assert f"a mistake {HOSTILE}" in text
    assert tags_of(page).count("img") == 1
    assert "No entry fits" in text_of(admin.get("/audit?who=nobody"))
    assert "No entry fits" in text_of(admin.get(f"/audit?job={job.id}&until=2020-01-01T00:00"))
    for query, status in (("since=odd", 422), ("cursor=x", 422), ("since=2h", 200)):
        assert admin.get(f"/audit?{query}").status_code == status, query
    assert as_("operator").get("/audit").status_code == 403


def test_the_chain_of_the_audit_is_checked_against_a_kept_anchor(as_: As, api: Api) -> None:
    as_("operator").post(f"/jobs/{submitted(api.ledger).id}/cancel", {"reason": "a mistake"})
    admin = as_("admin")
    page = admin.get("/audit/check")
    assert "The chain is intact" in text_of(page)
    anchor = re.search(r"<code>([0-9]+:[0-9a-f]{40})</code>", page.text)
    assert anchor is not None
    assert "your anchor is in it" in text_of(admin.get(f"/audit/check?anchor={anchor[1]}"))
    count, _, digest = anchor[1].partition(":")
    assert "The chain is intact" not in text_of(admin.get(f"/audit/check?anchor={count}:{digest[::-1]}"))
    assert admin.get("/audit/check?anchor=x").status_code == 422
    assert as_("operator").get("/audit/check").status_code == 403


def test_the_secret_of_an_endpoint_is_shown_once(as_: As, api: Api) -> None:
    admin = as_("admin")
    refused = admin.post("/webhooks", {"name": "shop", "url": URL, "types": "didflow.jobs.*"})
    assert (refused.status_code, "write didflow.job.*" in text_of(refused)) == (422, True)
    made = admin.post("/webhooks", {"name": "shop", "url": URL, "types": "didflow.job.* didflow.number.*"})
    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", made.text)
    assert secret is not None
    assert secret[0] not in admin.get("/webhooks").text + admin.get("/webhooks/shop").text
    assert "didflow.job.*, didflow.number.*" in text_of(admin.get("/webhooks"))
    assert "reason_missing" in admin.post("/webhooks/shop/rotate").text
    assert admin.post("/webhooks/shop/rotate", {"reason": "it leaked", "overlap_hours": "-1"}).status_code == 422
    rotated = admin.post("/webhooks/shop/rotate", {"reason": "it leaked", "overlap_hours": "2"})
    other = re.search(r"whsec_[A-Za-z0-9+/=]+", rotated.text)
    assert other is not None
    assert other[0] != secret[0]
    assert "2 secrets sign now" in text_of(rotated)
    reloaded = admin.post("/webhooks/shop/rotate", {"reason": "it leaked", "signing": "1"})
    assert (reloaded.status_code, "secret_changed" in reloaded.text) == (409, True), "a reload rotates nothing"
    assert admin.post("/webhooks", {"name": "shop", "url": URL}).status_code == 422
    assert admin.post("/webhooks", {"name": "local", "url": "http://127.0.0.1/"}).status_code == 422
    assert admin.post("/webhooks/shop/delete").status_code == 422
    assert "The endpoint is deleted" in text_of(admin.post("/webhooks/shop/delete", {"reason": "moved"}))
    assert admin.get("/webhooks/shop").status_code == 404


def test_an_endpoint_is_tested_switched_and_gets_events_again(as_: As, api: Api) -> None:
    admin, ledger = as_("admin"), api.ledger
    admin.post("/webhooks", {"name": "billing", "url": URL})
    assert "A test event is on its way" in text_of(admin.post("/webhooks/billing/test"))
    assert ledger.perform(endpoints.view(ledger.commands, "billing")).queued == 1
    assert "Disabled" in text_of(admin.post("/webhooks/billing/switch", {"state": "disabled"}))
    assert "disabled person" in text_of(admin.get("/webhooks"))
    assert "Enabled" in text_of(admin.post("/webhooks/billing/switch", {"state": "enabled"}))
    for fields in ({}, {"event": "x", "since": "2h"}, {"since": "odd"}):
        assert admin.post("/webhooks/billing/redeliver", fields).status_code == 422, fields
    assert "Queued." in text_of(admin.post("/webhooks/billing/redeliver", {"since": "2h"}))
    assert admin.get("/webhooks/billing?cursor=x").status_code == 422
    assert admin.get("/webhooks/nothing").status_code == 404


def test_the_url_and_the_filters_of_an_endpoint_are_changed_and_two_people_do_not_overwrite_each_other(as_: As, api: Api) -> None:
    admin, ledger = as_("admin"), api.ledger
    admin.post("/webhooks", {"name": "moves", "url": URL, "types": "didflow.job.*", "reference_prefix": "shop-"})
    admin.post("/webhooks/moves/test")
    seen = hidden(admin.get("/webhooks/moves").text)["seen"]
    typed = {"url": f"{URL}/2", "types": "didflow.number.*", "account": "", "reference_prefix": "shop-", "seen": seen}
    page = "/console/webhooks/moves"
    for wrong in ({"url": "http://127.0.0.1/"}, {"url": ""}, {"types": "didflow.jobs.*"}):
        refused = admin.post("/webhooks/moves/change", {**typed, **wrong, "page": page})
        assert (refused.status_code, form_of(refused, "change").count('aria-invalid="true"')) == (422, 1), wrong
    assert ledger.perform(endpoints.view(ledger.commands, "moves")).url == URL
    changed = admin.post("/webhooks/moves/change", {**typed, "reason": "a new receiver"})
    assert all(words in text_of(changed) for words in ("what waits goes to the URL below", f"{URL}/2", "didflow.number.*"))
    found = ledger.perform(endpoints.view(ledger.commands, "moves"))
    assert (found.url, found.types, found.reference_prefix, found.queued) == (f"{URL}/2", ("didflow.number.*",), "shop-", 1)
    entry = api.http.get("/v1/audit", params={"what": "webhooks update"}).json()["entries"][0]
    assert (entry["actor"], entry["reason"]) == ("admin", "a new receiver")
    late = admin.post("/webhooks/moves/change", {**typed, "url": f"{URL}/3", "page": page})
    assert (late.status_code, "webhook_changed" in late.text) == (409, True), "another admin's change would be lost"
    assert f'value="{URL}/3"' in form_of(late, "change"), "what was typed"
    assert f"URL {URL}/2" in text_of(late), "beside what it is"
    typed |= {"seen": hidden(late.text)["seen"], "reference_prefix": ""}
    assert "what waits goes" in text_of(admin.post("/webhooks/moves/change", typed))
    assert ledger.perform(endpoints.view(ledger.commands, "moves")).reference_prefix is None
    typed["seen"] = hidden(admin.get("/webhooks/moves").text)["seen"]
    assert "nothing was changed" in text_of(admin.post("/webhooks/moves/change", typed))


def form_of(page: httpx.Response, what: str) -> str:
    return str(next(one for one in re.findall(r"<form.*?</form>", page.text, re.DOTALL) if f'/{what}"' in one))


@pytest.mark.parametrize("what", ["change", "switch", "test", "redeliver", "rotate", "delete"])
def test_only_an_admin_changes_an_endpoint(as_: As, what: str) -> None:
    assert as_("operator").post(f"/webhooks/any/{what}", {"reason": "x"}).status_code == 403


def test_a_limited_admin_sees_none_of_them_and_ends_nobodys_session(api: Api, as_: As) -> None:
    other = as_("viewer")
    session = next(one for one in api.ledger.perform(console_sessions.kept(api.ledger.commands)) if one.name == "viewer")
    with visiting(api.url, api.key("one-account", ApiScope.ADMIN, account="second")) as limited:
        assert [limited.get(path).status_code for path in ("/audit", "/webhooks", "/keys")] == [403, 403, 403]
        assert limited.post("/keys/sessions/end", {"session": session.id}).status_code == 403
    assert other.get("/jobs").url.path == "/console/jobs"


def test_a_session_that_somebody_else_ends_is_in_the_audit_and_a_logout_is_not(api: Api, as_: As) -> None:
    secret = api.key("ended", ApiScope.READ)
    with visiting(api.url, secret) as first, visiting(api.url, secret):
        first.post("/logout")
        (session,) = (one for one in api.ledger.perform(console_sessions.kept(api.ledger.commands)) if one.name == "ended")
        as_("admin").post("/keys/sessions/end", {"session": session.id, "reason": "left us"})
    found = api.http.get("/v1/audit", params={"what": "sessions end"}).json()["entries"]
    assert [(one["actor"], one["on"], one["reason"]) for one in found] == [("admin", {"subject": session.id}, "left us")]
