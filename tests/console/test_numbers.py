"""The inventory in the console: filters in the address, saved views, a number's page, past routes, and changes of a frozen set."""

import csv
import io
import json
import re
from datetime import UTC, datetime
from html import unescape
from urllib.parse import quote

from didflow.contract.api_keys import ApiScope
from didflow.contract.destinations import Destination
from didflow.contract.inventory import InventoryFilter
from didflow.contract.requests import Reroute
from didflow.ledger import console_views
from didflow.ledger.console_views import MOST_VIEWS, SavedView
from didflow.ledger.gate import Gate
from producers.console.number_filters import FIRST, MORE, chosen_in, filter_from
from producers.console.screens.drift import PER_PAGE
from tests.support.console_desk import Desk, hidden
from tests.support.console_visitor import tags_of, text_of, visiting
from tests.support.sweeping import sweep

HOSTILE = "<img src=x onerror=alert(1)>"


def test_every_filter_of_the_inventory_is_in_the_form() -> None:
    assert {field.name for field in (*FIRST, *MORE)} == set(InventoryFilter.model_fields)
    chosen = chosen_in({"without": "label, city", "sms": "true", "channels_min": "2", "monthly_usd_max": "2.50", "city": " ", "other": "x"})
    assert filter_from(chosen) == InventoryFilter.model_validate(
        {"without": ("label", "city"), "sms": True, "channels_min": 2, "monthly_usd_max": "2.50"}
    )


def test_filters_order_and_pages_are_in_the_address_and_in_the_csv(desk: Desk) -> None:
    ours = sorted(desk.inline.own(60) + desk.inline.own(3, to="sip:new@example.net", label=HOSTILE))
    sweep(desk.inline)
    first = desk.admin.get("/numbers")
    onward = re.search(r'rel="next" href="/console([^"]+)"', first.text)
    assert onward is not None
    second = desk.admin.get(unescape(onward[1]))
    shown = [re.findall(r'href="/console/numbers/(\+[0-9]+)"', page.text) for page in (first, second)]
    assert (len(shown[0]), len(shown[1])) == (50, 13)
    assert shown[0] + shown[1] == ours
    new = desk.admin.get("/numbers?destination=sip:new@example.net")
    assert len(re.findall(r'href="/console/numbers/\+', new.text)) == 3
    assert HOSTILE in text_of(new)
    assert tags_of(new).count("img") == 1
    answer = desk.admin.get("/numbers/numbers.csv?destination=sip:new@example.net&sort=-number")
    rows = [row["number"] for row in csv.DictReader(io.StringIO(answer.text))]
    assert rows == sorted(rows, reverse=True)
    assert len(rows) == 3
    assert "63 active" not in text_of(desk.admin.get("/numbers/totals?destination=sip:new@example.net"))
    assert "Numbers 3 3 active" in text_of(desk.admin.get("/numbers/totals?destination=sip:new@example.net"))


def test_wrong_filters_are_named_all_at_once_and_the_form_keeps_them(desk: Desk) -> None:
    page = desk.admin.get("/numbers?channels_min=two&renewal_within=soon&city=PARIS")
    assert page.status_code == 422
    assert "channels min" in text_of(page)
    assert "renewal within" in text_of(page)
    assert 'value="soon"' in page.text
    assert 'value="PARIS"' in page.text
    for query in ("sort=odd", "cursor=x", "without=%00", "search=%3Cb%3E"):
        assert desk.admin.get(f"/numbers?{query}").status_code in (200, 422)
    assert desk.admin.get("/numbers/numbers.csv?channels_min=two").status_code == 422


def test_a_view_is_saved_for_everybody_with_its_filters_only(desk: Desk) -> None:
    query = "label=acme&sort=-monthly_usd&cursor=abc&evil=1"
    saved = desk.admin.post("/numbers/views/save", {"view": f"idle {HOSTILE}", "query": query})
    assert "The view is saved." in text_of(saved)
    with visiting(desk.api.url, desk.api.key("vic", ApiScope.READ)) as viewer:
        page = viewer.get("/numbers")
        assert f"idle {HOSTILE}" in text_of(page)
        assert 'href="/console/numbers?label=acme&amp;sort=-monthly_usd"' in page.text
        assert "views/save" not in page.text
        assert viewer.post("/numbers/views/save", {"view": "mine", "query": ""}).status_code == 403
        assert viewer.post("/numbers/views/delete", {"view": f"idle {HOSTILE}"}).status_code == 403
    for wrong in ({"view": "", "query": query}, {"view": "x" * 61, "query": query}, {"view": "a\nb", "query": query}):
        assert desk.admin.post("/numbers/views/save", wrong).status_code == 422
    assert "The view is deleted." in text_of(desk.admin.post("/numbers/views/delete", {"view": f"idle {HOSTILE}"}))
    ledger = desk.inline.ledger
    assert ledger.perform(console_views.kept(ledger.commands)) == ()


def test_the_number_of_saved_views_is_bounded(desk: Desk) -> None:
    ledger = desk.inline.ledger
    for place in range(MOST_VIEWS):
        ledger.perform(console_views.save(ledger.commands, SavedView(f"view {place}", "", "ann")))
    assert "delete one first" in desk.admin.post("/numbers/views/save", {"view": "one more", "query": ""}).text
    assert desk.admin.post("/numbers/views/save", {"view": "view 7", "query": "label=x"}).status_code == 200
    assert len(ledger.perform(console_views.kept(ledger.commands))) == MOST_VIEWS


def test_the_page_of_a_number_has_its_history_its_chain_and_what_may_be_done(desk: Desk) -> None:
    (number,) = desk.inline.own(1, label=HOSTILE)
    sweep(desk.inline)
    desk.inline.run(Reroute(numbers=(number,), destinations=(Destination.sip("new@example.net"),)))
    page = desk.admin.get(f"/numbers/{number}")
    text = text_of(page)
    for words in ("Routed.", "sip:old@example.net", "sip:new@example.net", "the chain is intact", "Reroute…", "Release…", HOSTILE):
        assert words in text
    (rerouted,) = re.findall(r"/console/jobs/([0-9a-f]{21,})", page.text)[:1]
    assert rerouted in text_of(desk.admin.get(f"/jobs?q={quote(number)}")), "a search by the number finds its jobs"
    with visiting(desk.api.url, desk.api.key("vic", ApiScope.READ)) as viewer:
        assert "Reroute…" not in text_of(viewer.get(f"/numbers/{number}"))
    keys, client = desk.inline.ledger.keys, desk.inline.ledger.client
    entry = json.loads(str(client.lindex(keys.history_of(number), -1)))
    client.lset(keys.history_of(number), -1, json.dumps({**entry, "at": 1} if isinstance(entry, dict) else [*entry, 1]))
    assert "the chain is broken" in text_of(desk.admin.get(f"/numbers/{number}"))
    assert "The inventory doesn't have this number" in text_of(desk.admin.get("/numbers/+12135559999"))
    assert desk.admin.get("/numbers/nothing").status_code == 422


def test_routes_of_a_moment_and_what_was_different(desk: Desk) -> None:
    (number,) = desk.inline.own(1)
    sweep(desk.inline)
    before = desk.inline.ledger.now_ms()
    desk.inline.run(Reroute(numbers=(number,), destinations=(Destination.sip("new@example.net"),)))
    now = text_of(desk.admin.get("/numbers/routes"))
    assert f"{number} sip:new@example.net history" in now
    then = quote(_iso(before))
    assert f"{number} sip:old@example.net" in text_of(desk.admin.get(f"/numbers/routes?first={then}&number={quote(number)}"))
    later = quote(_iso(desk.inline.ledger.now_ms()))
    difference = text_of(desk.admin.get(f"/numbers/routes?first={then}&second={later}"))
    assert f"{number} sip:old@example.net sip:new@example.net" in difference
    assert "No difference" in text_of(desk.admin.get(f"/numbers/routes?first={later}&second={later}"))
    for query in ("first=odd", f"second={later}", "first=2999-01-01T00:00Z", "cursor=x", "number=1"):
        assert desk.admin.get(f"/numbers/routes?{query}").status_code == 422, query


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()


def test_what_others_changed_is_listed_with_before_and_after(desk: Desk) -> None:
    (number,) = desk.inline.own(1)
    sweep(desk.inline)
    assert "Nothing was changed elsewhere" in text_of(desk.admin.get("/numbers/drift"))
    (other,) = desk.inline.own(1, to="sip:foreign@example.net")
    sweep(desk.inline)
    text = text_of(desk.admin.get("/numbers/drift"))
    assert f"{other} appeared" in text
    assert number not in text
    assert other not in text_of(desk.admin.get("/numbers/drift?account=second"))


def test_many_changes_elsewhere_are_read_page_by_page_each_once(desk: Desk) -> None:
    sweep(desk.inline)
    others = set(desk.inline.own(PER_PAGE + 20))
    sweep(desk.inline)
    path, shown = "/numbers/drift", []
    for expected in (PER_PAGE, 20):
        page = desk.admin.get(path)
        shown.append(re.findall(r'href="/console/numbers/%2B(\d+)"', page.text))
        assert len(shown[-1]) == expected
        older = re.search(r'rel="next" href="/console([^"]+)"', page.text)
        path = unescape(older[1]) if older else ""
    assert sorted(shown[0] + shown[1]) == sorted(number.removeprefix("+") for number in others)
    assert path == ""


def test_a_set_is_frozen_by_its_dry_run_and_changed_once_its_size_is_typed(desk: Desk) -> None:
    ours = desk.inline.own(3)
    sweep(desk.inline)
    asked = desk.admin.get("/numbers/change?action=reroute&destination=sip:old@example.net")
    assert "Dry run of 3 numbers" in text_of(asked)
    fields = {**hidden(asked.text), "destinations": "sip:new@example.net"}
    shown = desk.admin.post("/numbers/change", fields)
    dry = desk.run(shown.url.path)
    desk.inline.own(1)  # It matches, and comes too late.
    sweep(desk.inline)
    page = desk.admin.get(f"/numbers/change/{dry}")
    assert "Reroute 3 numbers" in text_of(page)
    assert list(desk.inline.routes().values()) == [["old@example.net"]] * 4, "a dry run changes nothing"
    for wrong in ({"size": "4", "reason": "x"}, {"size": "", "reason": "x"}, {"size": "3"}):
        assert desk.admin.post(f"/numbers/change/{dry}", wrong).status_code == 422
    done = [desk.admin.post(f"/numbers/change/{dry}", {"size": "3", "reason": "trunk 144 fails"}) for _ in range(2)]
    assert {answer.url.path for answer in done} == {done[0].url.path}, "twice is once"
    desk.run(done[0].url.path)
    routes = desk.inline.routes()
    assert {number for number, to in routes.items() if to == ["new@example.net"]} == set(ours)
    assert "This was submitted, once" in text_of(desk.admin.get(f"/numbers/change/{dry}"))
    entries = desk.api.http.get("/v1/audit", params={"what": "submit"}).json()["entries"]
    assert (entries[0]["actor"], entries[0]["reason"]) == ("ann", "trunk 144 fails")


def test_a_release_by_the_page_needs_its_scope_and_gives_back_exactly_the_set(desk: Desk) -> None:
    first, second = desk.inline.own(1, label="leaves"), desk.inline.own(1)
    sweep(desk.inline)
    with visiting(desk.api.url, desk.api.key("mover", ApiScope.READ, ApiScope.REROUTE)) as operator:
        assert operator.get("/numbers/change?action=release&label=leaves").status_code == 403
        asked = desk.admin.get("/numbers/change?action=release&label=leaves")
        fields = {**hidden(asked.text), "grace": ""}
        assert operator.post("/numbers/change", fields).status_code == 403
        dry = desk.run(desk.admin.post("/numbers/change", fields).url.path)
        assert "Type how many" not in operator.get(f"/numbers/change/{dry}").text
        assert operator.post(f"/numbers/change/{dry}", {"size": "1", "reason": "x"}).status_code == 403
    desk.run(desk.admin.post(f"/numbers/change/{dry}", {"size": "1", "reason": "left"}).url.path)
    assert desk.inline.owned() == set(second)
    assert first[0] not in desk.inline.owned()


def test_a_set_needs_a_filter_a_match_and_a_dry_run(desk: Desk) -> None:
    desk.inline.own(2)
    sweep(desk.inline)
    for query in ("action=reroute", "action=reroute&label=nothing", "action=buy&label=x", "action=reroute&label=%3Cb%3E"):
        assert desk.admin.get(f"/numbers/change?{query}").status_code == 422, query
    grown = {"action": "reroute", "query": "destination=sip:old@example.net", "size": "1", "destinations": "trunk:144"}
    assert "2 numbers match and 1 were expected" in desk.admin.post("/numbers/change", grown).text
    other = desk.inline.submit(Reroute(numbers=("+12135550100",), destinations=(Destination.trunk(144),)))
    assert desk.admin.get(f"/numbers/change/{other.id}").status_code == 409


def test_a_key_of_one_account_changes_the_numbers_of_that_account_only(desk: Desk) -> None:
    desk.inline.own(1)
    sweep(desk.inline)
    scopes = (ApiScope.READ, ApiScope.REROUTE)
    fields = {"action": "reroute", "query": "destination=sip:old@example.net", "size": "1", "destinations": "trunk:144"}
    with visiting(desk.api.url, desk.api.key("here", *scopes, account="default")) as here:
        path = here.post("/numbers/change", fields).url.path
        desk.run(path)
        assert "Type how many numbers these are" in here.get(path.removeprefix("/console")).text
    with visiting(desk.api.url, desk.api.key("elsewhere", *scopes, account="second")) as other:
        assert other.post("/numbers/change", fields).status_code == 403
        assert other.get(path.removeprefix("/console")).status_code == 404


def test_a_key_of_one_account_sees_no_view_and_no_history_of_another(desk: Desk) -> None:
    ledger = desk.api.ledger
    for name, query in (("ours", "label=x&account=second"), ("of-default", "reference=customer-7")):
        ledger.perform(console_views.save(ledger.commands, SavedView(name, query, "ann")))
    for record_id, account in enumerate(("default", "second"), 47000180):
        Gate(ledger).accept(account, {"+12135550178": record_id})
    with visiting(desk.api.url, desk.api.key("second-only", ApiScope.READ, account="second")) as limited:
        page = limited.get("/numbers?account=second").text
        assert ("ours" in page, "of-default" in page) == (True, False)
        shown = [limited, desk.admin]
        counts = [one.get("/numbers/+12135550178?account=second").text.count('<span class="strong">Accepted.') for one in shown]
    assert counts == [1, 2]
