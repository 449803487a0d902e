"""What is refused at the submit although the request alone is fine: both clients ask the same."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from didflow import AsyncDidflow, Destination, Didflow, Failback, InvalidRequest, Job, Reroute, Submission, WrongJob
from didflow.contract.states import JobState
from didflow.ledger import script_calls
from tests.support.inline_worker import InlineWorker
from worker.local.embedded_valkey import EmbeddedValkey

PBX = (Destination.sip("pbx@example.net"),)


@pytest.fixture
def didflow(inline: InlineWorker) -> Didflow:
    return Didflow(inline.ledger.client, inline.settings.namespace)


def moved(inline: InlineWorker) -> Job:
    job = inline.submit(Reroute(numbers=tuple(inline.own(1)), destinations=PBX))
    assert inline.finish(job).state is JobState.SUCCEEDED
    return job


def test_a_second_failback_gets_the_job_that_has_it_and_the_same_key_is_the_same_job(inline: InlineWorker, didflow: Didflow) -> None:
    request = Failback(job_id=moved(inline).id)
    first = didflow.submit(request, idempotency_key="INC-31 back")
    assert didflow.submit(request, idempotency_key="INC-31 back").id == first.id
    for key in (None, "another"):
        with pytest.raises(WrongJob, match=f"{first.id} already: repeat its key 'INC-31 back'"):
            didflow.submit(request, idempotency_key=key)
    inline.finish(first)
    with pytest.raises(WrongJob):
        didflow.submit(request, idempotency_key="another")
    (refused,) = didflow.submit_many([Submission(request, "another")])
    assert isinstance(refused, WrongJob)
    assert didflow.submit(Failback(job_id=request.job_id, dry_run=True)).is_new, "to look is free"


def test_a_failback_that_was_called_off_leaves_the_job_to_another(inline: InlineWorker, didflow: Didflow) -> None:
    request = Failback(job_id=moved(inline).id)
    first = didflow.submit(request, idempotency_key="one")
    assert didflow.cancel(first.id).state is JobState.CANCELLED
    other = didflow.submit(request, idempotency_key="other")
    assert other.is_new
    with pytest.raises(WrongJob, match=other.id):
        didflow.submit(request, idempotency_key="third")


def test_a_producer_that_dies_before_its_submit_blocks_the_job_for_a_minute_only(inline: InlineWorker) -> None:
    job = moved(inline)
    assert inline.ledger.run(script_calls.undo(job.id, "died", "one")) is None
    assert inline.ledger.run(script_calls.undo(job.id, "next", "other")) == script_calls.UndoneBy("died", "one")
    assert inline.ledger.run(script_calls.undo(job.id, "again", "one")) is None, "its key may go on"
    inline.ledger.client.hincrby(inline.ledger.keys.job(job.id), "undone_ms", -script_calls.UNDO_STALE_MS - 1)
    assert inline.ledger.run(script_calls.undo(job.id, "next", "other")) is None


def test_a_deadline_in_the_past_is_refused_but_a_repeated_submit_still_gets_its_job(inline: InlineWorker, didflow: Didflow) -> None:
    request = Reroute(numbers=("+12135550100",), destinations=PBX, deadline=datetime.now(UTC) + timedelta(milliseconds=300))
    job = didflow.submit(request, idempotency_key="INC-31")
    late = request.model_copy(update={"deadline": datetime(2026, 1, 1, tzinfo=UTC)})
    assert didflow.submit(late, idempotency_key="INC-31").id == job.id
    with pytest.raises(InvalidRequest, match="deadline: 2026-01-01 00:00:00 UTC has passed"):
        didflow.submit(late)


def test_the_async_client_refuses_the_same(inline: InlineWorker, valkey: EmbeddedValkey) -> None:
    undone = moved(inline).id

    async def refused() -> list[str]:
        didflow = AsyncDidflow.from_url(valkey.url, inline.settings.namespace)
        await didflow.submit(Failback(job_id=undone), idempotency_key="one")
        said = []
        late = Reroute(numbers=("+12135550100",), destinations=PBX, deadline=datetime(2026, 1, 1, tzinfo=UTC))
        for request in (Failback(job_id=undone), late):
            try:
                await didflow.submit(request)
            except (WrongJob, InvalidRequest) as error:
                said.append(error.code)
        await didflow.aclose()
        return said

    assert asyncio.run(refused()) == ["wrong_job", "invalid_request"]
