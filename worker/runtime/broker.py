"""The Dramatiq side, in one place: brokers, actors and workers for the three lanes."""

import threading
import time
from collections.abc import Callable, Collection, Sequence

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

from worker.contract.states import Lane
from worker.ledger.keys import Keys
from worker.runtime.consumer import LaneConsumer, Threads, actor_name

#: Messages of a killed worker come back this soon. Not at every command: maintenance lists all keys of the server as long as a dead
#: worker has messages on another queue, which takes tens of milliseconds in a backlog.
MAINTENANCE_EVERY_S = 1.0
#: A process that hasn't asked for messages for this long is taken for dead, and others get what it had fetched.
BROKER_HEARTBEAT_TIMEOUT_MS = 5_000
#: How often idle Dramatiq threads look whether they should stop.
WORKER_TIMEOUT_MS = 250


class LaneBroker(RedisBroker):
    """Dramatiq's Redis broker with our consumer, and without delay queues: the ledger keeps what is due later."""

    def __init__(self, client: redis.Redis, keys: Keys, stopping: threading.Event, threads: Threads, helping: Collection[Lane]) -> None:
        self._keys, self._stopping, self._threads, self._helping = keys, stopping, threads, frozenset(helping)
        self._asking = threading.local()
        self._maintained_s: dict[str, float] = {}
        # No middleware at all. Retries, TimeLimit, AgeLimit and Results would decide what only the ledger may decide; TimeLimit
        # and Shutdown would also interrupt a thread between a money call and its record.
        super().__init__(  # type: ignore[no-untyped-call]
            client=client,
            middleware=[],
            namespace=keys.broker,
            heartbeat_timeout=BROKER_HEARTBEAT_TIMEOUT_MS,
        )

    def fetch(self, lane: str, room: int) -> list[bytes | None]:
        """Take at most so many messages off a lane."""
        self._asking.lane = lane
        bodies: list[bytes | None] = self.do_fetch(lane, room)
        return bodies

    def _should_do_maintenance(self, command: str) -> int:
        """Maintenance gives back what dead workers held of the command's own queue, so each lane has a turn of its own."""
        lane = getattr(self._asking, "lane", "")
        if command != "fetch" or time.monotonic() - self._maintained_s.get(lane, float("-inf")) < MAINTENANCE_EVERY_S:
            return 0
        self._maintained_s[lane] = time.monotonic()
        return 1

    def beat(self) -> None:
        """Say that this worker lives although it asks for nothing: all its threads are busy."""
        self.client.zadd(f"{self._keys.broker}:__heartbeats__", {self.broker_id: int(time.time() * 1000)})

    def declare_queue(self, queue_name: str) -> None:
        super().declare_queue(queue_name)
        self.delay_queues.clear()

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> LaneConsumer:  # noqa: ARG002 - Dramatiq's signature
        helping = queue_name in self._helping
        return LaneConsumer(self, self._keys, queue_name, prefetch, self._stopping, self.beat, self._threads, helping=helping)


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
