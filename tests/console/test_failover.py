"""Failover on the console: plans with their age, a dry run by present route, the move by the incident's name, stop and the way back."""

import re
from urllib.parse import quote

import httpx
import pytest

from didflow import Didflow
from didflow.contract.destinations import Destination
from didflow.contract.requests import Reroute, Selector
from didflow.contract.results import NumberResult, Quote, Result, Totals
from didflow.contract.states import JobState, Outcome
from producers.console.screens import failover as failover_screen
from producers.failover import Failover
from tests.console.conftest import As
from tests.support.console_visitor import text_of
from tests.support.http_server import Api
from tests.support.ledger_roles import claimed

HERE, ELSEWHERE, THERE = (Destination.trunk(144),), (Destination.sip("<b>pbx</b>@example.com"),), (Destination.trunk(207),)
INCIDENT = "INC 31/<b>"
FORM = {"trunk": "144", "to": "trunk:207"}


def checked(api: Api, page: httpx.Response) -> str:
    """A worker finds three numbers that would move, and one that is there already: the dry run's id."""
    found = re.search(r"/failover/check/([0-9a-f]+)", str(page.url))
    assert found is not None, page.url
    numbers = [NumberResult(number=f"+1213555010{at}", record_id=at, route_before=HERE) for at in (1, 2)]
    numbers += [NumberResult(number="+12135550103", record_id=3, route_before=ELSEWHERE)]
    numbers += [NumberResult(number="+12135550104", record_id=4, route_before=THERE, outcome=Outcome.UNCHANGED)]
    result = Result(quote=Quote(numbers=tuple(numbers)), totals=Totals(requested=4, done=0))
    assert api.ledger.finish(claimed(api.ledger, found[1]), JobState.SUCCEEDED, result)
    return found[1]


def job_of(api: Api, name: str) -> str:
    return Failover(client_of(api)).moved(name).id


def client_of(api: Api) -> Didflow:
    return Didflow(api.ledger.client, api.ledger.keys.namespace)


def test_numbers_are_moved_stopped_and_failed_back_by_the_typed_name(as_: As, api: Api) -> None:
    operator = as_("operator")
    page = operator.post("/failover/check", FORM)
    assert "A worker selects the numbers and reads where they go. Nothing moves." in text_of(page)
    check = checked(api, page)
    page = operator.get(f"/failover/check/{check}")
    text = text_of(page)
    for words in (
        "3 numbers would move to",
        "trunk:144 2 would move",
        "sip:<b>pbx</b>@example.com 1 would move",
        "trunk:207 1 goes there already",
    ):
        assert words in text, text
    assert "<b>pbx" not in page.text
    assert operator.post("/failover/start", {"check": check, "incident": " "}).status_code == 422
    moving = operator.post("/failover/start", {"check": check, "incident": INCIDENT})
    assert (moving.url.params["name"], "The move has begun." in text_of(moving), "<b>" in moving.text) == (INCIDENT, True, False)
    view = api.ledger.get(job_of(api, INCIDENT))
    assert view.request == Reroute(selector=Selector(trunk_id=144), destinations=THERE)
    assert (view.incident, view.actor) == (INCIDENT, "operator")
    assert all(words in text_of(moving) for words in ("Numbers a second", "Time left", "To send", "Stop here"))
    assert view.id in text_of(operator.get(f"/jobs?q={quote(INCIDENT)}")), "a search by the incident finds its jobs"
    again = operator.post("/failover/start", {"check": check, "incident": INCIDENT})
    assert again.url.params["name"] == INCIDENT, "the same name is the same move"
    assert len(client_of(api).find(reference=INCIDENT)) == 1

    assert 'name="typed"' in moving.text, "the way back asks for the name"
    refused = operator.post("/failover/back", {"incident": INCIDENT, "typed": "INC 31"})
    assert (refused.status_code, "name_differs" in refused.text) == (422, True)
    for path, form in (("stop", {"incident": INCIDENT}), ("back", {"incident": INCIDENT, "typed": INCIDENT})):
        refused = operator.post(f"/failover/{path}", form)
        assert (refused.status_code, "reason_missing" in refused.text) == (422, True), path
    assert api.ledger.get(view.id).state is JobState.QUEUED
    assert "Stopped." in text_of(operator.post("/failover/stop", {"incident": INCIDENT, "reason": "the wrong trunk"}))
    assert api.ledger.get(view.id).state is JobState.CANCELLED
    nothing = text_of(operator.post("/failover/back", {"incident": INCIDENT, "typed": INCIDENT, "reason": "all is well"}))
    assert "there is nothing to bring back" in nothing
    page = operator.get(f"/failover/incident?name={quote(INCIDENT)}")
    assert ("INC 31/<b>" in text_of(page), "<b>" in page.text) == (True, False)


def test_a_plan_shows_the_age_of_its_numbers_and_runs_as_checked(as_: As, api: Api) -> None:
    operator = as_("operator")
    failover = Failover(client_of(api))
    failover.keep_plan("evening", Reroute(selector=Selector(trunk_id=144), destinations=THERE), "ann")
    assert "evening trunk id 144 trunk:207 0 not selected yet" in text_of(operator.get("/failover"))
    check = checked(api, operator.post("/failover/check", {"plan": "evening"}))
    refused = operator.post("/failover/start", {"check": check, "plan": "evening", "incident": "INC-32"})
    assert (refused.status_code, "aren't known yet" in text_of(refused)) == (422, True)
    plan = failover.get_plan("evening")
    failover._plans.resolved("evening", plan.version, check, api.ledger.get(check))
    assert "evening trunk id 144 trunk:207 4" in text_of(operator.get("/failover"))
    moving = operator.post("/failover/start", {"check": check, "plan": "evening", "incident": "INC-32"})
    assert "sweep" in text_of(moving), "and what the plan missed follows"
    assert api.ledger.get(job_of(api, "INC-32")).request.record_ids == (1, 2, 3, 4)  # type: ignore[union-attr]
    failover.delete_plan("evening")


def test_what_cannot_be_moved_is_refused_before_anything_is_sent(as_: As, api: Api) -> None:
    operator = as_("operator")
    for form in ({"to": "trunk:207"}, {"trunk": "144"}, {"trunk": "x", "to": "trunk:207"}, {"trunk": "144", "to": "elsewhere"}):
        assert operator.post("/failover/check", form).status_code == 422, form
    running = re.search(r"/failover/check/([0-9a-f]+)", str(operator.post("/failover/check", FORM).url))
    assert running is not None
    assert operator.post("/failover/start", {"check": running[1], "incident": "INC-33"}).status_code == 409, "the check hasn't ended"
    real = client_of(api).submit(Reroute(selector=Selector(trunk_id=144), destinations=THERE))
    assert operator.get(f"/failover/check/{real.id}").status_code == 404, "no dry run"
    assert operator.get("/failover/incident?name=nothing").status_code == 404


def test_who_may_only_look_has_no_button_and_moves_nothing(as_: As, api: Api) -> None:
    check = checked(api, as_("operator").post("/failover/check", FORM))
    viewer = as_("viewer")
    page = viewer.get(f"/failover/check/{check}")
    assert "Moving numbers needs a key with the scope reroute." in text_of(page)
    assert "/failover/start" not in page.text
    posts: tuple[tuple[str, dict[str, str]], ...]
    posts = ("check", FORM), ("start", {"check": check, "incident": "INC-34"}), ("stop", {"incident": "x"}), ("back", {}), ("refresh", {})
    posts += ("plan/save", {"check": check, "plan_name": "x"}), ("plan/remove", {"plan": "x"})
    assert {viewer.post(f"/failover/{path}", form).status_code for path, form in posts} == {403}
    assert client_of(api).find(reference="INC-34") == ()


def test_a_plan_is_saved_from_a_dry_run_and_removed_with_a_reason(as_: As, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover_screen, "REFRESH_WITHIN_S", 0.0)
    operator, kept = as_("operator"), Failover(client_of(api))
    page = operator.post("/failover/check", FORM)
    running = str(page.url).rpartition("/")[2].partition("?")[0]
    early = operator.post("/failover/plan/save", {"check": running, "plan_name": "night"})
    assert (early.status_code, "not_checked" in early.text) == (409, True)
    check = checked(api, page)
    assert "Save as a plan" in text_of(operator.get(f"/failover/check/{check}"))
    for name in ("", "two words", "x" * 61):
        assert operator.post("/failover/plan/save", {"check": check, "plan_name": name}).status_code == 422, name
    saved = operator.post("/failover/plan/save", {"check": check, "plan_name": "night"})
    assert "A worker is selecting the plan's numbers." in text_of(saved)
    plan = kept.get_plan("night")
    assert (plan.request, plan.saved_by) == (Reroute(selector=Selector(trunk_id=144), destinations=THERE), "operator")
    assert "night trunk id 144 trunk:207 0 not selected yet" in text_of(saved)
    kept._plans.resolved("night", plan.version, check, api.ledger.get(check))
    assert re.search(r"night trunk id 144 trunk:207 4 [\d.]+ s", text_of(operator.get("/failover")))
    again = checked(api, operator.post("/failover/check", {"plan": "night"}))
    text = text_of(operator.get(f"/failover/check/{again}?plan=night"))
    assert re.search(r"The plan's own 4 numbers are moved first\s*\. They were selected [\d.]+ s ago", text), text
    taken = operator.post("/failover/plan/save", {"check": check, "plan_name": "night"})
    assert (taken.status_code, "plan_exists" in taken.text, kept.get_plan("night").version) == (409, True, plan.version)
    again_named = {"check": check, "plan_name": "night", "replace": "1"}
    assert "reason_missing" in operator.post("/failover/plan/save", again_named).text, "the plan of before is lost"
    assert kept.get_plan("night").version == plan.version
    operator.post("/failover/plan/save", {**again_named, "reason": "another backup"})
    assert kept.get_plan("night").version != plan.version
    assert operator.post("/failover/plan/remove", {"plan": "night"}).status_code == 422, "why?"
    removed = operator.post("/failover/plan/remove", {"plan": "night", "reason": "the trunk is gone"})
    assert ("The plan is removed." in text_of(removed), "night" in text_of(removed)) == (True, False)
    assert operator.post("/failover/plan/remove", {"plan": "night", "reason": "the trunk is gone"}).status_code == 404
    entries = api.http.get("/v1/audit", params={"what": "plan delete"}).json()["entries"]
    assert (entries[0]["actor"], entries[0]["reason"]) == ("operator", "the trunk is gone")
