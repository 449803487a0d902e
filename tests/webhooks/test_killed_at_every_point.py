"""A webhook process that dies, or sleeps, at any step of a delivery: nothing is lost, and no job's order changes."""

import os
import signal
from contextlib import AbstractContextManager
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from didflow.contract.states import JobState
from didflow.ledger.ledger import Ledger
from tests.support.cluster import until
from tests.support.ledger_roles import claimed, finished, submitted
from tests.support.webhook_process import endpoint, forked, shown
from tests.support.webhook_receiver import Received, receiving
from worker.local.embedded_valkey import EmbeddedValkey

STEPS = ("fan_out", "take", "post", "settle")
POINTS = [f"{when}:{step}" for step in STEPS for when in ("before", "after")]
#: Of the processes here: what a dead one held is soon due again.
LEASE_S, LIMIT_S = 1.0, 0.7


def process(ledger: Ledger, redis_url: str, orders: Path) -> AbstractContextManager[BaseProcess]:
    return forked(ledger, redis_url, orders, lease_s=LEASE_S, limit_s=LIMIT_S)


def ended(ledger: Ledger) -> str:
    job = submitted(ledger)
    assert finished(ledger, claimed(ledger, job.id), JobState.SUCCEEDED)
    return job.id


def events_of(got: list[Received], job: str) -> list[int]:
    """The counts of the job's events, in the order in which each arrived first."""
    return list(dict.fromkeys(int(one.id.rpartition(":")[2]) for one in got if one.event["subject"] == job))


def test_every_step_of_a_delivery_is_a_point_where_a_process_dies_or_sleeps(
    real_ledger: Ledger, valkey: EmbeddedValkey, tmp_path: Path
) -> None:
    """One process after the other dies at the next point, while jobs go on. A second one sleeps there and wakes when all is delivered."""
    orders = tmp_path / "orders"
    orders.mkdir()
    jobs: list[str] = []
    with receiving() as receiver:
        endpoint(real_ledger, "shop", receiver.url)
        for point in POINTS:
            order = orders / f"{point}.kill"
            order.touch()
            with process(real_ledger, valkey.url, orders) as doomed:
                jobs += [ended(real_ledger), ended(real_ledger)]
                doomed.join(60)
                assert doomed.exitcode == -signal.SIGKILL, point
            assert not order.exists(), "it was carried out"
        with process(real_ledger, valkey.url, orders):
            got = receiver.wait_for(lambda got: all(len(events_of(got, job)) == 3 for job in jobs))
            assert [job for job in jobs if events_of(got, job) != sorted(events_of(got, job))] == []
            until(lambda: shown(real_ledger, "shop").queued == 0, what="an empty queue")


@pytest.mark.parametrize("point", ["before:post", "after:post"])
def test_a_process_that_slept_through_its_lease_changes_nothing_when_it_wakes(
    real_ledger: Ledger, valkey: EmbeddedValkey, tmp_path: Path, point: str
) -> None:
    orders = tmp_path / "orders"
    orders.mkdir()
    with receiving() as receiver:
        endpoint(real_ledger, "shop", receiver.url)
        (orders / f"{point}.freeze").touch()
        with process(real_ledger, valkey.url, orders) as sleeper:
            job = ended(real_ledger)
            until(lambda: not (orders / f"{point}.freeze").exists(), what="the sleep")
            with process(real_ledger, valkey.url, orders):
                got = receiver.wait_for(lambda got: len(events_of(got, job)) == 3)
                assert events_of(got, job) == [1, 2, 3]
                until(lambda: shown(real_ledger, "shop").queued == 0, what="an empty queue")
                os.kill(sleeper.pid or 0, signal.SIGCONT)
                later = ended(real_ledger)
                got = receiver.wait_for(lambda got: len(events_of(got, later)) == 3)
                assert events_of(got, later) == [1, 2, 3]
                until(lambda: shown(real_ledger, "shop").queued == 0, what="an empty queue")
