"""How messages come off the queue: a consumer for Dramatiq's Redis broker that doesn't die, doesn't poll, and trusts no message.

A message is only a nudge, so whatever goes wrong with one costs latency at most: the sweeper sends another.
"""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import dramatiq
import redis
import structlog
from dramatiq.brokers.redis import RedisBroker

from worker.ledger.keys import Keys

#: How long an idle consumer waits for a wake-up before it looks by itself. Less than the socket's time-out.
IDLE_S = 1.0
#: How soon one that only helps looks whether its worker has time again.
HELP_AGAIN_S = 0.05
#: How long it waits after Redis failed it.
AFTER_ERROR_S = 0.5
#: So many messages that aren't ours are kept for a look.
UNDECODABLE_KEPT = 1000

#: No id of ours is longer.
MAX_ID = 200

log = structlog.stdlib.get_logger("didflow.queue")


class Threads:
    """How many threads a worker has, and how many of them have something to do: shared by its consumers."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._busy = 0
        self._lock = threading.Lock()

    @property
    def idle(self) -> int:
        return max(0, self.count - self._busy)

    def taken(self, change: int) -> None:
        with self._lock:
            self._busy += change


class LaneConsumer(dramatiq.Consumer):
    """Consumes one lane. Dramatiq calls `__next__` from one thread, and `ack`, `nack` from its workers.

    `helping`: the lane has threads of its own elsewhere. Then only as much is taken as idle threads can do at once, and never with more
    than half of the threads: what comes to the worker's own lanes meanwhile finds the others.
    """

    def __init__(
        self,
        broker: RedisBroker,
        keys: Keys,
        lane: str,
        prefetch: int,
        stopping: threading.Event,
        beat: Callable[[], None],
        threads: Threads,
        *,
        helping: bool,
    ) -> None:
        self._beat = beat
        self._broker, self._keys, self._lane, self._prefetch, self._stopping = broker, keys, lane, prefetch, stopping
        self._threads, self._helping = threads, helping
        self._fetched: deque[bytes] = deque()
        self._running: set[str] = set()
        self._to_ack: deque[str] = deque()
        self._room = threading.Event()

    def __next__(self) -> dramatiq.MessageProxy | None:
        if self._fetched:
            return self._proxy(self._fetched.popleft())
        if self._stopping.is_set():
            self._room.wait(0.05)
            return None
        try:
            self._ack_late()
            self._fetch()
        except (redis.RedisError, OSError) as error:
            # Dramatiq would end this thread, or wait for seconds; the next look is soon enough.
            log.warning("queue.unreachable", lane=self._lane, error=type(error).__name__)
            self._stopping.wait(AFTER_ERROR_S)
        return None

    def _fetch(self) -> None:
        room = self._room_left()
        if room <= 0:
            self._room.clear()
            if not self._room.wait(HELP_AGAIN_S if self._helping else IDLE_S):
                self._beat()
            return
        self._fetched.extend(body for body in self._broker.fetch(self._lane, room) if body is not None)
        if self._fetched:
            return
        woken = self._broker.client.blpop([self._keys.wake(self._lane)], timeout=IDLE_S)
        if woken and self._room_left() <= 0:
            self._broker.client.lpush(self._keys.wake(self._lane), b"1")  # Whoever has time now shall hear it.

    def _room_left(self) -> int:
        if self._helping:
            return min(self._threads.idle, max(1, self._threads.count // 2) - len(self._running))
        return self._prefetch - len(self._running)

    def _proxy(self, body: bytes) -> dramatiq.MessageProxy | None:
        """The message with nothing in it but the job's id and what is needed to acknowledge it."""
        try:
            fields = json.loads(body)
            job_id, queue_id = fields["args"][0], fields["options"]["redis_message_id"]
            if not _is_id(job_id) or not _is_id(queue_id) or len(fields["args"]) != 1 or fields["kwargs"]:
                raise ValueError("not a nudge")
        except (ValueError, KeyError, TypeError, IndexError, RecursionError):
            self._set_aside(body)
            return None
        self._running.add(queue_id)
        self._threads.taken(1)
        return dramatiq.MessageProxy(
            dramatiq.Message(
                queue_name=self._lane,
                actor_name=actor_name(self._lane),
                args=(job_id,),
                kwargs={},
                options={"redis_message_id": queue_id},
                message_id=queue_id,
            )
        )

    def _set_aside(self, body: bytes) -> None:
        """Take what isn't ours off the queue and keep it for a look; its neighbours aren't touched."""
        log.error("queue.message_undecodable", lane=self._lane, length=len(body), kept_in=self._keys.undecodable)
        try:
            self._broker.client.lpush(self._keys.undecodable, body[:10_000])
            self._broker.client.ltrim(self._keys.undecodable, 0, UNDECODABLE_KEPT - 1)
            for queue_id, kept in self._broker.client.hscan_iter(f"{self._keys.broker}:{self._lane}.msgs", count=500):
                if kept == body:
                    self._broker.do_ack(self._lane, queue_id)
        except (redis.RedisError, OSError) as error:
            log.warning("queue.unreachable", lane=self._lane, error=type(error).__name__)

    def ack(self, message: Any) -> None:
        """Never blocks a worker: what can't be acknowledged now is, later."""
        queue_id = message.options["redis_message_id"]
        try:
            self._broker.do_ack(self._lane, queue_id)
        except (redis.RedisError, OSError):
            self._to_ack.append(queue_id)
        finally:
            self._running.discard(queue_id)
            self._threads.taken(-1)
            self._room.set()

    #: A nudge that failed is used up like any other: the job's state is in the ledger.
    nack = ack

    def requeue(self, messages: Iterable[Any]) -> None:
        """Called when the process stops: others shall have what was fetched and not begun."""
        ids = [message.options["redis_message_id"] for message in messages]
        try:
            if ids:
                self._broker.do_requeue(self._lane, *ids)
        except (redis.RedisError, OSError) as error:
            log.warning("queue.not_requeued", lane=self._lane, messages=len(ids), error=type(error).__name__)

    def _ack_late(self) -> None:
        while self._to_ack:
            self._broker.do_ack(self._lane, self._to_ack[0])
            self._to_ack.popleft()


def _is_id(text: object) -> bool:
    return isinstance(text, str) and text.isascii() and text.isprintable() and 0 < len(text) <= MAX_ID


def actor_name(lane: str) -> str:
    """The actor of a lane; the ledger's scripts write the same name into their messages."""
    return f"run_{lane}"
