"""A job of more numbers than an event should carry: its result sums them up, and each is listed page by page, by every client."""

import asyncio
import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from didflow import AsyncDidflow, Didflow
from didflow.contract.destinations import Destination
from didflow.contract.errors import JobError
from didflow.contract.events import Event
from didflow.contract.jobs import Job, JobView
from didflow.contract.requests import Release, Reroute, Selector
from didflow.contract.results import NumberResult
from didflow.contract.states import JobState
from didflow.ledger.failover_plans import FailoverPlans
from didflow.ledger.ledger import Ledger
from producers.cli.job_numbers import write_csv
from producers.job_numbers_csv import COLUMNS
from tests.support.fan_out import play
from tests.support.inline_worker import InlineWorker, result_of
from worker.local.embedded_valkey import EmbeddedValkey
from worker.process.plan_refresh import PlanRefresher
from worker.wavix.sandbox import Sandbox, SandboxOptions

COUNT = 1200
AWAY = Reroute(selector=Selector(all=True), destinations=(Destination.sip("backup@example.net"),))


@pytest.fixture(scope="module")
def wide() -> Iterator[Sandbox]:
    with Sandbox(SandboxOptions(numbers_per_city=300)) as sandbox:
        yield sandbox


@pytest.fixture
def moved(real_ledger: Ledger, wide: Sandbox) -> Iterator[tuple[InlineWorker, JobView, list[str]]]:
    """All numbers moved, but for one that left meanwhile."""
    inline = InlineWorker(real_ledger, wide)
    missing = COUNT - len(inline.owned())
    inline.own(missing)
    ours = sorted(inline.owned())
    job = inline.submit(AWAY.model_copy(update={"destinations": (Destination.sip(f"{real_ledger.keys.namespace}@example.net"),)}))
    inline.attempt(job)
    inline.client.release([int(inline.sandbox.owned()[ours[5][1:]]["record_id"])])
    yield inline, play(inline, job, within_s=60.0), ours
    inline.close()


def test_the_result_has_totals_and_every_number_is_listed_page_by_page(
    moved: tuple[InlineWorker, JobView, list[str]], valkey: EmbeddedValkey, tmp_path: Path
) -> None:
    inline, view, ours = moved
    result = result_of(view)
    assert view.state == "partial"
    assert result.numbers == ()
    assert result.totals.requested == COUNT
    assert result.totals.done == COUNT - 1
    summary = result.summary
    assert summary is not None
    assert summary.outcomes == {"confirmed": COUNT - 1, "not_found": 1}
    assert [error.number for error in summary.errors] == [ours[5]]

    didflow = Didflow.from_url(valkey.url, inline.ledger.keys.namespace)
    everything = list(didflow.numbers(view.id))
    assert sorted(number.number for number in everything) == ours
    assert Counter(number.outcome for number in everything) == {"confirmed": COUNT - 1, "not_found": 1}
    assert all(number.route_before and number.route_after for number in everything)
    by_page = [number for page in range(1, summary.pages + 1) for number in didflow.numbers(view.id, page=page)]
    assert by_page == everything
    assert list(didflow.numbers(view.id, page=summary.pages + 1)) == []
    assert asyncio.run(numbers_async(valkey.url, inline.ledger.keys.namespace, view.id)) == everything

    (entry,) = [fields for _, fields in didflow.recent() if fields["subject"] == view.id]
    event = Event.model_validate({**entry, "data": json.loads(entry["data"])})
    assert len(entry["data"]) < 10_000
    assert event.data.summary == summary

    assert write_csv(didflow.numbers(view.id), tmp_path / "numbers.csv") == COUNT
    lines = list(csv.DictReader(io.StringIO((tmp_path / "numbers.csv").read_text())))
    assert tuple(lines[0]) == COLUMNS
    assert {line["number"]: line["outcome"] for line in lines} == {number.number: number.outcome for number in everything}
    assert {line["error_code"] for line in lines if line["number"] == ours[5]} == {"route_not_found"}


async def numbers_async(url: str, namespace: str, job_id: str) -> list[NumberResult]:
    didflow = AsyncDidflow.from_url(url, namespace)
    found = [number async for number in didflow.numbers(job_id)]
    await didflow.aclose()
    return found


def test_a_job_of_few_numbers_is_read_the_same_way(inline: InlineWorker, valkey: EmbeddedValkey) -> None:
    ours = inline.own(3)
    view = inline.run(Reroute(numbers=tuple(ours), destinations=AWAY.destinations))
    didflow = Didflow.from_url(valkey.url, inline.ledger.keys.namespace)
    assert tuple(didflow.numbers(view.id)) == result_of(view).numbers
    assert list(didflow.numbers(view.id, page=2)) == []


def test_what_is_not_ours_is_no_formula_in_a_spreadsheet(tmp_path: Path) -> None:
    poisoned = NumberResult(number="+12135550100", error=JobError(code="route_refused", message="=HYPERLINK(1)"))
    write_csv([poisoned], tmp_path / "numbers.csv")
    (line,) = csv.DictReader(io.StringIO((tmp_path / "numbers.csv").read_text()))
    assert line["error"] == "'=HYPERLINK(1)"
    assert line["number"] == "+12135550100"


def test_a_plan_of_more_numbers_than_a_result_carries_has_them_all(real_ledger: Ledger, wide: Sandbox) -> None:
    inline = InlineWorker(real_ledger, wide)
    if len(inline.owned()) < COUNT:
        inline.own(COUNT - len(inline.owned()))
    plans = FailoverPlans(real_ledger)
    plans.save("evening", "default", AWAY, "ops@noc", first_s=0)
    PlanRefresher(real_ledger, every_s=600.0).look()
    (job,) = real_ledger.perform(real_ledger.commands.find(state=JobState.QUEUED))
    view = play(inline, Job(job.id, False, job.state))
    assert result_of(view).summary is not None
    PlanRefresher(real_ledger, every_s=600.0).look()
    plan = plans.get("evening")
    assert set(plan.numbers) == inline.owned()
    assert plan.count == len(inline.owned()) >= COUNT
    inline.close()


def test_a_large_release_has_a_summary_in_its_event_and_every_number_in_its_job(
    real_ledger: Ledger, wide: Sandbox, valkey: EmbeddedValkey
) -> None:
    inline = InlineWorker(real_ledger, wide)
    inline.own(COUNT - len(inline.owned()))
    ours = sorted(inline.owned())
    view = inline.run(Release(selector=Selector(all=True), expected_count=len(ours), dry_run=True))
    inline.close()
    quote = result_of(view).quote
    assert quote is not None
    assert sorted(number.number for number in quote.numbers) == ours
    didflow = Didflow.from_url(valkey.url, real_ledger.keys.namespace)
    assert sorted(number.number for number in didflow.numbers(view.id)) == ours
    assert [number.number for number in didflow.numbers(view.id, page=2)] == [number.number for number in quote.numbers[100:200]]
    (entry,) = [fields for _, fields in didflow.recent() if fields["subject"] == view.id]
    event = Event.model_validate({**entry, "data": json.loads(entry["data"])})
    assert len(entry["data"]) < 10_000
    assert event.data.summary is not None
    assert event.data.summary.outcomes == {"would_be_done": len(ours)}
    assert event.data.summary.pages == -(-len(ours) // 100)
