"""Whose numbers go when, one release called off, and a CSV that is checked before it is acted on."""

import re
from datetime import timedelta

from didflow import Didflow
from didflow.contract.api_keys import ApiScope
from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job
from didflow.contract.requests import SearchAndBuy
from didflow.contract.states import JobState
from producers.churn import Churn
from producers.console.screens.churn import MOST_LINES
from tests.support.console_desk import Desk, hidden
from tests.support.console_visitor import tags_of, text_of, visiting

HOSTILE = "<img src=x onerror=alert(1)>"


def bought_for(desk: Desk, reference: str, quantity: int = 1) -> list[str]:
    job = desk.inline.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=quantity), reference, reference)
    result = desk.inline.finish(job).result
    assert result is not None
    return [number.number for number in result.numbers]


def leaves(desk: Desk, reference: str) -> Job:
    didflow = Didflow(desk.inline.ledger.client, desk.inline.ledger.keys.namespace)
    parking = (Destination.sip("goodbye@example.net"),)
    return Churn(didflow).churned(reference, grace=timedelta(days=7), parking=parking)


def test_countdowns_are_shown_by_day_and_one_is_called_off(desk: Desk) -> None:
    (number,) = bought_for(desk, HOSTILE)
    job = leaves(desk, HOSTILE)
    desk.inline.attempt(job)
    page = desk.admin.get("/churn")
    text = text_of(page)
    assert HOSTILE in text
    assert number in text
    assert "in 7 d" in text or "in 6 d" in text
    assert "parked" in text
    assert tags_of(page).count("img") == 1
    assert "No number is going" in text_of(desk.admin.get("/churn?days=1"))
    with visiting(desk.api.url, desk.api.key("vic", ApiScope.READ)) as viewer:
        assert "Call it off" not in viewer.get("/churn").text
        assert viewer.post(f"/churn/{job.id}/call-off").status_code == 403
    assert "reason_missing" in desk.admin.post(f"/churn/{job.id}/call-off").text
    assert not desk.inline.ledger.get(job.id).cancel_requested
    assert "called off at its next safe point" in text_of(desk.admin.post(f"/churn/{job.id}/call-off", {"reason": "they stay"}))
    desk.inline.finish(job)
    assert desk.inline.ledger.get(job.id).state is JobState.CANCELLED
    text = text_of(desk.admin.get("/churn"))
    assert "No number is going" in text
    assert "Called off Releases that were called off" in text
    assert job.id in text
    assert "nothing was cancelled" in text_of(desk.admin.post(f"/churn/{job.id}/call-off"))
    other = desk.inline.submit(SearchAndBuy(country="US"))
    assert desk.admin.post(f"/churn/{other.id}/call-off").status_code == 409


def test_a_csv_is_reported_line_by_line_first_as_a_dry_run_and_then_done_once(desk: Desk) -> None:
    bought_for(desk, "acme")
    text = f"reference,event,grace\nacme,churned,7d\nnobody,churned,7d\n{HOSTILE},leaves,\nacme,returned,\n"
    checked = desk.admin.post("/churn/csv", {"csv": text})
    said = text_of(checked)
    assert "4 lines checked, nothing was submitted; 2 of them can't do what they say" in said
    for words in ("2 acme churned new", "3 nobody churned unknown customer", f"4 {HOSTILE} leaves refused", "5 acme returned kept"):
        assert words in said, words
    assert tags_of(checked).count("img") == 1
    before = {job.id for job in Didflow(desk.inline.ledger.client, desk.inline.ledger.keys.namespace).find(limit=100)}
    fields = {**hidden(checked.text), "csv": text}
    fields.pop("csrf")
    wrong = ({"lines": "4", "reason": "x", "checked": "0" * 64}, {"lines": "5", "reason": "x"}, {"lines": "4", "reason": ""})
    for one in wrong:
        refused = desk.admin.post("/churn/csv/act", {**fields, **one})
        (form,) = re.findall(r'<form[^>]* id="refused-form" data-typed>.*?</form>', refused.text, re.DOTALL)
        assert (refused.status_code, 'action="/console/churn/csv/act"' in form) == (422, True), one
        assert re.search(rf'name="lines"[^>]* value="{one["lines"]}"', form), "what was typed"
        assert "2 acme churned new" in text_of(refused), "and the dry run again"
        assert hidden(form)["checked"] == fields["checked"]
    other = {**fields, "csv": f"{text}acme,churned,\n", "lines": "5", "reason": "x"}
    assert "5 lines checked, nothing was submitted" in text_of(desk.admin.post("/churn/csv/act", other)), "another text is checked again"
    expired = desk.admin.post("/churn/csv/act", {**fields, "page": "/console/churn/csv/act"}, csrf="0" * 64)
    assert (expired.status_code, "nobody,churned" in expired.text) == (403, True), "the text isn't lost"
    assert desk.admin.get("/churn/csv/act").url.path == "/console/churn/csv"
    assert {job.id for job in Didflow(desk.inline.ledger.client, desk.inline.ledger.keys.namespace).find(limit=100)} == before
    done = text_of(desk.admin.post("/churn/csv/act", {**fields, "lines": "4", "reason": "the list of November"}))
    assert "2 acme churned submitted" in done
    assert "4 lines done" in done
    entries = desk.api.http.get("/v1/audit", params={"what": "submit"}).json()["entries"]
    (entry,) = [one for one in entries if one["reason"] == "the list of November"]
    assert entry["actor"] == "ann"


def test_a_csv_needs_the_scope_a_header_and_not_too_many_lines(desk: Desk) -> None:
    with visiting(desk.api.url, desk.api.key("vic", ApiScope.READ)) as viewer:
        assert [viewer.get("/churn/csv").status_code, viewer.post("/churn/csv", {"csv": "x"}).status_code] == [403, 403]
    assert desk.admin.get("/churn/csv").status_code == 200
    assert desk.admin.post("/churn/csv", {"csv": "who,what\n"}).status_code == 422
    assert desk.admin.post("/churn/csv", {"csv": "reference,event\n" + "a,churned\n" * (MOST_LINES + 1)}).status_code == 413
