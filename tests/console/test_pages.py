"""Each screen shows what the ledger has, to those who may see it, in the time that a person waits for."""

import csv
import io
import json
import re
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest

from didflow.contract.api_keys import ApiScope
from didflow.contract.attempt_write import Write
from didflow.contract.errors import JobError
from didflow.contract.requests import SearchAndBuy
from didflow.contract.results import NumberResult, Result, Totals
from didflow.contract.spending import Spend
from didflow.contract.states import JobState, Outcome, WaitReason
from didflow.ledger.freezes import freezes
from didflow.ledger.gate import Findings, Gate
from didflow.ledger.ledger import Ledger
from didflow.ledger.minute_history import minute_history
from didflow.ledger.script_calls import Submission
from didflow.ledger.worker_settings import note_running, running_with
from didflow.settings import Settings
from producers.cli.next_step import advice_on
from producers.console.screens import SCREENS
from tests.console.conftest import As
from tests.support.console_visitor import tags_of, text_of, visiting
from tests.support.http_server import Api, serving
from tests.support.ledger_roles import claimed, finished, submitted
from tests.support.redis_relay import RedisRelay
from worker.local.embedded_valkey import EmbeddedValkey

#: Of a worker's settings.
LIMITED: dict[str, Any] = {"WAVIX_API_KEY": "a-key", "spend_account_usd_per_day": 400}
PAGES = tuple(screen.path for screen in SCREENS)


def parked(api: Api, reference: str = "parked") -> str:
    job = submitted(api.ledger, reference=reference)
    numbers = (NumberResult(number="+12135550100", outcome=Outcome.UNCLEAR),)
    result = Result(numbers=numbers, totals=Totals(requested=1, done=0), error=JobError(code="unsettled", message="it isn't known"))
    assert api.ledger.finish(claimed(api.ledger, job.id), JobState.NEEDS_REVIEW, result)
    return job.id


def add_step(api: Api, job_id: str, **fields: str) -> None:
    """As a worker writes one."""
    step: dict[Any, Any] = {"attempt": "1", **fields}
    api.ledger.client.xadd(api.ledger.keys.steps(job_id), step)


@pytest.mark.parametrize("path", PAGES)
def test_every_screen_has_one_heading_landmarks_and_a_way_past_the_menu(as_: As, path: str) -> None:
    page = as_("admin").get(path)
    assert page.status_code == 200
    tags = tags_of(page)
    assert (tags.count("h1"), tags.count("main"), tags.count("nav")) == (1, 1, 1)
    assert '<a class="skip" href="#main">' in page.text
    assert page.text.count('aria-current="page"') == 1
    assert re.search(r"<title>[^<]+ · didflow</title>", page.text)
    outside_labels = re.sub(r"<label\b.*?</label>", "", page.text, flags=re.DOTALL)
    unlabelled = [
        field for field in re.findall(r"<(?:input|select)[^>]*>", outside_labels) if 'type="hidden"' not in field and "id=" not in field
    ]
    assert unlabelled == []


class TestOverview:
    def test_it_answers_its_three_questions(self, as_: As, api: Api) -> None:
        viewer = as_("viewer")
        text = text_of(viewer.get("/"))
        assert "Is money moving? No No worker is alive" in text
        assert "Are calls safe? Not now" in text
        job = parked(api)
        text = text_of(viewer.get("/"))
        assert "Does something need a person? Yes" in text
        assert job in text

    def test_it_says_why_an_order_waits(self, as_: As, api: Api) -> None:
        job = submitted(api.ledger, reference="waits")
        claim = claimed(api.ledger, job.id)
        api.ledger.suspend(claim, JobState.WAITING, WaitReason.FUNDS, delay_ms=60_000, refund=True)
        text = text_of(as_("viewer").get("/"))
        assert f"{job.id} funds purchase, waits" in text
        assert re.search(r"\d+ jobs? waits?: why", text)
        parked_one = parked(api)
        assert f'href="/console/review/{parked_one}"' in as_("viewer").get("/").text
        assert "the balance doesn't cover the purchase: top it up" in text_of(as_("viewer").get(f"/jobs/{job.id}")).lower()
        facts = text_of(as_("viewer").get(f"/jobs/{job.id}"))
        assert ("Started" in facts, "not started" in facts) == (True, False), "it was begun, and the attempt wasn't counted"
        waiting = text_of(as_("viewer").get(f"/jobs/{submitted(api.ledger).id}"))
        assert ("Started" in waiting, "Attempt not started" in waiting) == (False, True)

    def test_charts_have_what_ended_was_spent_and_answered_by_the_minute(self, as_: As, api: Api) -> None:
        before = as_("viewer").get("/charts").json()
        finished(api.ledger, claimed(api.ledger, submitted(api.ledger).id))
        api.ledger.count_calls("worker-1", api.ledger.now_ms(), {"checkout:2xx:50": 3, "checkout:2xx:2500": 1, "checkout:ms": 900})
        found = as_("viewer").get("/charts").json()
        assert len(found["at"]) == 180 == len(found["jobs"][0]) == len(found["spend"][0]) == len(found["latency"][1])
        assert sum(found["jobs"][0]) == sum(before["jobs"][0]) + 1
        assert {50.0} <= set(found["latency"][0])
        assert {2500.0} <= set(found["latency"][1])

    def test_a_limited_key_sees_no_figures_of_others(self, api: Api) -> None:
        job, other = submitted(api.ledger, reference="shop-1"), submitted(api.ledger, reference="other-1")
        with visiting(api.url, api.key("limited", ApiScope.READ, reference_prefix="shop-")) as visitor:
            text = text_of(visitor.get("/"))
            assert job.id in text
            assert other.id not in text
            assert "Workers alive" not in text
            assert [visitor.get(path).status_code for path in ("/charts", "/dead-letters", "/spend", "/accounts", f"/jobs/{other.id}")] == [
                403
            ] * 4 + [404]
            assert visitor.get(f"/jobs/{job.id}").status_code == 200
            assert other.id not in text_of(visitor.get("/jobs"))
            assert other.id not in text_of(visitor.get("/jobs?q=other-1"))


class TestJobs:
    def test_filters_and_pages_are_in_the_address(self, as_: As, api: Api) -> None:
        jobs = [submitted(api.ledger, reference="many").id for _ in range(60)]
        viewer = as_("viewer")
        first = viewer.get("/jobs?reference=many")
        older = re.search(r'rel="next" href="/console([^"]+)"', first.text)
        assert older is not None
        second = viewer.get(older[1].replace("&amp;", "&"))
        shown = [re.findall(r'href="/console/jobs/([0-9a-f]+)"', page.text) for page in (first, second)]
        assert [len(one) for one in shown] == [50, 10]
        assert {*shown[0], *shown[1]} == set(jobs), "each once"
        assert text_of(viewer.get("/jobs?reference=many&state=failed")).count("No such job") == 1

    def test_a_dry_run_is_marked_and_a_key_is_no_reference(self, as_: As, api: Api) -> None:
        dry = api.ledger.submit(Submission(SearchAndBuy(country="US", dry_run=True), idempotency_key="dry-key", reference="dry")).id
        real = submitted(api.ledger, key="real-key", reference=None).id
        rows = dict(re.findall(r"<tr>\s*<td[^>]*><div><a[^>]*>([0-9a-f]+)</a>(.*?)</tr>", as_("viewer").get("/jobs").text, re.DOTALL))
        assert ["dry run" in rows[job] for job in (dry, real)] == [True, False]
        assert [rows[job].count(key) for job, key in ((dry, "dry-key"), (real, "real-key"))] == [1, 1], "in its own column"

    def test_a_search_finds_a_job_by_whatever_is_at_hand(self, as_: As, api: Api) -> None:
        job = submitted(api.ledger, key="order 1/2", reference="customer & co")
        viewer = as_("viewer")
        assert viewer.get(f"/jobs?q={job.id}").url.path == f"/console/jobs/{job.id}"
        for text in ("order 1/2", "customer & co"):
            assert job.id in text_of(viewer.get(f"/jobs?q={quote(text)}")), text
        assert "No such job" in text_of(viewer.get("/jobs?q=nothing-of-the-kind"))

    @pytest.mark.parametrize("query", ["cursor=x", "state=odd", "kind=%00", "q=" + "x" * 200, "page=0"])
    def test_an_odd_address_is_answered_with_a_page(self, as_: As, query: str) -> None:
        assert as_("viewer").get(f"/jobs?{query}").status_code in (200, 422)


class TestJob:
    def test_a_dry_run_says_that_nothing_was_changed(self, as_: As, api: Api) -> None:
        job = api.ledger.submit(Submission(SearchAndBuy(country="US", dry_run=True))).id
        refused = NumberResult(number="+12135550101", error=JobError(code="not_owned", message="it isn't owned"))
        result = Result(numbers=(NumberResult(number="+12135550100"), refused), totals=Totals(requested=2, done=0))
        assert api.ledger.finish(claimed(api.ledger, job), JobState.SUCCEEDED, result)
        text = text_of(as_("viewer").get(f"/jobs/{job}"))
        assert [
            words in text
            for words in (
                "The dry run is done; nothing was changed.",
                "+12135550100 would be done",
                "+12135550101 wouldn't be done",
                "dry run",
            )
        ] == [True] * 4
        assert [words in text for words in ("all that was asked", "All that was asked", "not decided yet")] == [False] * 3
        assert advice_on(api.ledger.get(job)) == "the dry run is done; nothing was changed", "so says the command, too"

    def test_a_waiting_job_says_what_its_last_attempt_found(self, as_: As, api: Api) -> None:
        job = submitted(api.ledger)
        running, found = claimed(api.ledger, job.id), "0 of 2 <b>could</b> be had"
        api.ledger.suspend(running, JobState.WAITING, WaitReason.STOCK, delay_ms=60_000, refund=True, detail=found)
        page = as_("viewer").get(f"/jobs/{job.id}")
        now = page.text[page.text.index('class="card now') : page.text.index('id="h-story"')]
        assert ("0 of 2 &lt;b&gt;could&lt;/b&gt; be had." in now, "Next look in 1 min." in now or "Next look in 60 s." in now) == (
            True,
            True,
        )

    @pytest.mark.parametrize(
        ("reason", "words"),
        [
            (WaitReason.FROZEN, "The job continues when the freeze is lifted."),
            (WaitReason.GRACE, "until then Cancel brings everything back."),
            (WaitReason.SPEND_LIMIT, "the screen Spend what uses it"),
        ],
    )
    def test_what_to_do_is_said_in_the_words_of_the_console(self, as_: As, api: Api, reason: WaitReason, words: str) -> None:
        job = submitted(api.ledger)
        api.ledger.suspend(claimed(api.ledger, job.id), JobState.WAITING, reason, delay_ms=60_000, refund=True)
        page = as_("viewer").get(f"/jobs/{job.id}")
        now = page.text[page.text.index('class="card now') : page.text.index('id="h-story"')]
        assert (words in text_of(page), "didflow " in now) == (True, False)

    def test_the_timeline_says_what_was_asked_answered_and_what_decided(self, as_: As, api: Api) -> None:
        job = submitted(api.ledger, reference="acme")
        asked = json.dumps([["cart_add", "b6ac94ed", "yes"]]), json.dumps([["checkout", "95a35846", "unclear:timeout"]])
        for step in (
            {"name": "bind", "detail": "+12135550100"},
            {"name": "fence", "detail": "+12135550100", "calls": asked[0]},
            {"name": "checkout_unclear", "detail": "timeout", "calls": asked[1]},
            {"name": "settled", "detail": "ours", "witness": "owned list shows all"},
        ):
            add_step(api, job.id, **step)
        text = text_of(as_("viewer").get(f"/jobs/{job.id}"))
        for words in (
            "cart_add b6ac94ed yes",
            "checkout 95a35846 unclear:timeout",
            "Decided by: owned list shows all",
            f"didflow explain {job.id}",
        ):
            assert words in text
        assert "Look read what is ours at this step" in text
        assert "Revoke after an unclear answer: empty the cart not needed" in text

    def test_each_round_of_a_purchase_is_shown_with_what_came_of_it(self, as_: As, api: Api) -> None:
        job = submitted(api.ledger, reference="rounds")
        first = ("bind", "+12135550100"), ("bind", "+12135550101"), ("fence", ""), ("checkout_unclear", "timeout"), ("revoke", "")
        second = ("settled", "ours: +12135550100; not ours: +12135550101"), ("bind", "+12135550102"), ("fence", ""), ("checkout_yes", "")
        for name, detail in (*first, *second):
            add_step(api, job.id, name=name, detail=detail)
        text = text_of(as_("viewer").get(f"/jobs/{job.id}"))
        strip = text[text.index("Purchase protocol") : text.index("What happened")]
        before, last = strip.split(", the last one")
        assert re.search(
            r"Round 1 [\d:]+( UTC)? Bind done Cart done Fence done Check out done Revoke done Look done Done done "
            r"ours: \+12135550100; not ours: \+12135550101 Round 2 ",
            before,
        ), before
        assert "Check out once, never sent again at this step Revoke after an unclear answer: empty the cart not reached" in last
        story = text[text.index("What happened") :]
        places = [story.index(words) for words in ("Round 1 of 2", "+12135550100", "ours: +12135550100", "Round 2 of 2", "+12135550102")]
        assert places == sorted(places)

    def test_a_purchase_of_one_round_has_no_heading_for_it(self, as_: As, api: Api) -> None:
        job = submitted(api.ledger)
        for name in ("bind", "bind", "put_back", "bind", "fence"):
            add_step(api, job.id, name=name, detail="")
        assert "Round" not in text_of(as_("viewer").get(f"/jobs/{job.id}"))

    def test_a_parked_job_says_what_would_settle_it_and_is_retried(self, as_: As, api: Api) -> None:
        job = parked(api)
        operator = as_("operator")
        text = text_of(operator.get(f"/jobs/{job}"))
        assert "unsettled" in text
        assert "What happened isn't known: Retry checks again, and with the evidence you can decide what happened." in text
        assert f"didflow resolve {job} --bought NUMBER" in text
        done = operator.post(f"/jobs/{job}/retry")
        assert "The job continues from its last checkpoint." in text_of(done)
        assert api.ledger.get(job).state is JobState.QUEUED
        assert api.ledger.get(job).decided_by == "operator"

    def test_a_job_is_cancelled_in_the_visitors_name(self, as_: As, api: Api) -> None:
        job = submitted(api.ledger)
        operator = as_("operator")
        page = operator.post(f"/jobs/{job.id}/cancel")
        assert (page.status_code, "reason_missing" in page.text, api.ledger.get(job.id).state) == (422, True, JobState.QUEUED)
        assert "The job is cancelled." in text_of(operator.post(f"/jobs/{job.id}/cancel", {"reason": "ordered twice"}))
        view = api.ledger.get(job.id)
        assert (view.state, view.decided_by) == (JobState.CANCELLED, "operator")
        assert "nothing was cancelled" in text_of(operator.post(f"/jobs/{job.id}/cancel"))

    def test_its_numbers_are_shown_page_by_page_and_as_csv(self, as_: As, api: Api) -> None:
        job = submitted(api.ledger)
        numbers = tuple(NumberResult(number=f"+1213555{at:04}", outcome=Outcome.BOUGHT, setup_usd=Decimal("0.5")) for at in range(150))
        api.ledger.finish(claimed(api.ledger, job.id), JobState.SUCCEEDED, Result(numbers=numbers, totals=Totals(requested=150, done=150)))
        viewer = as_("viewer")
        first, second = text_of(viewer.get(f"/jobs/{job.id}")), text_of(viewer.get(f"/jobs/{job.id}?page=2"))
        assert ("+12135550099" in first, "+12135550100" in first, "+12135550100" in second) == (True, False, True)
        rows = list(csv.DictReader(io.StringIO(viewer.get(f"/jobs/{job.id}/numbers.csv").text)))
        assert [row["number"] for row in rows] == [number.number for number in numbers]


def test_dead_letters_are_replayed_and_deleted(as_: As, api: Api) -> None:
    poison = {"poison_entry": "1-1", "poison_group": "billing", "poison_reason": "can't be read"}
    name = str(api.ledger.client.xadd(api.ledger.keys.poison, poison))  # type: ignore[arg-type]
    operator = as_("operator")
    assert "can't be read" in text_of(operator.get("/dead-letters"))
    assert operator.post("/dead-letters/replay", {"name": name}).status_code == 422, "its group is gone"
    client, keys = api.ledger.client, api.ledger.keys
    kept = str(client.xadd(keys.results, {"subject": "a job"}))
    client.xgroup_create(keys.results, "consumer-of-it", "0")
    back = str(client.xadd(keys.poison, {"poison_entry": kept, "poison_group": "consumer-of-it", "poison_reason": "a bug"}))
    assert "Replayed." in text_of(operator.post("/dead-letters/replay", {"name": back}))
    assert client.xrange(keys.poison, back, back) == []
    why = {"name": name, "reason": "a test of billing"}
    assert "reason_missing" in operator.post("/dead-letters/drop", {"name": name}).text
    assert "Deleted permanently." in text_of(operator.post("/dead-letters/drop", why))
    (entry,) = api.http.get("/v1/audit", params={"what": "dead-letters drop"}).json()["entries"]
    assert (entry["actor"], entry["reason"], entry["on"]["subject"]) == ("operator", "a test of billing", name)
    gone = operator.post("/dead-letters/drop", why)
    assert (gone.status_code, "dead_letter_not_found" in gone.text) == (404, True)


def test_a_freeze_needs_a_reason_and_is_on_every_screen_until_it_is_lifted(as_: As, api: Api) -> None:
    operator, viewer = as_("operator"), as_("viewer")
    assert operator.post("/accounts/freeze", {"account": "default"}).status_code == 422
    assert "Frozen: no purchase and no release begins" in text_of(
        operator.post("/accounts/freeze", {"account": "default", "reason": "wrong list"})
    )
    for path in ("/", "/jobs", "/spend"):
        assert "Frozen, account default: no purchase and no release begins; reroutes continue. By operator" in text_of(viewer.get(path))
        assert "wrong list" in text_of(viewer.get(path))
    assert "Account default: purchases and releases are frozen by a person." in text_of(viewer.get("/"))
    assert viewer.post("/accounts/lift", {"account": "default"}).status_code == 403
    assert "The freeze is lifted." in text_of(operator.post("/accounts/lift", {"account": "default", "reason": "the list is right"}))
    assert "Frozen, account" not in text_of(viewer.get("/"))
    assert api.ledger.perform(freezes(api.ledger.keys)) == ()


def test_every_screen_has_a_button_to_freeze_and_while_it_holds_one_to_lift_it(as_: As, api: Api) -> None:
    operator, viewer = as_("operator"), as_("viewer")
    screens = [screen.path for screen in SCREENS if ApiScope.READ in screen.scopes]

    def buttons(path: str) -> tuple[bool, bool]:
        text = text_of(operator.get(path))
        return "Freeze purchases and releases" in text, "Lift this freeze" in text

    assert {buttons(path) for path in screens} == {(True, False)}
    assert all('name="reason"' in operator.get(path).text for path in screens), "and a field for the reason"
    operator.post("/accounts/freeze", {"account": "", "reason": "<b>wrong list</b>"})
    assert {buttons(path) for path in screens} == {(False, True)}
    for path in screens:
        page = viewer.get(path)
        assert "Frozen, all accounts: no purchase and no release begins; reroutes continue. By operator" in text_of(page), path
        assert ("<b>wrong list</b>" in text_of(page), "<b>wrong" in page.text, "Lift this freeze" in page.text) == (True, False, False)
    operator.post("/accounts/lift", {"account": "", "reason": "right list"})
    assert {buttons(path) for path in screens} == {(True, False)}
    (lifted,) = api.http.get("/v1/audit", params={"what": "unfreeze", "limit": 1}).json()["entries"]
    assert (lifted["actor"], lifted["reason"]) == ("operator", "right list")


def test_findings_of_a_gate_are_accepted_by_number(as_: As, api: Api) -> None:
    number = "+12135550177"
    api.ledger.client.hset(api.ledger.keys.gate("default"), "findings", json.dumps(Findings("default", {number: 7}).as_fields()))
    operator = as_("operator")
    assert number in text_of(operator.get("/accounts"))
    assert operator.post("/accounts/accept", {"account": "default"}).status_code == 422
    strange = operator.post("/accounts/accept", {"account": "default", "number": "+12135550188", "reason": "x"})
    assert (strange.status_code, "not among the findings" in strange.text) == (422, True)
    assert "reason_missing" in operator.post("/accounts/accept", {"account": "default", "number": number}).text
    accepted = operator.post("/accounts/accept", {"account": "default", "number": [number], "reason": "bought by hand"})
    assert "Accepted." in text_of(accepted)
    assert Gate(api.ledger).accepted("default") == {"7"}
    api.ledger.client.hdel(api.ledger.keys.gate("default"), "findings")


def test_spending_shows_what_is_spent_and_held(as_: As, api: Api) -> None:
    minute = api.ledger.now_ms() // 60_000
    api.ledger.client.hset(api.ledger.keys.spent("account:default"), str(minute), '{"numbers":2,"usd":35000}')
    assert "3.50" in text_of(as_("viewer").get("/spend"))
    job, settings = submitted(api.ledger, reference="holds"), Settings(_env_file=None, **LIMITED)
    running = claimed(api.ledger, job.id)
    api.ledger.save(running, 1, Write("fence", hold=Spend(numbers=1, usd=Decimal("4.25"))))
    api.ledger.worker_alive("here:1:a")
    api.ledger.perform(note_running(api.ledger.keys, "here:1:a", running_with(settings)))
    text = text_of(as_("viewer").get("/spend"))
    assert re.search(rf"default .* of 400\.00 .* 4\.25 by 1 number {job.id}", text), text
    overview = text_of(as_("viewer").get("/"))
    for words in (
        "USD in doubt 4.25",
        "Oldest, emergency",
        "Oldest, money",
        "Oldest, bulk",
        "Last incidents",
        "Gate",
        "Breaker",
        "3.50 4.25",
    ):
        assert words in overview, words
    api.ledger.worker_gone("here:1:a")
    (spent,) = [one for one in api.ledger.perform(minute_history(api.ledger.commands, 2, ("default",))) if one.usd]
    assert (spent.at_s, spent.usd) == (minute * 60, Decimal("3.5"))


def test_an_error_is_a_page_with_its_code_and_a_next_step(as_: As) -> None:
    page = as_("viewer").get("/jobs/nothing")
    assert page.status_code == 404
    assert "job_not_found" in page.text
    assert 'href="/console/"' in page.text
    assert as_("viewer").get("/nothing").status_code == 404


def test_without_redis_there_is_a_page_that_says_so(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    with RedisRelay(valkey.url) as relay, serving(real_ledger, relay.url, open_to="ann") as url, visiting(url) as visitor:
        relay.close()
        page = visitor.get("/jobs")
        assert (page.status_code, "service_unavailable" in page.text, page.headers["retry-after"]) == (503, True, "5")
        relay.open()
        assert visitor.get("/jobs").status_code == 200


def test_a_fault_of_ours_is_a_page_without_its_details(as_: As, api: Api) -> None:
    job = submitted(api.ledger)
    add_step(api, job.id, name="bind", calls="[1")
    page = as_("viewer").get(f"/jobs/{job.id}")
    assert (page.status_code, page.headers["content-type"]) == (500, "text/html; charset=utf-8")
    assert "internal_error" in page.text
    assert "Traceback" not in page.text
