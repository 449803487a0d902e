"""The Dramatiq side, in one place: brokers, actors and workers for the three lanes."""

import threading
from collections.abc import Collection, Sequence
from typing import cast

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from didflow.contract.states import Lane
from didflow.ledger.connection import ScriptClient
from didflow.ledger.keys import Keys
from worker.broker.consumer import Jobs, LaneConsumer, actor_name
from worker.broker.idle_threads import IdleThreads

#: How often idle Dramatiq threads look whether they should stop.
WORKER_TIMEOUT_MS = 250


class LaneBroker(RedisBroker):
    """Dramatiq's Redis broker with our consumer, and without delay queues: the ledger keeps what is due later."""

    def __init__(
        self, jobs: Jobs, client: ScriptClient, keys: Keys, stopping: threading.Event, threads: IdleThreads, helping: Collection[Lane]
    ) -> None:
        self._jobs, self._keys, self._stopping, self._threads, self._helping = jobs, keys, stopping, threads, frozenset(helping)
        # No middleware at all. Retries, TimeLimit, AgeLimit and Results would decide what only the ledger may decide; TimeLimit
        # and Shutdown would also interrupt a thread between a money call and its record.
        super().__init__(client=client, middleware=[], namespace=keys.broker)  # type: ignore[no-untyped-call]

    def declare_queue(self, queue_name: str) -> None:
        super().declare_queue(queue_name)
        self.delay_queues.clear()

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> LaneConsumer:  # noqa: ARG002 - Dramatiq's signature
        lane, client = Lane(queue_name), cast("ScriptClient", self.client)
        return LaneConsumer(self._jobs, client, self._keys, lane, self._stopping, self._threads, helping=lane in self._helping)


def build_worker(
    client: ScriptClient,
    keys: Keys,
    lanes: Sequence[Lane],
    threads: int,
    jobs: Jobs,
    stopping: threading.Event,
    *,
    helping: Sequence[Lane] = (),
) -> dramatiq.Worker:
    """A Dramatiq worker, not yet started, whose threads serve these lanes and no other; those that it only helps, while some are idle."""
    broker = LaneBroker(jobs, client, keys, stopping, IdleThreads(threads), helping)
    for lane in (*lanes, *helping):
        dramatiq.actor(broker=broker, queue_name=lane.value, actor_name=actor_name(lane))(jobs.attempt)
    return dramatiq.Worker(broker, worker_threads=threads, worker_timeout=WORKER_TIMEOUT_MS)
