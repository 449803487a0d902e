"""The Dramatiq side, in one place: brokers, actors and workers for the three lanes."""

import threading
from collections.abc import Callable, Collection, Sequence

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

from worker.contract.states import Lane
from worker.ledger.keys import Keys
from worker.runtime.consumer import LaneConsumer, Threads, actor_name

#: Every command does maintenance (a chance in a million a million times): messages of a killed worker come back soon.
MAINTENANCE_CHANCE = 1_000_000
#: A process that hasn't asked for messages for this long is taken for dead, and others get what it had fetched.
BROKER_HEARTBEAT_TIMEOUT_MS = 5_000
#: How often idle Dramatiq threads look whether they should stop.
WORKER_TIMEOUT_MS = 250


class LaneBroker(RedisBroker):
    """Dramatiq's Redis broker with our consumer, and without delay queues: the ledger keeps what is due later."""

    def __init__(self, client: redis.Redis, keys: Keys, stopping: threading.Event, threads: Threads, helping: Collection[Lane]) -> None:
        self._keys, self._stopping, self._threads, self._helping = keys, stopping, threads, frozenset(helping)
        # No middleware at all. Retries, TimeLimit, AgeLimit and Results would decide what only the ledger may decide; TimeLimit
        # and Shutdown would also interrupt a thread between a money call and its record.
        super().__init__(  # type: ignore[no-untyped-call]
            client=client,
            middleware=[],
            namespace=keys.broker,
            maintenance_chance=MAINTENANCE_CHANCE,
            heartbeat_timeout=BROKER_HEARTBEAT_TIMEOUT_MS,
        )

    def declare_queue(self, queue_name: str) -> None:
        super().declare_queue(queue_name)
        self.delay_queues.clear()

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> LaneConsumer:  # noqa: ARG002 - Dramatiq's signature
        helping = queue_name in self._helping
        return LaneConsumer(self, self._keys, queue_name, prefetch, self._stopping, self._threads, helping=helping)


def build_worker(
    client: redis.Redis,
    keys: Keys,
    lanes: Sequence[Lane],
    threads: int,
    run: Callable[[str], None],
    stopping: threading.Event,
    *,
    helping: Sequence[Lane] = (),
) -> dramatiq.Worker:
    """A Dramatiq worker, not yet started, whose threads serve these lanes and no other; those that it only helps, while some are idle."""
    broker = LaneBroker(client, keys, stopping, Threads(threads), helping)
    for lane in (*lanes, *helping):
        dramatiq.actor(broker=broker, queue_name=lane.value, actor_name=actor_name(lane.value))(run)
    worker = dramatiq.Worker(broker, worker_threads=threads, worker_timeout=WORKER_TIMEOUT_MS)
    # No more than can be run at once: what lies in a busy process's memory is what an idle one could do.
    worker.queue_prefetch = threads
    return worker
