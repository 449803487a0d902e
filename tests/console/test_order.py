"""From the catalogue to a quote, and from the quote to one order."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from didflow.contract.api_keys import ApiScope
from didflow.contract.requests import SearchAndBuy
from tests.support.console_desk import Desk
from tests.support.console_visitor import text_of, visiting

CITY = "LOS ANGELES, CA"
HOSTILE = "<img src=x onerror=alert(1)>"


def test_the_catalogue_is_waited_for_by_the_page_and_shows_fees_and_age(desk: Desk) -> None:
    assert "the provider's list can't be read" in text_of(desk.admin.get("/order"))
    desk.run_all()
    page = desk.admin.get("/order")
    assert '<option value="US">' in page.text
    desk.admin.get("/order?country=US")
    desk.run_all()
    assert f'<option value="{CITY}">' in desk.admin.get("/order?country=US").text
    path = f"/order?country=US&city={quote(CITY)}&max_monthly_usd=5"
    desk.admin.get(path)
    desk.run_all()
    text = text_of(desk.admin.get(path))
    assert re.search(r"Numbers on sale in LOS ANGELES, CA Seen (just now|[0-9]+ s ago)", text)
    assert "+1213" in text
    assert "numbers fit" in text
    for odd in ("country=XX", f"country={quote(HOSTILE)}", "country=US&city=NOWHERE", f"country=US&city={quote(CITY)}&min_channels=x"):
        desk.admin.get(f"/order?{odd}")
        desk.run_all()
        assert desk.admin.get(f"/order?{odd}").status_code == 200
    with visiting(desk.api.url, desk.api.key("vic", ApiScope.READ)) as viewer:
        assert "Get a quote" not in viewer.get("/order?country=US").text
        assert viewer.post("/order/quote", {"country": "US"}).status_code == 403


def test_a_quote_is_ordered_once_with_a_reason_on_its_terms(desk: Desk) -> None:
    fields = {"country": "US", "city": CITY, "quantity": "2", "policy": "all_or_nothing", "reference": HOSTILE, "destinations": "trunk:144"}
    path = desk.admin.post("/order/quote", fields).url.path
    assert "A worker searches the stock." in text_of(desk.admin.get(path.removeprefix("/console")))
    dry = desk.run(path)
    page = desk.admin.get(f"/order/{dry}")
    view = desk.inline.ledger.get(dry)
    assert view.result is not None
    assert view.result.quote is not None
    total = view.result.quote.setup_usd + view.result.quote.monthly_usd
    assert f"Order for {total:.2f} USD" in text_of(page)
    assert HOSTILE in text_of(page)
    assert desk.inline.owned() == set()
    assert "reason_missing" in desk.admin.post(f"/order/{dry}").text
    paths = {desk.admin.post(f"/order/{dry}", {"reason": "customer ordered"}).url.path for _ in range(2)}
    assert len(paths) == 1, "twice is one order"
    bought = desk.inline.ledger.get(desk.run(paths.pop()))
    assert bought.result is not None
    assert bought.result.totals.charged_usd == total
    assert {number.number for number in bought.result.numbers} == {number.number for number in view.result.quote.numbers}
    assert "Ordered, once" in text_of(desk.admin.get(f"/order/{dry}"))
    assert "Deadline" not in text_of(desk.admin.get(f"/jobs/{bought.id}"))
    with visiting(desk.api.url, desk.api.key("vic", ApiScope.READ)) as viewer:
        assert viewer.post(f"/order/{dry}", {"reason": "x"}).status_code == 403
    assert desk.admin.get(f"/order/{bought.id}").status_code == 409


def test_a_ladder_and_a_standing_order_are_quoted_as_they_are_written(desk: Desk) -> None:
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    fields = {
        "country": "US",
        "city": "ANY",
        "quantity": "1000",
        "wait_until": until,
        "ladder": f"city={CITY}; quantity=999\nsms=needed; quantity=1",
    }
    dry = desk.run(desk.admin.post("/order/quote", fields).url.path)
    request = desk.inline.ledger.get(dry).request
    assert isinstance(request, SearchAndBuy)
    assert request.ladder is not None
    assert [(rung.city, rung.quantity) for rung in request.ladder] == [((CITY,), 999), ((), 1)]
    assert request.city == ()
    assert "Place the standing order" in desk.admin.get(f"/order/{dry}").text
    job_id = desk.admin.post(f"/order/{dry}", {"standing": "1", "reason": "new site"}).url.path.rpartition("/")[2]
    placed = desk.inline.ledger.get(job_id).request
    assert isinstance(placed, SearchAndBuy)
    assert (placed.dry_run, placed.wait_until, placed.quantity) == (False, request.wait_until, 1000)
    assert "Deadline" in text_of(desk.admin.get(f"/jobs/{job_id}"))
    for wrong in ({"quantity": "x"}, {"ladder": "no rung"}, {"destinations": "nowhere"}, {"wait_until": "soon"}, {"policy": "odd"}):
        assert desk.admin.post("/order/quote", {"country": "US", **wrong}).status_code == 422, wrong
