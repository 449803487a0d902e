"""A form that is refused comes back on its page, with what was typed and what is wrong."""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from html import escape, unescape
from typing import Any

import pytest

from didflow.client.webhook_endpoints import made
from didflow.contract.api_keys import ApiScope
from didflow.contract.errors import DidflowError
from didflow.contract.requests import Release, SearchAndBuy
from didflow.contract.results import NumberResult, Result, Totals
from didflow.contract.states import JobState
from didflow.contract.webhooks import NewEndpoint
from didflow.ledger.ledger import Ledger
from didflow.ledger.script_calls import Submission
from producers.console.forms import Form
from producers.console.refused_form import RefusedForm, with_refused
from tests.console.conftest import As
from tests.support.console_visitor import Visitor, text_of, visiting
from tests.support.http_server import Api, serving
from tests.support.ledger_roles import claimed, submitted
from tests.support.redis_relay import RedisRelay
from worker.local.embedded_valkey import EmbeddedValkey

HOSTILE = "\"><script>alert(1)</script> & 'x'"


def form_in(page: str) -> str:
    """The one form of the page that has what was typed."""
    (found,) = re.findall(r'<form[^>]* id="refused-form" data-typed>.*?</form>', page, re.DOTALL)
    return str(found)


def value_of(form: str, name: str) -> str | None:
    (tag,) = re.findall(rf'<input[^>]* name="{name}"[^>]*>', form)
    found = re.search(r' value="([^"]*)"', tag)
    return unescape(found[1]) if found else None


def test_a_key_with_a_fault_keeps_every_field_and_names_the_wrong_one(as_: As) -> None:
    typed: dict[str, str | list[str]] = {"name": HOSTILE, "scope": ["read", "buy"], "expires": "soon", "reason": "a new shop"}
    page = as_("admin").post("/keys/create", {**typed, "page": "/console/keys"})
    form = form_in(page.text)
    assert (page.status_code, "<h1>Keys and sessions</h1>" in page.text, "<script>alert" in page.text) == (422, True, False)
    assert [value_of(form, name) for name in ("name", "expires", "reason", "account")] == [HOSTILE, "soon", "a new shop", ""]
    assert re.findall(r'value="(\w+)" checked', form) == ["read", "buy"]
    assert re.findall(r'name="(\w+)"[^>]* aria-invalid="true"', form) == ["expires"]
    assert "Back to the form" in text_of(page)
    assert "'soon' is no duration" in text_of(page)
    assert (page.headers["cache-control"], page.headers["content-security-policy"][:20]) == ("no-store", "default-src 'none'; ")
    again = re.search(r'name="page" value="([^"]+)"', form)
    assert again is not None
    assert again[1] == "/console/keys", "refused once more, it comes back once more"


@pytest.mark.parametrize("referer", ["http://[", "http://[::1", "http://one[::1]/", "//", "%"])
def test_a_referer_that_is_no_url_changes_no_answer(as_: As, referer: str) -> None:
    page = as_("admin").get("/jobs/no-such-job", Referer=referer)
    assert page.status_code == 404


def test_a_question_that_was_open_is_open_again_with_its_reason(as_: As, api: Api) -> None:
    key = api.key("rotates", ApiScope.READ)
    assert key
    admin = as_("admin")
    found = re.search(r'name="key" value="([0-9a-f]+)">\s*<input type="hidden" name="seen" value="[^"]*">', admin.get("/keys").text)
    assert found is not None
    page = admin.post("/keys/rotate", {"key": found[1], "overlap": "24h", "reason": "it leaked", "page": "/console/keys"})
    form = form_in(page.text)
    assert (page.status_code, value_of(form, "key"), value_of(form, "reason")) == (409, found[1], "it leaked")
    around = page.text[: page.text.index(form)].rpartition("<details")[2]
    assert f'id="rotate-{found[1]}" open>' in around


def test_an_expired_form_of_this_server_keeps_its_text_and_a_foreign_one_shows_nothing(as_: As) -> None:
    admin = as_("admin")
    fields = {"reason": "typed for long", "account": "", "page": "/console/accounts"}
    own = admin.post("/accounts/freeze", fields, csrf="0" * 64)
    assert (own.status_code, value_of(form_in(own.text), "reason")) == (403, "typed for long")
    foreign = admin.post("/accounts/freeze", fields, csrf="0" * 64, origin="https://evil.example")
    assert (foreign.status_code, "typed for long" in foreign.text) == (403, False)


@pytest.mark.parametrize(
    ("path", "typed"),
    [
        ("/audit?since=odd&who=ann", {"since": "odd", "who": "ann"}),
        ("/numbers/routes?first=odd&number=%2B1", {"first": "odd", "number": "+1"}),
    ],
)
def test_filters_with_a_fault_stay_in_their_form(as_: As, path: str, typed: dict[str, str]) -> None:
    page = as_("admin").get(path)
    form = form_in(page.text)
    assert (page.status_code, {name: value_of(form, name) for name in typed}) == (422, typed)
    assert "What is below is shown without it." in text_of(page)
    assert "Error invalid_request" in text_of(as_("admin").get("/jobs?cursor=x&q="))


@pytest.mark.parametrize(
    "page",
    [
        "//evil.example/x",
        "https://evil.example/",
        "/v1/jobs",
        "/console/\\evil",
        "/console/nothing",
        "/console/live",
        "/console/numbers/numbers.csv",
        "",
    ],
)
def test_a_form_leads_back_to_a_page_of_the_console_only(as_: As, page: str) -> None:
    refused = as_("admin").post("/keys/create", {"name": "x", "reason": "typed", "page": page})
    assert (refused.status_code, "evil" in refused.text) == (422, False)
    assert "<dt>reason</dt><dd>typed</dd>" in refused.text, "what was typed isn't lost"
    assert "csrf" not in text_of(refused)


def test_without_redis_the_same_form_can_be_sent_again(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    job = submitted(real_ledger)
    with RedisRelay(valkey.url) as relay, serving(real_ledger, relay.url, open_to="ann") as url, visiting(url) as visitor:
        visitor.get("/jobs")
        relay.close()
        page = visitor.post(f"/jobs/{job.id}/cancel", {"reason": "wrong customer", "page": f"/console/jobs/{job.id}"})
        assert (page.status_code, "Send the same again" in text_of(page)) == (503, True)
        relay.open()
        again(visitor, page.text)
    assert real_ledger.get(job.id).state is JobState.CANCELLED


def again(visitor: Visitor, page: str) -> None:
    fields = {name: unescape(value) for name, value in re.findall(r'<textarea name="(\w+)" hidden[^>]*>\n([^<]*)</textarea>', page)}
    assert fields["reason"] == "wrong customer"
    action = re.search(r'action="/console([^"]+)"', page)
    assert action is not None
    assert visitor.post(action[1], fields, csrf=fields["csrf"]).status_code == 200


def test_a_login_that_has_ended_leads_back_to_the_page_of_the_form(api: Api) -> None:
    with visiting(api.url, api.key("idle", ApiScope.ADMIN)) as visitor:
        visitor.http.cookies.clear()
        headers = {"Origin": api.url, "Referer": f"{api.url}/console/keys"}
        answer = visitor.http.post("/console/keys/create", data={"name": "x"}, headers=headers)
        assert answer.headers["location"] == "/console/login?next=%2Fconsole%2Fkeys"


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "no name", "url": "https://hooks.example/x"},
        {"name": "inside", "url": "http://127.0.0.1:1/x"},
        {"name": "taken", "url": "https://203.0.113.9/x"},
    ],
)
def test_a_form_that_is_sent_to_the_address_of_its_page_comes_back_on_it(as_: As, api: Api, fields: dict[str, str]) -> None:
    taken = NewEndpoint(name="taken", url="https://203.0.113.9/x")
    with suppress(DidflowError):
        api.ledger.perform(made(api.ledger.commands, taken, ()))
    page = as_("admin").post("/webhooks", fields | {"types": "", "page": "/console/webhooks"})
    assert (page.status_code in (409, 422), "<h1>Webhooks</h1>" in page.text, "Back to the form" in text_of(page)) == (True, True, True)
    assert {name: value_of(form_in(page.text), name) for name in fields} == fields


def test_the_forms_of_a_list_of_lines_a_quote_and_a_change_come_back_on_their_pages(as_: As, api: Api) -> None:
    admin = as_("admin")
    lines = admin.post("/churn/csv", {"csv": "number\n+12135550100", "checked": "odd", "page": "/console/churn/csv"})
    assert (lines.status_code, "+12135550100" in form_in(lines.text)) == (422, True)
    quote = api.ledger.submit(Submission(SearchAndBuy(country="US", dry_run=True, wait_until=datetime.now(UTC) + timedelta(days=1)))).id
    dry = api.ledger.submit(Submission(Release(record_ids=(7,), dry_run=True))).id
    for job, path in ((quote, f"/order/{quote}"), (dry, f"/numbers/change/{dry}")):
        numbers = (NumberResult(number="+12135550100"),)
        assert api.ledger.finish(claimed(api.ledger, job), JobState.SUCCEEDED, Result(numbers=numbers, totals=Totals(requested=1, done=0)))
        page = admin.post(path, {"size": "2", "standing": "yes", "page": f"/console{path}"})
        assert (page.status_code, job in page.text, "This page" in page.text or "<h1>" in page.text) == (422, True, True)
        assert 'href="#refused-form"' in page.text


PAGE = """<form method="post" action="/a"><input type="hidden" name="about" value="1"><input type="hidden" name="tag" value="new">
<input name="reason"><input type="radio" name="n" value="yes"><textarea name="t"></textarea>
<select name="s"><option>one</option><option value="2" selected>two</option></select></form>
<details><form method="post" action="/a"><input type="hidden" name="about" value="2"><input name="reason" value="old"></form></details>"""


def shown(**sent: Any) -> str:
    fields = tuple((name, value) for name, value in sent.items())
    return with_refused(PAGE, RefusedForm("/a", Form(fields), frozenset(), None))


class TestWithRefused:
    def test_what_a_form_is_about_decides_among_forms_of_the_same_kind(self) -> None:
        first, second = shown(about="1", tag="new", reason=HOSTILE).split("<details"), shown(about="2", reason="why").split("<details")
        assert (escape(HOSTILE) in first[0], 'value="old"' in first[1], first[1].startswith(">")) == (True, True, True)
        assert ("data-typed" in second[0], second[1].startswith(" open>"), 'value="why"' in second[1]) == (False, True, True)

    def test_the_page_stays_as_it_is_if_the_thing_is_gone(self) -> None:
        assert shown(about="3", reason="why") == PAGE

    def test_choices_that_rest_on_what_was_seen_are_made_again_when_it_has_changed(self) -> None:
        same, changed = (shown(about="1", tag=tag, reason="why", n="yes", t="</textarea><b>", s="2") for tag in ("new", "old"))
        assert ('value="yes" checked' in same, 'value="yes" checked' in changed) == (True, False)
        assert "&lt;/textarea&gt;&lt;b&gt;</textarea>" in same
        assert (same.count('value="why"'), changed.count('value="why"'), 'value="new"' in changed) == (1, 1, True)
