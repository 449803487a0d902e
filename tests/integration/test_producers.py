"""The producer's verbs, sync and async, on a real server."""

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from didflow import (
    AsyncDidflow,
    Destination,
    Didflow,
    Failback,
    IdempotencyConflict,
    Job,
    JobNotFound,
    JobState,
    Reroute,
    SearchAndBuy,
    ServiceUnavailable,
    Submission,
    WaitTimeout,
    WrongJob,
)
from didflow.ledger.connection import connect_async
from didflow.ledger.ledger import Ledger
from tests.support.ledger_roles import claimed, finished
from worker.local.embedded_valkey import EmbeddedValkey

BUY = SearchAndBuy(country="US")
MOVE = Reroute(numbers=("+12135550100",), destinations=(Destination.sip("pbx@example.net"),))


@pytest.fixture
def didflow(real_ledger: Ledger) -> Didflow:
    return Didflow(real_ledger.client, real_ledger.keys.namespace)


@pytest.fixture
def nowhere() -> Didflow:
    """A client of a server that isn't there."""
    return Didflow.from_url("redis://127.0.0.1:1", "test")


def test_one_key_from_fifty_threads_is_one_job(didflow: Didflow) -> None:
    jobs: list[Job] = []
    start = threading.Barrier(50)

    def submit() -> None:
        start.wait()
        jobs.append(didflow.submit(BUY, idempotency_key="order-1"))

    threads = [threading.Thread(target=submit) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({job.id for job in jobs}) == 1
    assert sum(job.is_new for job in jobs) == 1
    assert len(didflow.find(state=JobState.QUEUED)) == 1


def test_the_same_key_for_something_else_is_a_conflict(didflow: Didflow) -> None:
    first = didflow.submit(BUY, idempotency_key="order-1", reference="a")
    assert didflow.submit(BUY, idempotency_key="order-1", reference="b").id == first.id
    with pytest.raises(IdempotencyConflict) as conflict:
        didflow.submit(SearchAndBuy(country="CA"), idempotency_key="order-1")
    assert conflict.value.job_id == first.id


def test_many_submits_come_back_in_their_order(didflow: Didflow) -> None:
    didflow.submit(BUY, idempotency_key="taken")
    batch = [Submission(SearchAndBuy(country="CA"), idempotency_key=f"k{place}") for place in range(1200)]
    batch[7] = Submission(SearchAndBuy(country="CA"), idempotency_key="taken")
    batch[8] = Submission(Failback(job_id="nobody"))
    batch[9] = Submission(SearchAndBuy(country="CA"), idempotency_key="")
    results = didflow.submit_many(iter(batch))
    assert [place for place, result in enumerate(results) if not isinstance(result, Job)] == [7, 8, 9]
    assert isinstance(results[7], IdempotencyConflict)
    assert isinstance(results[8], JobNotFound)
    assert didflow.find(idempotency_key="k1199")[0].id == results[-1].id  # type: ignore[union-attr]
    assert [job.is_new for job in didflow.submit_many(batch[:7]) if isinstance(job, Job)] == [False] * 7


def test_jobs_are_found_by_key_reference_and_state(didflow: Didflow) -> None:
    first = didflow.submit(BUY, idempotency_key="order-1", reference="customer-9")
    second = didflow.submit(MOVE, reference="customer-9")
    assert [view.id for view in didflow.find(reference="customer-9")] == [second.id, first.id]
    assert [view.id for view in didflow.find(reference="customer-9", limit=1, offset=1)] == [first.id]
    assert didflow.find(idempotency_key="order-1")[0].request == BUY
    assert didflow.find(idempotency_key="nobody") == ()
    assert didflow.cancel(first.id).state is JobState.CANCELLED
    assert [view.id for view in didflow.find(state=JobState.CANCELLED)] == [first.id]
    assert [step.name for step in didflow.explain(first.id)] == ["submitted", "cancelled"]


def test_a_failback_needs_a_reroute(didflow: Didflow) -> None:
    bought, moved = didflow.submit(BUY), didflow.submit(MOVE)
    dry = didflow.submit(MOVE.model_copy(update={"dry_run": True}))
    with pytest.raises(WrongJob, match="search-and-buy"):
        didflow.submit(Failback(job_id=bought.id))
    with pytest.raises(WrongJob, match="dry run"):
        didflow.submit(Failback(job_id=dry.id))
    with pytest.raises(WrongJob, match="account"):
        didflow.submit(Failback(job_id=moved.id), account="other")
    with pytest.raises(JobNotFound):
        didflow.submit(Failback(job_id="nobody"))
    assert didflow.submit(Failback(job_id=moved.id)).is_new


def test_waiting_ends_with_the_job_and_does_not_poll(didflow: Didflow, real_ledger: Ledger) -> None:
    job = didflow.submit(BUY)

    def finish_later() -> None:
        time.sleep(0.3)  # Long enough that a client which polls would have polled.
        finished(real_ledger, claimed(real_ledger, job.id))

    before = real_ledger.client.info("commandstats").get("cmdstat_hgetall", {}).get("calls", 0)
    thread = threading.Thread(target=finish_later)
    thread.start()
    began_s = time.monotonic()
    assert didflow.wait(job.id, timeout_s=60).state is JobState.SUCCEEDED
    assert 0.25 < time.monotonic() - began_s < 20
    thread.join()
    assert real_ledger.client.info("commandstats")["cmdstat_hgetall"]["calls"] - before <= 4
    assert didflow.wait(job.id, timeout_s=0).state is JobState.SUCCEEDED


def test_waiting_too_long_says_that_the_job_goes_on(didflow: Didflow) -> None:
    with pytest.raises(WaitTimeout, match="queued"):
        didflow.wait(didflow.submit(BUY).id, timeout_s=0.1)
    with pytest.raises(JobNotFound):
        didflow.wait("nobody", timeout_s=0.1)


def test_an_unreachable_server_is_reported_quickly_and_nothing_is_half_done(nowhere: Didflow) -> None:
    began_s = time.monotonic()
    with pytest.raises(ServiceUnavailable, match="same idempotency key") as away:
        nowhere.submit(BUY, idempotency_key="order-1")
    assert time.monotonic() - began_s < 10
    assert away.value.retryable


def test_a_wait_survives_a_restart_of_the_server(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("valkey")
    server = EmbeddedValkey(folder).start()
    didflow = Didflow.from_url(server.url, "test")
    job = didflow.submit(BUY, idempotency_key="order-1")
    server.stop()
    with pytest.raises(ServiceUnavailable):
        didflow.get(job.id)
    with EmbeddedValkey(folder):
        assert didflow.get(job.id).state is JobState.QUEUED
        assert not didflow.submit(BUY, idempotency_key="order-1").is_new


def test_async_verbs_do_the_same(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    async def simulation() -> None:
        didflow = AsyncDidflow(connect_async(valkey.url), real_ledger.keys.namespace)
        job = await didflow.submit(BUY, idempotency_key="order-1", reference="customer-9")
        assert not (await didflow.submit(BUY, idempotency_key="order-1")).is_new
        with pytest.raises(WrongJob):
            await didflow.submit(Failback(job_id=job.id))
        assert [type(one) for one in await didflow.submit_many([Submission(BUY), Submission(Failback(job_id="x"))])] == [Job, JobNotFound]
        assert (await didflow.find(reference="customer-9"))[0].id == job.id
        waiting = asyncio.create_task(didflow.wait(job.id, timeout_s=10))
        await asyncio.sleep(0.1)  # So that it waits before the job ends; if it doesn't yet, the outcome is the same.
        await asyncio.to_thread(lambda: finished(real_ledger, claimed(real_ledger, job.id)))
        assert (await waiting).state is JobState.SUCCEEDED
        async for delivery in didflow.results("billing", "a", block_s=0.05):
            assert delivery.event.subject == job.id
            await delivery.ack()
            break
        assert (await didflow.cancel(job.id)).state is JobState.SUCCEEDED
        assert (await didflow.explain(job.id))[0].name == "submitted"
        with pytest.raises(WaitTimeout):
            await didflow.wait((await didflow.submit(MOVE)).id, timeout_s=0.1)
        await didflow.aclose()

    asyncio.run(simulation())


def test_a_producer_loads_neither_http_nor_the_worker() -> None:
    unwanted = ("httpx", "dramatiq", "stamina", "rich", "typer", "worker.jobs", "worker.wavix", "worker.runtime")
    code = f"import sys, producers; print([name for name in {unwanted} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
