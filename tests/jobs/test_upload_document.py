"""Uploading a document as a job: wherever a worker dies the document is sent once, and what can't be seen is parked."""

import asyncio
import hashlib
from collections.abc import Iterator

import pytest
import redis

from didflow import AsyncDidflow
from didflow.contract.jobs import Job
from didflow.contract.requests import UploadDocument
from didflow.contract.states import JobState
from didflow.ledger import document_transfer
from didflow.ledger.document_transfer import Question
from didflow.ledger.script_calls import cancel, retry
from producers.http.held_files import HeldFiles
from producers.http.problems import Refused
from tests.support.file_holder import Hold, holding
from tests.support.inline_worker import InlineWorker, outcomes, result_of
from tests.support.simulation.dying_workers import DyingWorkers, Play, play_on
from tests.support.simulation.simulation import Simulation
from worker.local.embedded_valkey import EmbeddedValkey

PASSPORT = b"%PDF-1.4 a passport"


@pytest.fixture
def hold(inline: InlineWorker, valkey: EmbeddedValkey) -> Iterator[Hold]:
    with holding(valkey.url, inline.ledger.keys.namespace) as hold:
        yield hold


def request_for(*numbers: str, content: bytes = PASSPORT) -> UploadDocument:
    return UploadDocument(document="id", numbers=numbers, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))


def german(inline: InlineWorker, count: int = 1) -> list[str]:
    """Numbers that need documents."""
    return [f"+{number}" for number in inline.sandbox.order("seed_owned", count=count, city="Berlin", approved=False)]


def sent(inline: InlineWorker) -> int:
    return int(inline.sandbox.state()["calls"].get("papers", 0))


def submitted(inline: InlineWorker, hold: Hold, *numbers: str) -> Job:
    job = inline.submit(request_for(*numbers))
    hold(job.id, PASSPORT)
    return job


def test_a_file_with_another_digest_is_not_sent(inline: InlineWorker, hold: Hold) -> None:
    (number,) = german(inline)
    request = request_for(number)
    job = inline.submit(request)
    hold(job.id, PASSPORT[::-1], request.sha256)
    view = inline.finish(job)
    error = result_of(view).error
    assert (view.state, error and error.code, sent(inline)) == (JobState.FAILED, "document_damaged", 0)


@pytest.mark.parametrize("held", [True, False])
def test_without_the_file_of_this_job_it_says_to_send_it_again(
    inline: InlineWorker, hold: Hold, held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_transfer, "GIVE_UP_S", 0.1)
    (number,) = german(inline)
    job = inline.submit(request_for(number))
    if held:
        hold("another-job", PASSPORT)
    view = inline.finish(job)
    error = result_of(view).error
    assert (view.state, error and error.code, sent(inline)) == (JobState.FAILED, "document_gone", 0)


def test_what_is_not_shown_is_parked_and_a_retry_sends_nothing(inline: InlineWorker, hold: Hold) -> None:
    (number,) = german(inline)
    inline.sandbox.add_fault("papers", "drop")
    view = inline.finish(submitted(inline, hold, number))
    error = result_of(view).error
    assert (view.state, error and error.code, outcomes(view)) == (JobState.NEEDS_REVIEW, "upload_unclear", {number: "unclear"})
    job = Job(view.id, False, view.state)
    inline.ledger.run(retry(job.id))
    assert inline.attempt(job).state is JobState.NEEDS_REVIEW
    assert sent(inline) == 1
    again = inline.finish(submitted(inline, hold, number))
    assert (again.state, outcomes(again), sent(inline)) == (JobState.SUCCEEDED, {number: "confirmed"}, 2)
    inline.ledger.run(retry(job.id))
    assert outcomes(inline.attempt(job)) == {number: "confirmed"}, "the number shows one"


def test_a_lost_answer_is_read_back(inline: InlineWorker, hold: Hold) -> None:
    (number,) = german(inline)
    inline.sandbox.add_fault("papers", "act_and_drop")
    view = inline.finish(submitted(inline, hold, number))
    assert (view.state, outcomes(view), sent(inline)) == (JobState.SUCCEEDED, {number: "confirmed"}, 1)


def test_a_refusal_is_the_number_s_and_a_full_rate_is_waited_out(inline: InlineWorker, hold: Hold) -> None:
    first, second = german(inline, 2)
    inline.sandbox.add_fault("papers", "rate_limit", seconds=0)
    job = submitted(inline, hold, first, second)
    waiting = inline.attempt(job)
    assert (waiting.state, waiting.reason) == (JobState.WAITING, "rate_limited")
    inline.sandbox.add_fault("papers", "refuse", times=2, status=400)  # Both together, then the first alone.
    view = inline.finish(job)
    assert (view.state, outcomes(view)) == (JobState.PARTIAL, {first: "refused", second: "confirmed"})


def test_a_cancel_before_it_is_sent_sends_nothing(inline: InlineWorker, hold: Hold) -> None:
    (number,) = german(inline)
    job = submitted(inline, hold, number)
    inline.ledger.run(cancel(job.id))
    assert (inline.attempt(job).state, sent(inline)) == (JobState.CANCELLED, 0)


@pytest.mark.parametrize("acts", [True, False])
@pytest.mark.parametrize("status", [429, 403])
def test_a_cancel_after_a_refusal_looks_before_it_says_that_nothing_was_sent(
    inline: InlineWorker, hold: Hold, status: int, acts: bool
) -> None:
    """A proxy may have passed the call on before it was refused."""
    (number,) = german(inline)
    inline.sandbox.add_fault("papers", "act_then_refuse" if acts else "refuse", status=status, headers={"Retry-After": "1"})
    job = submitted(inline, hold, number)
    assert inline.attempt(job).state is JobState.WAITING
    inline.ledger.run(cancel(job.id))
    view = inline.attempt(job)
    (one,) = result_of(view).numbers
    assert sent(inline) == 1
    if acts:
        assert (view.state, one.outcome) == (JobState.SUCCEEDED, "confirmed")
    else:
        assert (view.state, one.outcome) == (JobState.CANCELLED, "failed")
        assert "doesn't show it one settle time later" in (one.error.message if one.error else "")


def test_a_file_that_is_gone_after_a_refusal_does_not_hide_that_it_was_passed_on(
    inline: InlineWorker, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = german(inline, 2)
    inline.sandbox.add_fault("papers", "act_then_refuse", status=429)
    job = submitted(inline, hold, first, second)
    inline.attempt(job)
    monkeypatch.setattr(document_transfer, "GIVE_UP_S", 0.1)
    hold(job.id, PASSPORT[::-1], hashlib.sha256(PASSPORT).hexdigest())
    view = inline.finish(job)
    assert outcomes(view) == {first: "confirmed", second: "confirmed"}


def test_wherever_a_worker_dies_it_is_sent_once(quick_valkey: redis.Redis, quick_url: str) -> None:
    points: list[str] = []
    place = 0
    while place <= len(points):
        simulation = Simulation(quick_valkey, settle_seconds=0.0)
        (number,) = simulation.sandbox.order("seed_owned", count=1, city="Berlin", approved=False)
        with holding(quick_url, simulation.ledger.keys.namespace) as hold:
            job = simulation.submit(request_for(f"+{number}"))
            hold(job.id, PASSPORT)
            workers = DyingWorkers(*([place] if points else []))
            play_on(Play(simulation, job), workers)
        points = points or workers.reached
        calls = int(simulation.sandbox.state()["calls"].get("papers", 0))
        there = [one["kind"] for one in simulation.sandbox.owned()[number]["documents"]]
        state = simulation.view(job).state
        if workers.died in (["after:save.uploading"], ["before:upload_paper"]):
            # It might have been sent: a person looks, and nothing is sent again.
            assert (state, calls, there) == (JobState.NEEDS_REVIEW, 0, []), workers.died
        else:
            assert (state, calls, there) == (JobState.SUCCEEDED, 1, [1]), workers.died
        simulation.close()
        place += 1
    assert "after:upload_paper" in points


def test_a_server_takes_only_as_much_as_it_has_room_for() -> None:
    async def play() -> None:
        didflow = AsyncDidflow.from_url("redis://127.0.0.1:1", "nothing")
        files = HeldFiles(didflow, most_files=2, most_bytes=100)
        with files.room_for(60), pytest.raises(Refused) as refused, files.room_for(41):
            pass
        assert (refused.value.status_code, refused.value.headers) == (503, {"Retry-After": "5"})
        with files.room_for(60):
            files.hold("a", "digest", bytes(60))
        with files.room_for(40):
            files.hold("b", "digest", bytes(40))
        with pytest.raises(Refused), files.room_for(0):
            pass
        await files.aclose()
        assert len(files) == 0
        await didflow.aclose()

    asyncio.run(play())


def test_a_file_is_forgotten_when_its_job_has_ended_or_its_time_is_over(inline: InlineWorker, valkey: EmbeddedValkey) -> None:
    parked = inline.submit(request_for("+493012345678"))
    inline.ledger.run(cancel(parked.id))
    waiting = inline.submit(request_for("+493012345679"))

    async def play() -> None:
        didflow = AsyncDidflow.from_url(valkey.url, inline.ledger.keys.namespace)
        files = HeldFiles(didflow)
        files.hold(parked.id, "digest", b"a")
        files.hold(waiting.id, "digest", b"b")
        await files.forget_ended()
        assert files.content_of(Question(parked.id, "digest", 0, "")) is None
        assert files.content_of(Question(waiting.id, "digest", 0, "")) == b"b"
        assert files.content_of(Question(waiting.id, "other", 0, "")) is None
        await files.aclose()
        brief = HeldFiles(didflow, kept_s=0.0)
        brief.hold(waiting.id, "digest", b"b")
        assert brief.content_of(Question(waiting.id, "digest", 0, "")) is None
        await brief.aclose()
        await didflow.aclose()

    asyncio.run(play())
