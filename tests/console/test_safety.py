"""What a page can't be made to do: act for another site, run a script, show a secret, or let a role do more than its key allows."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from didflow.contract.api_keys import ApiScope
from didflow.contract.states import JobState
from producers.console import policy
from producers.console.origin import csrf_of
from producers.console.screens import SCREENS
from tests.console.conftest import As
from tests.support.console_visitor import tags_of, text_of
from tests.support.http_server import WITHIN_S, Api
from tests.support.ledger_roles import submitted

CHANGES = (
    "/jobs/{job}/cancel",
    "/jobs/{job}/retry",
    "/dead-letters/replay",
    "/dead-letters/drop",
    "/accounts/accept",
    "/keys/create",
    "/keys/rotate",
    "/keys/revoke",
    "/keys/sessions/end",
    "/logout",
)
HOSTILE = "<img src=x onerror=alert(1)>'\"{{7*7}}</script><b>"
#: Changes of direction, and a terminal's escape.
TURNING = "\u202e\u2066\x1b"


@pytest.mark.parametrize("path", CHANGES)
def test_a_change_needs_the_forms_token_and_an_origin_of_this_server(as_: As, api: Api, path: str) -> None:
    admin, job = as_("admin"), submitted(api.ledger)
    path = path.replace("{job}", job.id)
    csrf = csrf_of(admin.token)
    refused = [
        admin.post(path, csrf="0" * 64),
        admin.post(path, csrf=csrf, origin="https://evil.example"),
        admin.post(path, csrf=csrf, origin="null"),
        admin.post(path, csrf=csrf, origin=""),
    ]
    assert [(answer.status_code, "form_expired" in answer.text or "foreign_origin" in answer.text) for answer in refused] == [
        (403, True)
    ] * 4
    assert api.ledger.get(job.id).state is JobState.QUEUED
    assert admin.get("/jobs").url.path == "/console/jobs", "nobody was logged out"


def test_the_token_of_another_session_is_worth_nothing(as_: As, api: Api) -> None:
    viewer = as_("viewer")
    assert viewer.csrf() == csrf_of(viewer.token)
    assert as_("admin").post("/logout", csrf=viewer.csrf()).status_code == 403


def test_a_body_that_is_no_form_of_a_browser_is_refused(as_: As, api: Api) -> None:
    admin = as_("admin")
    headers = {"Origin": api.url, "Content-Type": "text/plain"}
    assert admin.http.post("/console/logout", content=f"csrf={csrf_of(admin.token)}", headers=headers).status_code == 415


@pytest.mark.parametrize(
    ("role", "path", "status"),
    [
        ("viewer", "/jobs/{job}/cancel", 403),
        ("viewer", "/jobs/{job}/retry", 403),
        ("viewer", "/dead-letters/replay", 403),
        ("viewer", "/dead-letters/drop", 403),
        ("viewer", "/accounts/accept", 403),
        ("viewer", "/accounts/freeze", 403),
        ("viewer", "/accounts/lift", 403),
        ("viewer", "/keys/sessions/end", 403),
        ("resolver", "/jobs/{job}/retry", 403),
        ("operator", "/keys/sessions/end", 403),
        ("operator", "/jobs/{job}/cancel", 200),
    ],
)
def test_a_role_can_do_what_its_key_allows_and_no_more(as_: As, api: Api, role: str, path: str, status: int) -> None:
    job = submitted(api.ledger)
    fields = {"name": "1-1", "account": "default", "number": "+12135550100", "session": "x", "reason": "a test"}
    answer = as_(role).post(path.replace("{job}", job.id), fields)
    assert (answer.status_code, "scope_missing" in answer.text) == (status, status == 403)
    assert api.ledger.get(job.id).state is (JobState.CANCELLED if status == 200 else JobState.QUEUED)


def test_a_viewer_is_shown_no_button_that_changes_anything(as_: As, api: Api) -> None:
    job = submitted(api.ledger)
    viewer = as_("viewer")
    for path in (f"/jobs/{job.id}", *(screen.path for screen in SCREENS if ApiScope.READ in screen.scopes)):
        page = viewer.get(path)
        actions = set(re.findall(r'<form method="post" action="([^"]+)"', page.text))
        assert (path, page.status_code, actions) == (path, 200, {"/console/appearance", "/console/logout"})
    assert viewer.get("/keys").status_code == 403
    assert "/console/keys" not in viewer.get("/").text


@pytest.mark.parametrize("path", ["/", "/jobs", "/login", "/no-such-page", "/jobs/no-such-job"])
def test_every_page_has_the_policy(as_: As, path: str) -> None:
    headers = as_("viewer").get(path).headers
    assert {name: headers[name] for name in policy.HEADERS} == policy.HEADERS
    rules = dict(rule.split(" ", 1) for rule in policy.CONTENT_SECURITY_POLICY.split("; "))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy.CONTENT_SECURITY_POLICY


def test_pages_have_no_inline_script_or_style_and_name_no_other_server(as_: As, api: Api) -> None:
    admin, job = as_("admin"), submitted(api.ledger)
    for path in (f"/jobs/{job.id}", *(screen.path for screen in SCREENS)):
        text = admin.get(path).text
        assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:|https?://|hx-on", text) == [], path


def test_texts_from_outside_are_shown_as_text(as_: As, api: Api) -> None:
    """A reference is the caller's, and printable; what a step says may be the provider's, and anything."""
    job = submitted(api.ledger, key=f"key {HOSTILE}", reference=HOSTILE)
    words = HOSTILE + TURNING
    step: dict[Any, Any] = {"name": words, "detail": words, "witness": words, "calls": json.dumps([[words, words, words]])}
    api.ledger.client.xadd(api.ledger.keys.steps(job.id), step)
    viewer = as_("viewer")
    for path in ("/", "/jobs", f"/jobs/{job.id}", f"/jobs?q={quote(HOSTILE)}"):
        page = viewer.get(path)
        assert page.status_code == 200
        assert HOSTILE in text_of(page), path
        assert tags_of(page).count("img") == 1, "our own mark"
        assert set(tags_of(page)) & {"b", "i"} == set()
        assert not set(TURNING) & set(page.text), path
    assert text_of(viewer.get(f"/jobs/{job.id}")).count(HOSTILE) >= 8


def test_a_search_for_a_hostile_text_is_shown_as_text(as_: As) -> None:
    page = as_("viewer").get("/jobs?q=%3Cscript%3Ealert(1)%3C%2Fscript%3E&state=%22%3E%3Cb%3E&kind=x&account=%3Ci%3E")
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert {"b", "i"} & set(tags_of(page)) == set()


def test_no_key_is_in_a_url_or_in_the_log(
    api: Api, secrets: dict[str, str], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"Origin": api.url}
    answer = httpx.post(f"{api.url}/console/login", data={"key": secrets["admin"]}, headers=headers, trust_env=False, timeout=WITHIN_S)
    assert answer.status_code == 303
    assert secrets["admin"] not in answer.headers["location"]
    heard = capfd.readouterr()
    assert secrets["admin"] not in heard.out + heard.err
    assert httpx.get(f"{api.url}/console/login?key={secrets['admin']}", trust_env=False, timeout=WITHIN_S).text.count("dfk_") == 0


def test_static_files_are_kept_for_ever_by_their_hash(as_: As, api: Api) -> None:
    text = as_("viewer").get("/").text
    names = re.findall(r'(?:href|src)="(/console/static/[^"]+)"', text)
    assert len(names) >= 5
    for name in names:
        answer = httpx.get(f"{api.url}{name}", trust_env=False, timeout=WITHIN_S)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
    assert httpx.get(f"{api.url}/console/static/console.css", trust_env=False, timeout=WITHIN_S).status_code == 404
    assert httpx.get(f"{api.url}/console/static/..%2f..%2fapp.py", trust_env=False, timeout=WITHIN_S).status_code == 404


@pytest.mark.parametrize("folder", ["producers/console/static/vendor", "tests/support/vendor"])
def test_what_is_vendored_is_what_was_published_and_has_its_licence(folder: str) -> None:
    place = Path(__file__).parents[2] / folder
    listed = json.loads((place / "vendored.json").read_text())
    assert {one["file"] for one in listed} == {file.name for file in place.iterdir() if file.suffix in (".js", ".css")}
    for one in listed:
        assert hashlib.sha256((place / one["file"]).read_bytes()).hexdigest() == one["sha256"]
        assert (place / one["licence_file"]).stat().st_size > 100
        assert one["version"]
        assert one["licence"]
