"""A parked job: it checks again when it is retried, or ends with what a person found; one result, and nothing bought twice."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from didflow import AsyncDidflow, Didflow, InvalidRequest, Job, JobNotFound, JobState, Release, SearchAndBuy, WrongJob
from didflow.contract.jobs import JobView
from didflow.ledger.connection import connect_async
from didflow.ledger.reservations import Reservation
from tests.support.inline_worker import InlineWorker, charged, outcomes
from tests.support.ledger_roles import stream
from tests.support.shell import Shell
from worker.local.embedded_valkey import EmbeddedValkey

TWO = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=2)


@pytest.fixture
def didflow(inline: InlineWorker) -> Didflow:
    return Didflow(inline.ledger.client, inline.settings.namespace)


@pytest.fixture
def impatient(inline: InlineWorker) -> Iterator[InlineWorker]:
    """Parks what it can't determine within a second."""
    impatient = InlineWorker(inline.ledger, inline.sandbox, settle_limit_seconds=1.0, max_attempts=1)
    yield impatient
    impatient.close()


@pytest.fixture
def parked(impatient: InlineWorker) -> JobView:
    """A purchase that was made and that the provider's list doesn't show."""
    impatient.sandbox.add_fault("owned", "lag", seconds=60.0, times=None)
    view = impatient.run(TWO)
    assert view.state is JobState.NEEDS_REVIEW
    return view


def ends(inline: InlineWorker, view: JobView) -> list[str]:
    """The states that the results stream tells of this job."""
    return [fields["type"].split(".")[2] for fields in stream(inline.ledger, "results") if fields["subject"] == view.id]


def test_a_parked_job_looks_again_and_ends_once(inline: InlineWorker, didflow: Didflow, parked: JobView) -> None:
    inline.sandbox.clear_faults()
    assert didflow.retry(parked.id).state is JobState.QUEUED
    view = inline.finish(Job(parked.id, False, JobState.QUEUED))
    assert view.state is JobState.SUCCEEDED
    assert set(outcomes(view)) == inline.owned()
    assert len(inline.sandbox.ledger()) == 2
    assert ends(inline, parked) == ["needs_review", "succeeded"]
    assert didflow.retry(parked.id).state is JobState.SUCCEEDED, "a job that has ended stays as it is"


def test_a_parked_purchase_ends_with_what_was_found(inline: InlineWorker, didflow: Didflow, parked: JobView) -> None:
    one, other = sorted(outcomes(parked))
    view = didflow.resolve(parked.id, [one])
    assert (view.state, outcomes(view)) == (JobState.PARTIAL, {one: "bought", other: "failed"})
    assert 0 < charged(view) < inline.sandbox.charged_usd()
    assert ends(inline, parked) == ["needs_review", "partial"]
    held = cast("dict[str, str]", inline.ledger.client.hgetall(inline.ledger.keys.reserved("default")))
    assert set(held) == {one, other}, "both are left alone for a day: what is ours, and what may have been"
    assert all(Reservation.model_validate_json(text).until_ms for text in held.values())
    shown = {number: [(e.happened.what, e.happened.by) for e in didflow.history(number).entries] for number in (one, other)}
    assert shown == {one: [("unclear", None), ("bought", "person")], other: [("unclear", None), ("not_bought", "person")]}


def test_all_bought_is_a_success_and_none_a_failure(impatient: InlineWorker, didflow: Didflow, parked: JobView) -> None:
    assert didflow.resolve(parked.id, outcomes(parked)).state is JobState.SUCCEEDED
    again = impatient.run(TWO)
    assert didflow.resolve(again.id, []).state is JobState.FAILED
    with pytest.raises(WrongJob, match="is failed"):
        didflow.resolve(again.id, [])


def test_a_finding_of_before_another_look_does_not_end_the_job(impatient: InlineWorker, didflow: Didflow, parked: JobView) -> None:
    one, other = sorted(outcomes(parked))
    didflow.retry(parked.id)
    again = impatient.finish(Job(parked.id, False, JobState.QUEUED))
    assert (again.state, again.token > parked.token) == (JobState.NEEDS_REVIEW, True)
    with pytest.raises(WrongJob, match="was retried and parked again"):
        didflow.resolve(parked.id, [one], seen=parked)
    assert didflow.get(parked.id) == again, "nothing was written"
    with pytest.raises(WrongJob, match="what was seen is job"):
        didflow.resolve("another", [one], seen=again)
    assert outcomes(didflow.resolve(parked.id, [other], seen=again)) == {one: "failed", other: "bought"}


def test_the_same_finding_may_be_sent_twice(impatient: InlineWorker, didflow: Didflow, parked: JobView) -> None:
    first = didflow.resolve(parked.id, [], seen=parked)
    assert didflow.resolve(parked.id, [], seen=parked) == first
    assert ends(impatient, parked) == ["needs_review", "failed"]


def test_what_is_not_open_is_not_resolved(inline: InlineWorker, didflow: Didflow, parked: JobView) -> None:
    with pytest.raises(InvalidRequest, match="12135550199: not open"):
        didflow.resolve(parked.id, ["+12135550199"])
    with pytest.raises(WrongJob, match="only one that needs a review"):
        didflow.resolve(inline.submit(TWO).id, [])
    with pytest.raises(JobNotFound):
        didflow.retry("nobody")
    assert didflow.get(parked.id).state is JobState.NEEDS_REVIEW


def test_a_job_whose_open_numbers_are_not_known_is_sent_to_look_again(inline: InlineWorker, didflow: Didflow) -> None:
    job = inline.submit(TWO)
    inline.ledger.client.hset(inline.ledger.keys.job(job.id), "memo", "{broken")
    assert inline.attempt(job).state is JobState.NEEDS_REVIEW
    with pytest.raises(WrongJob, match="didflow retry"):
        didflow.resolve(job.id, [])


def test_a_parked_release_ends_with_what_was_found(inline: InlineWorker, impatient: InlineWorker, valkey: EmbeddedValkey) -> None:
    ours = inline.own(2)
    inline.sandbox.add_fault("release", "drop", times=None)
    parked = impatient.run(Release(numbers=tuple(ours)))
    assert parked.state is JobState.NEEDS_REVIEW

    async def resolve() -> JobView:
        client = connect_async(valkey.url)
        didflow = AsyncDidflow(client, inline.settings.namespace)
        view = await didflow.resolve(parked.id, [ours[0]])
        assert (await didflow.retry(parked.id)).state is view.state
        await didflow.aclose()
        return view

    view = asyncio.run(resolve())
    assert (view.state, outcomes(view)) == (JobState.PARTIAL, {ours[0]: "released", ours[1]: "failed"})


def test_the_command_line_asks_for_a_finding_in_the_words_of_the_job(
    tmp_path: Path, inline: InlineWorker, valkey: EmbeddedValkey, parked: JobView
) -> None:
    shell = Shell(tmp_path, {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": inline.settings.namespace})
    one, other = sorted(outcomes(parked))
    vague = shell("resolve", parked.id, "--yes")
    assert (vague.code, "either --bought NUMBER" in vague.err) == (2, True)
    assert shell("resolve", parked.id, "--released", one, "--yes").code == 2
    assert shell("resolve", parked.id, "--bought", "12", "--yes").code == 2
    unasked = shell("resolve", parked.id, "--bought", one)
    assert (unasked.code, "--yes" in unasked.err) == (2, True)
    ended = shell("resolve", parked.id, "--bought", one[1:], "--yes", "--json")
    assert ended.code == 0
    *words, charges = ended.err.splitlines()
    assert words == [f"bought: {one}", f"not bought: {other}"]
    assert charges.startswith("transactions, as a worker read them: ")
    assert ended.json["state"] == "partial"
    late = shell("resolve", parked.id, "--not-bought", "--yes")
    assert (late.code, "is partial" in late.err) == (2, True)
    again = shell("retry", parked.id)
    assert (again.code, "partial" in again.out) == (6, True)
