"""`didflow reconcile` on a sandbox in which someone meddled: what it finds, what it repairs, and what only a person decides."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job
from didflow.contract.requests import Release, Reroute, SearchAndBuy
from didflow.contract.states import JobState
from tests.support.inline_shell import shell_of
from tests.support.inline_worker import InlineWorker, outcomes
from tests.support.ledger_roles import reserve_for
from tests.support.lossy_valkey import LosingValkey, Plot
from tests.support.shell import Shell
from worker.local.embedded_valkey import EmbeddedValkey
from worker.wavix.sandbox import Sandbox
from worker.wavix.sandbox.options import SANDBOX_KEY

TWO = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=2)
PBX = Destination.sip("pbx@example.net")


@pytest.fixture
def shell(inline: InlineWorker, valkey: EmbeddedValkey, tmp_path: Path) -> Shell:
    return shell_of(inline, valkey.url, tmp_path)


def release_elsewhere(inline: InlineWorker, number: str) -> None:
    """In the portal, by someone."""
    record = inline.sandbox.owned()[number.removeprefix("+")]
    inline.client.release([int(record["record_id"])])


def test_a_ledger_that_agrees_is_said_to(inline: InlineWorker, shell: Shell) -> None:
    kept, back = sorted(outcomes(inline.run(TWO)))
    inline.run(Reroute(numbers=(kept,), destinations=(PBX,)))
    inline.run(Release(numbers=(back,)))
    ended = shell("reconcile")
    assert (ended.code, "all agrees" in ended.err) == (0, True)
    shown = shell("reconcile", "--json").json
    assert (shown["gate"], shown["owned"], shown["claimed"], shown["counts"]) == ("open", 1, 1, {})
    assert shown["charged_usd"] == str(inline.sandbox.charged_usd())


def test_an_orphan_a_number_that_is_gone_and_a_route_that_drifted_are_found_and_what_can_be_is_repaired(
    inline: InlineWorker, shell: Shell
) -> None:
    lost, moved = sorted(outcomes(inline.run(TWO)))
    (orphan,) = inline.own(1, days_ago=0)
    inline.run(Reroute(numbers=(moved,), destinations=(PBX,)))
    release_elsewhere(inline, lost)
    inline.sandbox.order(
        "set_destinations", number=moved[1:], destinations=[{"transport": 1, "destination": "thief@example.org", "priority": 1}]
    )
    reserve_for(inline.ledger, "a job that is gone", "+15550100")

    ended = shell("reconcile", "--json")
    assert ended.code == 1
    assert ended.json["counts"] == {"orphan": 1, "gone": 1, "drifted": 1, "reserved_for_nobody": 1}
    assert {one["kind"]: one["number"] for one in ended.json["findings"]} == {
        "orphan": orphan,
        "gone": lost,
        "drifted": moved,
        "reserved_for_nobody": "+15550100",
    }
    shown = shell("reconcile").out
    assert all(text in shown for text in (orphan, lost, "sip:thief@example.org, not sip:pbx@example.net", "--accept"))

    repaired = shell("reconcile", "--repair", "--yes")
    assert f"reroute 1 numbers to sip:pbx@example.net: {moved}" in repaired.err
    (rerouting,) = (view for view in inline.ledger.perform(inline.ledger.commands.find(state=JobState.QUEUED)))
    assert rerouting.id in repaired.err
    assert rerouting.id in shell("reconcile", "--repair", "--yes").err, "submitted once, however often"
    inline.runner.run(rerouting.id)
    assert inline.routes()[moved] == ["pbx@example.net"]
    accepted = shell("reconcile", "--accept", orphan, "--yes", "--json")
    assert (accepted.code, accepted.json["counts"]) == (1, {"gone": 1})
    assert inline.owned() == {moved, orphan}, "nothing was bought, nothing given back"
    assert all(text in shell("history", orphan).out for text in ("accepted", "(reconcile)", "by a person", "is whole"))


def test_only_what_was_found_is_accepted_or_given_and_not_without_being_asked(inline: InlineWorker, shell: Shell) -> None:
    job = inline.submit(TWO)
    (orphan,) = inline.own(1, days_ago=0)
    assert shell("reconcile", "--accept", "+12135550100", "--yes").code == 2
    assert shell("reconcile", "--accept", "12", "--yes").code == 2
    assert shell("reconcile", "--give", f"{job.id}=+12135550100", "--yes").code == 2
    assert shell("reconcile", "--give", f"nobody={orphan}", "--yes").code == 2
    unasked = shell("reconcile", "--accept", orphan)
    assert (unasked.code, "--yes" in unasked.err) == (2, True)
    assert shell("reconcile", "--account", "unknown").code == 2
    assert shell("reconcile", "--json").json["counts"] == {"orphan": 1}


def test_of_two_people_one_gives_the_orphan_and_the_other_meets_a_conflict(inline: InlineWorker, shell: Shell) -> None:
    one, two = inline.submit(TWO), inline.submit(TWO, "another")
    (orphan,) = inline.own(1, days_ago=0)
    given = shell("reconcile", "--give", f"{one.id}={orphan}", "--yes", "--json")
    assert given.json["counts"] == {}
    assert shell("reconcile", "--give", f"{one.id}={orphan}", "--yes").code == 0, "the answer to the first was lost"
    late = shell("reconcile", "--give", f"{two.id}={orphan}", "--yes", "--json")
    assert (late.code, late.json["error"]["code"], inline.ledger.numbers(two.id)) == (4, "already_decided", {})


def test_a_provider_that_does_not_answer_is_no_finding(inline: InlineWorker, shell: Shell) -> None:
    inline.submit(TWO)
    inline.sandbox.order("set_key_valid", valid=False)
    ended = shell("reconcile", "--json")
    assert (ended.code, ended.json["error"]["code"]) == (5, "service_unavailable")
    assert SANDBOX_KEY not in ended.out + ended.err


@pytest.fixture
def forgotten(tmp_path: Path, sandbox: Sandbox, namespace: str) -> Iterator[tuple[Plot, str, list[str]]]:
    """A purchase of which Redis forgot all but the submit, and the numbers that it bought."""
    valkey = LosingValkey(tmp_path / "valkey")
    plot = Plot(valkey, sandbox, namespace)
    job = plot.inline.submit(TWO)
    bought = sorted(outcomes(plot.finish(job)))
    valkey.die(keep=dict(plot.sizes)["claim"])
    valkey.restart()
    plot.go_on(job, lambda: plot.gate.findings("default"))
    yield plot, job.id, bought
    plot.close()
    valkey.stop()


@pytest.mark.faults
def test_numbers_given_to_the_job_that_bought_them_count_and_the_gate_opens(forgotten: tuple[Plot, str, list[str]], tmp_path: Path) -> None:
    plot, job_id, bought = forgotten
    shell = shell_of(plot.inline, plot.valkey.url, tmp_path)
    found = shell("reconcile", "--json")
    assert (found.json["gate"], [one["jobs"] for one in found.json["findings"]]) == ("closed", [[job_id], [job_id]])
    ill = {check["name"]: check for check in shell("doctor", "--json").json}["gate default"]
    assert ill["verdict"] == "fail"
    assert all(text in ill["message"] for text in (*bought, job_id))
    given = shell("reconcile", *(f"--give={job_id}={number}" for number in bought), "--yes", "--json")
    assert (given.code, given.json["findings"]) == (0, [])
    view = plot.finish(plot.inline.submit(TWO, "another"))  # Only an open gate lets it buy.
    assert view.state is JobState.SUCCEEDED
    ended = plot.finish(plot.job(job_id))
    assert ended.state is JobState.SUCCEEDED
    assert sorted(outcomes(ended)) == bought
    assert ended.result is not None
    assert ended.result.totals.charged_usd + (view.result.totals.charged_usd if view.result else 0) == plot.inline.sandbox.charged_usd()
    steps = [step.name for step in plot.inline.story(ended)]
    assert steps.count("given") == 2
    assert "fence" not in steps


def test_a_number_that_an_ended_release_left_parked_is_found_and_repaired(inline: InlineWorker, shell: Shell) -> None:
    (number,) = inline.own(1)
    parking = Destination.sip("goodbye@example.net")
    inline.sandbox.add_fault("release", "refuse", status=200, body={"success": True}, times=None)
    job = inline.submit(Release(numbers=(number,), grace=timedelta(seconds=0.1), parking=(parking,)))
    assert inline.finish(job).state is JobState.NEEDS_REVIEW
    assert shell("reconcile", "--json").json["counts"] == {}, "the release has it"
    assert shell("resolve", job.id, "--not-released", "--yes").code == 0
    follow_up = inline.ledger.get(f"{job.id}-unpark")
    shown = shell("reconcile", "--json").json
    assert {one["kind"]: one["number"] for one in shown["findings"]} == {"left_parked": number}
    assert "reroute 1 numbers to sip:old@example.net" in shell("reconcile", "--repair", "--yes").err
    inline.runner.run(follow_up.id)
    assert inline.finish(Job(follow_up.id, True, follow_up.state)).state is JobState.SUCCEEDED
    assert inline.routes()[number] == ["old@example.net"]
    assert shell("reconcile", "--json").json["counts"] == {}
