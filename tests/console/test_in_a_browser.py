"""The console in Chromium, on real workers and a sandbox: one browser and one stack for all stories."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from didflow import Didflow, SearchAndBuy
from didflow.contract.api_keys import ApiKey, ApiScope, new_key_id
from didflow.contract.states import JobState
from didflow.ledger import api_keys
from producers.console.screens import SCREENS
from tests.support.browser import DESKTOP, PHONE, WITHIN_MS, Screen, chromium, needed, screen
from tests.support.forked_stack import ForkedStack
from worker.wavix.sandbox import SandboxAdmin

ORDER = SearchAndBuy(country="US", city=("LOS ANGELES, CA",))
HOSTILE = "<img src=x onerror=alert(1)>"
MANY, TRUNK_9 = 1000, {"transport": 5, "destination": "9", "trunk_id": 9, "priority": 1}

#: Sums how far what was on a page has moved, from its load on.
SHIFTS = """
window.shifted = 0;
const sum = (list) => list.getEntries().forEach((one) => { window.shifted += one.value; });
new PerformanceObserver(sum).observe({ type: "layout-shift", buffered: true });
"""
HEADINGS = "Object.fromEntries([...document.querySelectorAll('main h2')].map((one) => [one.innerText, one.getBoundingClientRect().top]))"


@dataclass
class Stage:
    """A browser, and the console of a whole didflow."""

    browser: Any
    stack: ForkedStack
    didflow: Didflow
    admin: str
    viewer: str

    @property
    def url(self) -> str:
        return str(self.stack.http_url)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    needed()
    folder = tmp_path_factory.mktemp("stack")
    waits = {"DIDFLOW_SETTLE_SECONDS": "0.5", "DIDFLOW_SETTLE_LIMIT_SECONDS": "2", "DIDFLOW_RATE_LIMIT": "500"}
    stack = ForkedStack(processes=1, threads=4, http_ports=(0,), log=folder / "log", environment=waits, sandbox=("--port", "0"))
    with chromium() as browser, stack:
        didflow = Didflow.from_url(str(stack.redis_url))
        yield Stage(browser, stack, didflow, _key(didflow, "ann", ApiScope.ADMIN), _key(didflow, "vic", ApiScope.READ))


def _key(didflow: Didflow, name: str, *scopes: ApiScope) -> str:
    key = ApiKey(id=new_key_id(), name=name, scopes=frozenset(scopes))
    return didflow.ledger.perform(api_keys.create(didflow.ledger.commands, key))


def test_every_screen_is_for_everybody_in_light_and_dark_and_on_a_phone(stage: Stage) -> None:
    """axe-core finds nothing serious, nothing is broken or refused by the policy, and nothing is wider than a phone."""
    job = stage.didflow.submit(ORDER, idempotency_key="for-all", reference=HOSTILE)
    stage.didflow.wait(job.id)
    with screen(stage.browser, stage.url) as seen:
        for path in ("/login", *(one.path for one in SCREENS), f"/jobs/{job.id}", "/jobs/nothing"):
            seen.open(path)
            if path == "/":
                seen.page.wait_for_selector("[data-drawn]")
            for scheme in ("light", "dark"):
                seen.page.emulate_media(color_scheme=scheme)
                assert seen.serious() == [], (path, scheme)
            seen.page.set_viewport_size(PHONE)
            assert seen.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
            seen.page.set_viewport_size(DESKTOP)
            if path == "/login":
                seen.log_in(stage.admin)
        assert [fault for fault in seen.faults if "404" not in fault] == []
        seen.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<button></button><p onclick=alert(1)>')")
        assert len(seen.serious()) == 1, "axe-core looks at all of this"
        assert "Content Security Policy" in seen.faults[-1], "and the browser reports what the policy refuses"


def test_an_order_whose_answer_is_lost_is_watched_until_its_witness_decides(stage: Stage) -> None:
    """The page is opened once and never reloaded by the reader."""
    sandbox = stage.stack._sandbox
    assert sandbox is not None
    with screen(stage.browser, stage.url, secret=stage.viewer) as seen:
        sandbox.add_fault("checkout", "act_and_drop", times=1)
        sandbox.add_fault("owned", "slow", times=1, seconds=1)
        job = stage.didflow.submit(ORDER, idempotency_key="lost-answer", reference="acme")
        seen.open(f"/jobs/{job.id}")
        loads = seen.page.evaluate("performance.timeOrigin")
        seen.page.get_by_text("The checkout gave no clear answer").wait_for()
        seen.page.locator(".now .chip", has_text="succeeded").wait_for()
        assert "owned list" in seen.page.locator(".witness").last.inner_text()
        assert seen.page.evaluate("performance.timeOrigin") == loads
        assert seen.faults == []


@pytest.mark.long
def test_nothing_jumps_while_events_come_and_a_wide_screen_is_used(stage: Stage) -> None:
    """The shift of the layout as browsers measure it, from the load on; and where the headings are."""
    with screen(stage.browser, stage.url, secret=stage.viewer) as seen:
        page = seen.page
        page.add_init_script(SHIFTS)
        seen.open("/")
        page.wait_for_selector("[data-drawn]")
        before = page.evaluate(HEADINGS)
        job = stage.didflow.submit(ORDER, idempotency_key="calm", not_before=datetime.now(UTC) + timedelta(seconds=1))
        page.locator("#lists tr", has_text=job.id).locator(".chip", has_text="succeeded").wait_for()
        assert page.evaluate(HEADINGS) == before
        assert page.evaluate("window.shifted") < 0.01
        job = stage.didflow.submit(ORDER, idempotency_key="calm too", not_before=datetime.now(UTC) + timedelta(seconds=1))
        seen.open(f"/jobs/{job.id}")
        before = page.evaluate(HEADINGS)
        page.locator(".now .chip", has_text="succeeded").wait_for()
        after = page.evaluate(HEADINGS)
        for heading in ("Purchase protocol", "What happened", "Facts"):
            assert after[heading] == before[heading], heading
        assert page.evaluate("window.shifted") < 0.01
        assert page.evaluate("getComputedStyle(document.querySelector('.menu a')).transitionDuration") == "0s", "as the reader wishes"
        page.set_viewport_size({"width": 3840, "height": 2160})
        seen.open("/jobs")
        assert page.evaluate("document.querySelector('table').clientWidth") > 3000
        assert page.get_by_role("columnheader", name="Idempotency key").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 3840
        assert seen.faults == []


@pytest.mark.long
def test_a_parked_job_is_seen_from_the_overview_and_retried(stage: Stage) -> None:
    sandbox = stage.stack._sandbox
    assert sandbox is not None
    with screen(stage.browser, stage.url, secret=stage.admin) as seen:
        seen.open("/")
        sandbox.add_fault("checkout", "html_error", times=1)
        sandbox.add_fault("cart_remove", "html_error", times=None)
        sandbox.add_fault("cart", "html_error", times=None)
        job = stage.didflow.submit(ORDER, idempotency_key="parked", reference="parked")
        seen.page.locator("section", has=seen.page.get_by_role("heading", name="Parked for a person")).get_by_role(
            "link", name=job.id
        ).click()
        seen.page.get_by_role("heading", name="Your finding").wait_for()
        seen.page.get_by_role("link", name="The whole story").click()
        seen.page.get_by_text("needs a person").first.wait_for(state="attached")
        sandbox.clear_faults()
        seen.page.get_by_text("Retry", exact=True).click()
        seen.page.get_by_role("button", name="Retry now").click()
        seen.page.get_by_text("The job continues from its last checkpoint.").wait_for()
        seen.page.locator(".now .chip", has_text="succeeded").wait_for()
    assert stage.didflow.get(job.id).decided_by == "ann"


@pytest.mark.long
def test_a_hidden_page_asks_nothing_and_catches_up_when_it_is_seen(stage: Stage) -> None:
    with screen(stage.browser, stage.url, secret=stage.viewer) as seen:
        seen.open("/jobs")
        seen.page.evaluate("Object.defineProperty(document, 'hidden', {configurable: true, get: () => window.isHidden === true})")
        seen.page.evaluate("window.isHidden = true; document.dispatchEvent(new Event('visibilitychange'))")
        asked: list[str] = []
        seen.page.on("request", lambda request: asked.append(request.url))
        job = stage.didflow.submit(ORDER, idempotency_key="hidden", reference="hidden")
        stage.didflow.wait(job.id)
        assert asked == []
        seen.page.evaluate("window.isHidden = false; document.dispatchEvent(new Event('visibilitychange'))")
        seen.page.get_by_role("link", name=job.id).wait_for()


@pytest.mark.long
def test_times_are_the_readers_and_keys_lead_everywhere(stage: Stage) -> None:
    stage.didflow.wait(stage.didflow.submit(ORDER, idempotency_key="times").id)
    with screen(stage.browser, stage.url, secret=stage.viewer) as seen:
        seen.open("/jobs")
        time = seen.page.locator("tbody time").first
        utc = re.search(r"(\d\d):(\d\d:\d\d) UTC", time.get_attribute("title") or "")
        assert utc is not None
        berlin = (int(utc[1]) + (2 if "-07-" in (time.get_attribute("datetime") or "") else 1)) % 24
        assert f"{berlin:02}:{utc[2]}" in time.inner_text()
        seen.page.keyboard.press("Tab")
        assert seen.page.evaluate("document.activeElement.textContent") == "Skip to the content"
        assert seen.page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px", "the focus is visible"
        seen.page.keyboard.press("Enter")
        assert seen.page.evaluate("document.activeElement.id") == "main"
        seen.page.keyboard.press("/")
        assert seen.page.evaluate("document.activeElement.id") == "find"
        seen.page.keyboard.type("nothing-like-it")
        seen.page.keyboard.press("Enter")
        seen.page.get_by_text("No such job").wait_for()


@pytest.mark.long
def test_without_scripts_pages_show_the_same_and_changes_work(stage: Stage) -> None:
    with screen(stage.browser, stage.url, secret=stage.admin, scripts=False) as seen:
        job = stage.didflow.submit(ORDER, idempotency_key="no-script", priority=9, not_before=datetime.now(UTC) + timedelta(days=1))
        seen.open(f"/jobs/{job.id}")
        assert "UTC" in seen.page.locator("time").first.inner_text()
        seen.page.get_by_text("Cancel", exact=True).click()
        seen.page.locator("#cancel").get_by_label("Why").fill("ordered twice")
        seen.page.get_by_role("button", name="Cancel the job").click()
        seen.page.get_by_text("The job is cancelled.").wait_for()
    assert stage.didflow.get(job.id).state is JobState.CANCELLED


@pytest.mark.long
def test_from_the_overview_it_takes_two_clicks_to_why_an_order_waits_what_is_parked_and_how_numbers_move(stage: Stage) -> None:
    sandbox = stage.stack._sandbox
    assert sandbox is not None
    waits = stage.didflow.submit(
        SearchAndBuy(country="US", city=("BUFFALO, NY",), max_monthly_usd="0.10", wait_until=datetime.now(UTC) + timedelta(days=7)),
        idempotency_key="waits",
        reference=HOSTILE,
    )
    for call in ("checkout", "cart_remove", "cart"):
        sandbox.add_fault(call, "html_error", times=None)
    parked = stage.didflow.submit(ORDER, idempotency_key="unknown", reference="r" * 40)
    assert stage.didflow.wait(parked.id).state is JobState.NEEDS_REVIEW
    sandbox.clear_faults()
    with screen(stage.browser, stage.url, secret=stage.admin) as seen:
        page = seen.page
        seen.open("/")
        page.get_by_role("link", name=re.compile("waits?: why")).click()
        page.locator("section", has=page.locator("#h-waiting")).get_by_role("link", name=waits.id).click()
        page.get_by_text("the job searches again until its deadline").wait_for()
        page.get_by_text("0 of 1 numbers could be had").first.wait_for()
        looked_at(seen)
        seen.open("/")
        page.locator("section", has=page.locator("#h-parked")).get_by_role("link", name=parked.id).click()
        page.get_by_role("heading", name="Your finding").wait_for()
        looked_at(seen)
        seen.open("/")
        page.locator(".verdict").get_by_role("link", name="Move a trunk's numbers away").click()
        page.get_by_label("From trunk").fill("one")
        page.get_by_label("To", exact=True).fill("trunk:144")
        page.get_by_role("button", name="Check what would move").click()
        page.get_by_role("alert").get_by_text("is the trunk's id, a number").wait_for()
        seen.faults.clear()  # The browser reports the status 422 of the page.
        looked_at(seen)
    stage.didflow.cancel(waits.id)
    stage.didflow.retry(parked.id)
    stage.didflow.wait(parked.id)


@pytest.mark.long
def test_every_question_is_for_everybody_and_leads_back_to_its_button(stage: Stage) -> None:
    """What is behind a button: in light and in dark, on a phone, and by the keyboard."""
    job = stage.didflow.submit(ORDER, idempotency_key="asked", not_before=datetime.now(UTC) + timedelta(days=1))
    with screen(stage.browser, stage.url, secret=stage.admin) as seen:
        page = seen.page
        seen.open("/webhooks")
        page.get_by_label("Name").fill("asked")
        page.get_by_label("URL").fill("https://93.184.216.34/hook")
        page.get_by_role("button", name="Create, and show its secret").click()
        page.get_by_role("link", name="I have kept it").click()
        for path in (f"/jobs/{job.id}", "/webhooks/asked", "/numbers"):
            seen.open(path)
            questions = page.locator("main details.confirm > summary:visible")
            for at in range(questions.count()):
                questions.nth(at).press("Enter")
                looked_at(seen)
                page.keyboard.press("Tab")
                page.keyboard.press("Escape")
                assert questions.nth(at).evaluate("one => one === document.activeElement && !one.parentElement.open"), (path, at)
            assert questions.count() > 0, path
        seen.open("/audit")
        page.set_viewport_size(PHONE)
        page.reload()
        assert page.locator(".menu [aria-current]").evaluate("one => one.getBoundingClientRect().right") <= PHONE["width"]
    stage.didflow.cancel(job.id)


def looked_at(seen: Screen) -> None:
    """For everybody: in light, in dark, and on a phone; and the policy refused nothing."""
    for scheme in ("light", "dark"):
        seen.page.emulate_media(color_scheme=scheme)
        assert seen.serious() == [], (seen.page.url, scheme)
    seen.page.set_viewport_size(PHONE)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], seen.page.url
    seen.page.set_viewport_size(DESKTOP)
    assert seen.faults == []


@pytest.mark.long
def test_a_quote_becomes_an_order_and_its_numbers_are_moved_as_a_frozen_set(stage: Stage) -> None:
    with screen(stage.browser, stage.url, secret=stage.admin) as seen:
        page = seen.page
        seen.open("/order?country=US")
        page.locator("select#f-city").wait_for()  # The page waits for a worker by itself.
        seen.open("/order?country=US&city=LOS+ANGELES%2C+CA")
        page.get_by_role("heading", name="Numbers on sale").wait_for()
        looked_at(seen)
        page.get_by_label("How many").fill("2")
        page.get_by_label("For (reference)").fill(HOSTILE)
        page.get_by_label("Send calls to").fill("sip:site-7@pbx.example")
        page.get_by_role("button", name="Get a quote").click()
        page.get_by_text("Holds until").wait_for()
        page.reload()
        looked_at(seen)
        page.get_by_label("Why").fill("the customer ordered")
        page.get_by_role("button", name=re.compile("Order for [0-9.]+ USD")).click()
        page.locator(".now .chip", has_text="succeeded").wait_for()
        stage.didflow.inventory.refresh(timeout_s=60)
        seen.open("/numbers?destination=sip:site-7@pbx.example")
        looked_at(seen)
        page.get_by_role("link", name="Reroute them…").click()
        page.get_by_label("Send calls to").fill("trunk:144")
        looked_at(seen)
        page.get_by_role("button", name="Dry run of 2 numbers").click()
        page.get_by_role("heading", name="What would happen").wait_for()
        page.reload()
        looked_at(seen)
        page.get_by_label("Type how many numbers these are").fill("2")
        page.get_by_label("Why").fill("the site has a new trunk")
        page.get_by_role("button", name="Reroute 2 numbers").click()
        page.locator(".now .chip", has_text="succeeded").wait_for()
        page.locator("tbody").get_by_text("trunk:144").first.wait_for()
        seen.open("/numbers?reference=" + quote(HOSTILE))
        page.locator("tbody a").first.click()
        page.get_by_text("the chain is intact").wait_for()
        looked_at(seen)
        seen.open("/numbers/routes?second=now&first=1h")
        looked_at(seen)
        seen.open("/numbers/drift")
        looked_at(seen)


@pytest.mark.long
def test_a_csv_of_who_left_is_checked_and_done_and_one_release_is_called_off(stage: Stage) -> None:
    job = stage.didflow.submit(ORDER, idempotency_key="leaver", reference="leaver")
    stage.didflow.wait(job.id)
    with screen(stage.browser, stage.url, secret=stage.admin) as seen:
        page = seen.page
        seen.open("/churn/csv")
        looked_at(seen)
        file = {
            "name": "left.csv",
            "mimeType": "text/csv",
            "buffer": f"reference,event\nleaver,churned\nunknown {HOSTILE},churned\n".encode(),
        }
        page.get_by_label("A file").set_input_files(file)
        page.wait_for_function("document.getElementById('f-csv').value.includes('leaver')")
        page.get_by_role("button", name="Check every line").click()
        page.get_by_text("2 lines checked, nothing was submitted; 1 of them").wait_for()
        looked_at(seen)
        page.get_by_label("Type how many lines these are").fill("2")
        page.get_by_label("Why").fill("the list of November")
        page.get_by_role("button", name="Act on them").click()
        page.get_by_text("2 lines done").wait_for()
        seen.open("/churn")
        looked_at(seen)
        page.get_by_text("Call off", exact=True).click()
        page.locator(".confirm[open]").get_by_label("Why").fill("they stay")
        page.get_by_role("button", name="Call it off").click()
        page.get_by_text("called off at its next safe point").wait_for()
        page.get_by_role("heading", name="Called off").wait_for()
        seen.open("/audit")
        page.get_by_text("the list of November").first.wait_for()
        looked_at(seen)
        page.get_by_role("link", name="Check the chain").click()
        page.get_by_text("The chain is intact").wait_for()
        looked_at(seen)


@pytest.mark.long
def test_a_secret_of_a_webhook_is_seen_once(stage: Stage) -> None:
    with screen(stage.browser, stage.url, secret=stage.admin) as seen:
        page = seen.page
        seen.open("/webhooks")
        page.get_by_label("Name").fill("shop")
        page.get_by_label("URL").fill("https://93.184.216.34/hook")
        page.get_by_role("button", name="Create, and show its secret").click()
        secret = page.locator("code", has_text="whsec_").inner_text()
        looked_at(seen)
        page.get_by_role("link", name="I have kept it").click()
        page.get_by_role("button", name="Send a test").click()
        page.get_by_text("A test event is on its way").wait_for()
        assert secret not in page.content()
        looked_at(seen)
        page.get_by_text("Change", exact=True).click()
        page.get_by_label("URL").fill("https://127.0.0.1/hook")
        page.get_by_role("button", name="Change it").click()
        page.get_by_role("alert").get_by_text("isn't public").first.wait_for()
        seen.faults.clear()  # The browser reports the status 422 of the page.
        looked_at(seen)
        assert page.get_by_label("URL").input_value() == "https://127.0.0.1/hook"
        page.get_by_label("URL").fill("https://93.184.216.34/other")
        page.get_by_role("button", name="Change it").click()
        page.locator("dd", has_text="https://93.184.216.34/other").wait_for()


@pytest.mark.long
def test_a_key_is_made_seen_once_rotated_and_revoked(stage: Stage) -> None:
    with screen(stage.browser, stage.url, secret=stage.admin) as seen:
        page = seen.page
        seen.open("/keys")
        form = page.locator("form", has=page.get_by_role("button", name="Create, and show its secret"))
        form.get_by_label("Name").fill("till")
        form.get_by_label("read look at").check()
        form.get_by_label("Expires after").fill("soon")
        form.get_by_label("Why").fill("a new till")
        form.get_by_role("button").click()
        page.get_by_text("'soon' is no duration").wait_for()
        assert (form.get_by_label("Name").input_value(), form.get_by_label("read look at").is_checked()) == ("till", True)
        form.get_by_label("Expires after").fill("90d")
        seen.faults.clear()  # The browser reports the status 422 of the page.
        looked_at(seen)
        form.get_by_role("button").click()
        secret = page.locator("code", has_text="dfk_").inner_text()
        looked_at(seen)
        page.get_by_role("link", name="I have kept it").click()
        page.get_by_role("heading", name="Create a key").wait_for()
        assert (secret in page.content(), secret in page.url) == (False, False)
        with pytest.raises(Exception, match="ERR_CACHE_MISS"):
            page.go_back()  # The browser has kept nothing, and asks before it sends the form again.
        page.wait_for_url("chrome-error://**")
        seen.open("/keys")
        with screen(stage.browser, stage.url, secret=secret) as till:
            till.open("/jobs")
            row = page.locator("tr", has_text="till")
            row.get_by_text("Rotate", exact=False).first.click()
            row.get_by_label("Overlap").fill("0s")
            row.locator("[action$='/rotate']").get_by_label("Why").fill("it was on a photograph")
            row.get_by_role("button", name="Rotate till").click()
            assert page.locator("code", has_text="dfk_").inner_text() != secret
            till.open("/jobs")
            till.page.get_by_label("API key").wait_for()
        page.get_by_role("link", name="I have kept it").click()
        row = page.locator("tr", has_text="till")
        row.get_by_text("Revoke", exact=False).first.click()
        row.locator("[action$='/revoke']").get_by_label("Why").fill("the till is gone")
        row.get_by_role("button", name="Revoke till").click()
        page.get_by_text("The key is revoked").wait_for()
        assert page.locator("tr", has_text="till").count() == 0
        seen.open("/audit?what=keys+revoke")
        page.get_by_text("the till is gone").first.wait_for()


@pytest.mark.long
def test_a_parked_purchase_is_resolved_by_its_evidence(stage: Stage) -> None:
    """The checkout's answer is lost, and the owned list lags for longer than the settle limit."""
    sandbox = stage.stack._sandbox
    assert sandbox is not None
    sandbox.add_fault("checkout", "act_and_drop", times=1)
    sandbox.add_fault("owned", "lag", times=None, seconds=600)
    job = stage.didflow.submit(ORDER, idempotency_key="lagging", reference=HOSTILE)
    assert stage.didflow.wait(job.id).state is JobState.NEEDS_REVIEW
    sandbox.clear_faults()
    with screen(stage.browser, stage.url, secret=stage.admin) as seen:
        seen.open("/")
        seen.page.get_by_role("link", name="Needs review").click()
        seen.page.locator("main").get_by_role("link", name=job.id).click()
        seen.page.get_by_text("Not known yet").wait_for()
        assert seen.serious() == []
        seen.page.get_by_role("button", name="Read the owned list now").click()
        seen.page.get_by_text("Bought, because the owned list shows it since the checkout").wait_for()
        assert seen.page.get_by_role("radio", name="Bought as proven").is_checked()
        seen.page.get_by_label("Why: what you looked at").fill("the owned list shows it")
        seen.page.get_by_role("button", name="End the job with this finding").click()
        seen.page.get_by_text("The job has ended with your finding.").wait_for()
        assert seen.faults == []
    view = stage.didflow.get(job.id)
    assert (view.state, view.decided_by) == (JobState.SUCCEEDED, "ann")


@pytest.mark.long
def test_a_thousand_numbers_are_moved_away_watched_and_failed_back_on_a_phone(stage: Stage) -> None:
    sandbox = stage.stack._sandbox
    assert sandbox is not None
    SandboxAdmin(sandbox.url).order("seed_owned", count=MANY, destinations=[TRUNK_9])
    with screen(stage.browser, stage.url, secret=stage.admin, phone=True) as seen:
        page = seen.page
        seen.open("/failover")
        page.get_by_label("From trunk").fill("9")
        page.get_by_label("To", exact=True).fill("sip:backup@pbx.example")
        page.get_by_role("button", name="Check what would move").click()
        page.get_by_label("Type the incident's name").fill("INC-9")
        check = page.url
        assert page.locator(".figure .value").inner_text() == "1\N{NARROW NO-BREAK SPACE}000"
        assert (seen.serious(), page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]) == ([], True)
        page.get_by_label("The plan's name").fill("trunk-9")
        page.get_by_role("button", name="Save as a plan").click()
        page.get_by_text("The plan is saved").wait_for()
        row = page.locator("tr", has_text="trunk-9")
        assert re.search(r"1\s?000", row.inner_text()), row.inner_text()
        row.get_by_text("Remove", exact=False).first.click()
        row.get_by_label("Why").fill("a rehearsal")
        row.get_by_role("button", name="Remove it").click()
        page.get_by_text("The plan is removed").wait_for()
        seen.open(check.partition("/console")[2])
        page.get_by_label("Type the incident's name").fill("INC-9")
        page.get_by_role("button", name="Move 1").click()
        loads = page.evaluate("performance.timeOrigin")
        page.locator(".figure", has_text="1\N{NARROW NO-BREAK SPACE}000 of 1\N{NARROW NO-BREAK SPACE}000 moved").wait_for()
        assert page.evaluate("performance.timeOrigin") == loads, "nobody reloaded it"
        page.locator(".now .chip", has_text=re.compile("^moved$")).wait_for()
        assert seen.serious() == []
        page.get_by_text("Fail back", exact=True).click()
        assert seen.serious() == []
        page.locator("#back input[name=typed]").fill("INC-9")
        page.locator("#back").get_by_label("Why").fill("the trunk is repaired")
        page.get_by_role("button", name="Bring them back").click()
        page.locator(".figure", has_text="1\N{NARROW NO-BREAK SPACE}000 of 1\N{NARROW NO-BREAK SPACE}000 back").wait_for()
        assert seen.faults == []


def test_who_may_only_look_finds_nothing_to_press(stage: Stage) -> None:
    """Every form of every screen is a look: to search, to log out, to choose how it looks."""
    with screen(stage.browser, stage.url, secret=stage.viewer) as seen:
        for path in (one.path for one in SCREENS if ApiScope.READ in one.scopes):
            seen.open(path)
            actions = seen.page.evaluate(
                "[...document.forms].filter((one) => one.method === 'post').map((one) => one.getAttribute('action'))"
            )
            assert set(actions) == {"/console/appearance", "/console/logout"}, path
        assert seen.faults == []


@pytest.mark.long
def test_what_comes_between_the_reading_of_a_page_and_its_listening_is_shown(stage: Stage) -> None:
    with screen(stage.browser, stage.url, secret=stage.viewer) as seen:
        held: list[Any] = []
        seen.page.route("**/console/live**", lambda route: held.append(route))
        seen.open("/jobs")
        seen.page.wait_for_function("document.querySelector('[data-live]') !== null")
        job = stage.didflow.submit(ORDER, idempotency_key="between")
        stage.didflow.wait(job.id)
        held[0].continue_()
        seen.page.get_by_role("link", name=job.id).wait_for(timeout=15_000)  # By itself the page looks again after 30 s.


@pytest.mark.long
def test_a_restart_of_the_server_is_waited_for(stage: Stage) -> None:
    """Last, as the server gets another process."""
    port = int(stage.url.rpartition(":")[2])
    with screen(stage.browser, stage.url, secret=stage.viewer) as seen:
        seen.open("/jobs")
        stage.stack._stop_child("HTTP API")
        job = stage.didflow.submit(ORDER, idempotency_key="restarted")
        stage.stack._start_http((port,))
        seen.page.get_by_role("link", name=job.id).wait_for(timeout=WITHIN_MS)
        assert not seen.page.locator("#offline").is_visible()
