"""Inactive numbers can be routed, but take no calls: reroutes and failbacks say which they are, and how many."""

import json
from pathlib import Path
from typing import cast

import pytest

from didflow import Didflow
from didflow.contract.destinations import Destination
from didflow.contract.events import Event
from didflow.contract.jobs import JobView
from didflow.contract.provider import OwnedNumber
from didflow.contract.requests import Failback, Reroute, Selector
from didflow.contract.results import NumberResult
from didflow.ledger.ledger import Ledger
from didflow.ledger.progress import tally
from tests.support.fan_out import fanning, play
from tests.support.inline_worker import InlineWorker, result_of
from tests.support.shell import Shell
from worker.local.embedded_valkey import EmbeddedValkey
from worker.wavix.sandbox import Sandbox, SandboxOptions

__all__ = ["fanning"]

BACKUP = Destination.sip("backup@example.net")
AWAY = Reroute(selector=Selector(all=True), destinations=(BACKUP,))
INACTIVE = "are inactive: they can be routed, but take no calls until their documents are approved"


def inactive(numbers: tuple[NumberResult, ...]) -> set[str]:
    assert all(one.takes_calls is not None for one in numbers)
    return {one.number for one in numbers if one.takes_calls is False}


def event_of(inline: InlineWorker, view: JobView) -> Event:
    entries = cast("list[tuple[str, dict[str, str]]]", inline.ledger.client.xrange(inline.ledger.keys.results))
    (fields,) = (fields for _, fields in entries if fields["subject"] == view.id)
    return Event.model_validate({**fields, "data": json.loads(fields["data"])})


@pytest.fixture
def shell(inline: InlineWorker, valkey: EmbeddedValkey, tmp_path: Path) -> Shell:
    return Shell(tmp_path, {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": inline.settings.namespace})


def test_a_few_are_named_on_both_ways_and_in_the_dry_run(inline: InlineWorker) -> None:
    inline.own(3)
    waiting = set(inline.own(2, approved=False))
    looked = result_of(inline.run(AWAY.model_copy(update={"dry_run": True}))).quote
    assert looked is not None
    assert inactive(looked.numbers) == waiting
    away = inline.run(AWAY)
    assert away.state == "succeeded"
    assert inactive(result_of(away).numbers) == waiting
    assert inactive(event_of(inline, away).data.numbers) == waiting
    assert inline.ledger.perform(tally(inline.ledger.keys, away.id)).inactive == 2
    (first, *_) = sorted(waiting)
    inline.sandbox.order("approve_documents", number=first[1:])
    back = inline.run(Failback(job_id=away.id))
    assert inactive(result_of(back).numbers) == waiting - {first}, "as it is on the way back"


def test_of_many_they_are_named_and_counted_on_both_ways(fanning: InlineWorker) -> None:
    fanning.own(40)
    waiting = set(fanning.own(12, approved=False))
    away = play(fanning, fanning.submit(AWAY))
    assert inactive(result_of(away).numbers) == waiting
    assert fanning.ledger.perform(tally(fanning.ledger.keys, away.id)).inactive == 12
    back = play(fanning, fanning.submit(Failback(job_id=away.id)))
    assert inactive(result_of(back).numbers) == waiting
    assert fanning.ledger.perform(tally(fanning.ledger.keys, back.id)).inactive == 12


def test_of_very_many_the_summary_counts_them_and_status_says_so(real_ledger: Ledger, shell: Shell, valkey: EmbeddedValkey) -> None:
    with Sandbox(SandboxOptions(numbers_per_city=200)) as wide:
        inline = InlineWorker(real_ledger, wide)
        inline.own(1000)
        waiting = set(inline.own(12, approved=False))
        looked = play(inline, inline.submit(AWAY.model_copy(update={"dry_run": True})), within_s=60.0)
        away = play(inline, inline.submit(AWAY), within_s=60.0)
        back = play(inline, inline.submit(Failback(job_id=away.id)), within_s=60.0)
        inline.close()
    didflow = Didflow.from_url(valkey.url, real_ledger.keys.namespace)
    for view in (looked, away, back):
        summary = result_of(view).summary
        assert summary is not None
        assert summary.inactive == 12
        assert inactive(tuple(didflow.numbers(view.id))) == waiting
        assert f"12 of 1,012 {INACTIVE}" in shell("status", view.id, columns=200).out
        assert shell("status", view.id, "--json").json["result"]["summary"]["inactive"] == 12
    assert event_of(inline, away).data.summary == result_of(away).summary


def test_status_says_of_a_few_which_and_how_many(shell: Shell, inline: InlineWorker) -> None:
    inline.own(3)
    inline.own(2, approved=False)
    view = inline.run(AWAY)
    shown = shell("status", view.id, columns=200).out
    assert f"2 of 5 {INACTIVE}" in shown
    assert shown.count("inactive: takes no calls") == 2
    lines = shell("status", view.id, "--csv", "-").out.splitlines()
    assert sorted(line.rpartition(",")[2] for line in lines) == ["no", "no", "takes_calls", "yes", "yes", "yes"]
    all_active = inline.run(
        Reroute(numbers=tuple(one.number for one in result_of(view).numbers if one.takes_calls), destinations=(BACKUP,))
    )
    assert "inactive" not in shell("status", all_active.id).out


@pytest.mark.parametrize(
    ("status", "takes_calls"), [("active", True), ("inactive", False), ("", None), ("unreadable", None), ("new", None)]
)
def test_a_status_that_is_neither_word_says_nothing(status: str, takes_calls: bool | None) -> None:
    assert OwnedNumber(record_id=1, number="+12135550100", status=status).takes_calls is takes_calls
