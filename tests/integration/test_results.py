"""The results stream for a consumer: at least once, with stable ids, and nothing lost with who died."""

import itertools
from collections.abc import Iterator
from typing import cast

import pytest

from didflow import Didflow, JobState
from didflow.client.sync.deliveries import Delivery
from didflow.ledger.commands import Entries
from didflow.ledger.consumer_groups import trim
from didflow.ledger.ledger import Ledger
from tests.support.ledger_roles import claimed, finished, submitted


@pytest.fixture
def didflow(real_ledger: Ledger) -> Didflow:
    return Didflow(real_ledger.client, real_ledger.keys.namespace)


def ended(ledger: Ledger, count: int) -> list[str]:
    """Jobs that have each a result on the stream."""
    jobs = [submitted(ledger).id for _ in range(count)]
    for job_id in jobs:
        assert finished(ledger, claimed(ledger, job_id))
    return jobs


def read(didflow: Didflow, consumer: str, count: int | None = None, **patience: float) -> Iterator[Delivery]:
    options: dict[str, float] = {"block_s": 0.05, "min_idle_s": 60.0} | patience
    return itertools.islice(didflow.results("billing", consumer, give_up_idle=True, **options), count)  # type: ignore[arg-type]


def subjects(deliveries: Iterator[Delivery], *, ack: bool = True) -> list[str]:
    found = []
    for delivery in deliveries:
        found.append(delivery.event.subject)
        if ack:
            delivery.ack()
    return found


def test_every_result_comes_in_order_once_acknowledged(real_ledger: Ledger, didflow: Didflow) -> None:
    jobs = ended(real_ledger, 5)
    assert subjects(read(didflow, "a")) == jobs
    assert subjects(read(didflow, "a")) == []
    more = ended(real_ledger, 1)
    assert subjects(read(didflow, "b")) == more


def test_an_event_names_its_job(real_ledger: Ledger, didflow: Didflow) -> None:
    job = submitted(real_ledger, "order-1", reference="customer-9").id
    finished(real_ledger, claimed(real_ledger, job))
    (delivery,) = read(didflow, "a", 1)
    event = delivery.event
    assert (event.type, event.subject, event.source, event.specversion) == ("didflow.job.succeeded.v1", job, "didflow", "1.0")
    assert event.id.startswith(f"{job}:")
    assert (event.data.state, event.data.kind, event.data.attempt) == (JobState.SUCCEEDED, "search_and_buy", 1)
    assert (event.data.idempotency_key, event.data.reference) == ("order-1", "customer-9")
    assert event.data.timings.finished_ms is not None


def test_two_consumers_share_and_two_groups_do_not(real_ledger: Ledger, didflow: Didflow) -> None:
    jobs = ended(real_ledger, 6)
    first = didflow.results("billing", "a", block_s=0.05)
    taken = [next(first).event.subject for _ in range(6)]
    assert taken == jobs
    assert subjects(read(didflow, "b")) == [], "what a holds is not b's"
    other = itertools.islice(didflow.results("audit", "x", block_s=0.05), 6)
    assert [delivery.event.subject for delivery in other] == jobs


def test_a_restarted_consumer_gets_back_what_it_had_not_acknowledged(real_ledger: Ledger, didflow: Didflow) -> None:
    jobs = ended(real_ledger, 3)
    first = list(read(didflow, "a", 3))
    first[1].ack()
    again = list(read(didflow, "a"))
    assert [delivery.event.subject for delivery in again] == [jobs[0], jobs[2]]
    assert [delivery.deliveries for delivery in again] == [2, 2]
    assert again[0].event.id == first[0].event.id


def test_what_a_dead_consumer_held_goes_to_another_one(real_ledger: Ledger, didflow: Didflow) -> None:
    jobs = ended(real_ledger, 3)
    assert subjects(read(didflow, "dead", 3), ack=False) == jobs
    assert subjects(read(didflow, "heir")) == []
    assert subjects(read(didflow, "heir", min_idle_s=0.0)) == jobs


def test_an_entry_that_no_consumer_can_process_is_set_aside(real_ledger: Ledger, didflow: Didflow) -> None:
    jobs = ended(real_ledger, 2)
    for _ in range(3):
        subjects(read(didflow, "a", 1), ack=False)
    assert subjects(read(didflow, "a", max_deliveries=3)) == [jobs[1]]
    ((_, kept),) = cast(Entries, real_ledger.client.xrange(real_ledger.keys.poison))
    assert kept["subject"] == jobs[0]
    assert "3 times" in kept["poison_reason"]
    assert subjects(read(didflow, "a")) == []


@pytest.mark.parametrize("fields", [{"x": "1"}, {"data": "{"}, {"specversion": "1.0", "data": "[" * 3000}])
def test_an_entry_that_is_no_event_blocks_no_consumer(real_ledger: Ledger, didflow: Didflow, fields: dict[str, str]) -> None:
    real_ledger.client.xadd(real_ledger.keys.results, fields)  # type: ignore[arg-type]
    jobs = ended(real_ledger, 1)
    assert subjects(read(didflow, "a")) == jobs
    assert real_ledger.client.xlen(real_ledger.keys.poison) == 1


def test_a_group_that_was_deleted_is_made_again(real_ledger: Ledger, didflow: Didflow) -> None:
    jobs = ended(real_ledger, 1)
    deliveries = didflow.results("billing", "a", block_s=0.05)
    assert next(deliveries).event.subject == jobs[0]
    real_ledger.client.xgroup_destroy(real_ledger.keys.results, "billing")
    more = ended(real_ledger, 1)
    assert {next(deliveries).event.subject for _ in range(2)} == {*jobs, *more}


def test_only_what_every_group_has_acknowledged_is_trimmed(real_ledger: Ledger, didflow: Didflow) -> None:
    def left() -> int:
        return int(real_ledger.client.xlen(real_ledger.keys.results))

    ended(real_ledger, 250)
    assert (trim(real_ledger, keep=0), left()) == (0, 250), "without a group nothing goes"
    first = list(read(didflow, "a", 250))
    for delivery in first[200:]:
        delivery.ack()
    assert (trim(real_ledger, keep=0), left()) == (0, 250), "the oldest is still held"
    for delivery in first[:200]:
        delivery.ack()
    assert (trim(real_ledger), left()) == (0, 250), "the newest thousand stay for a look"
    assert trim(real_ledger, keep=100) >= 50
    assert 100 <= left() < 200, "never fewer than were to be kept"
    assert trim(real_ledger, keep=0) + left() <= 200
    assert left() <= 50
    assert subjects(read(didflow, "a")) == []
