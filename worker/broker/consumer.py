"""How messages come off the queue: a consumer for Dramatiq that doesn't die, doesn't poll, and trusts no message.

A message is only a nudge. Taking it claims the job in the same step (`take`), so between the queue and the lease nothing can be lost, and
nothing is left to acknowledge.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Protocol

import dramatiq
import redis
import structlog

from didflow.contract.errors import DidflowError
from didflow.contract.states import Lane
from didflow.ledger.connection import ScriptClient
from didflow.ledger.keys import Keys
from worker.broker.idle_threads import IdleThreads

#: How long an idle consumer waits for a wake-up before it looks by itself. Less than the socket's time-out.
IDLE_S = 1.0
#: How soon one that only helps looks whether its worker has time again.
HELP_AGAIN_S = 0.05
#: How long it waits after Redis failed it.
AFTER_ERROR_S = 0.5
#: How often one that takes nothing more looks whether its thread should end.
STOPPING_S = 0.05

log = structlog.stdlib.get_logger("didflow.queue")


class Jobs(Protocol):
    """What a consumer does with jobs; taken jobs are passed on unchanged."""

    def take(self, lane: Lane, most: int, consumer: str) -> tuple[Sequence[Any], bool]:
        """Claim this many jobs from the lane's messages, and return whether none is left. One consumer has one call under way."""

    def attempt(self, one: Any) -> None:
        """Run one that was taken."""

    def hand_back(self, one: Any) -> None:
        """One that was taken and won't be run here."""


class LaneConsumer(dramatiq.Consumer):
    """Consumes one lane. Dramatiq calls `__next__` from one thread, and `ack`, `nack` from its workers.

    `helping`: the lane has threads of its own elsewhere. Then only as much is taken as idle threads can do at once, and never with more
    than half of the threads: what comes to the worker's own lanes meanwhile finds the others.
    """

    def __init__(
        self, jobs: Jobs, client: ScriptClient, keys: Keys, lane: Lane, stopping: threading.Event, threads: IdleThreads, *, helping: bool
    ) -> None:
        self._jobs, self._client, self._keys, self._lane, self._stopping = jobs, client, keys, lane, stopping
        self._threads, self._helping = threads, helping
        self._name = f"{lane.value}:helping" if helping else lane.value
        self._taken: deque[Any] = deque()
        self._had = 0  #: idle threads that a take has which wasn't answered: what it claimed is theirs
        self._busy = 0
        self._lock = threading.Lock()
        self._emptied = False

    def __next__(self) -> dramatiq.MessageProxy | None:
        if not self._taken:
            if self._stopping.is_set():
                time.sleep(STOPPING_S)
                return None
            try:
                self._take()
            except (DidflowError, redis.RedisError, OSError) as error:
                # Dramatiq would end this thread, or wait for seconds; the next look is soon enough.
                log.warning("queue.unreachable", lane=self._lane.value, error=type(error).__name__)
                self._stopping.wait(AFTER_ERROR_S)
        return self._message(self._taken.popleft()) if self._taken else None

    def _take(self) -> None:
        if not self._had:
            woken = self._emptied and self._client.ask("BLPOP", self._keys.wake(self._lane.value), IDLE_S) is not None
            self._emptied = False
            self._had = self._threads_for_it(0.0 if woken else IDLE_S)
            if not self._had:
                if woken:
                    self._client.lpush(self._keys.wake(self._lane.value), b"1")  # Wake another consumer.
                if self._helping:
                    self._stopping.wait(HELP_AGAIN_S)
                return
        taken, self._emptied = self._jobs.take(self._lane, self._had, self._name)
        self._taken.extend(taken)
        self._running(len(taken))
        had, self._had = self._had, 0
        self._threads.give_back(had - len(taken))

    def _threads_for_it(self, wait_s: float) -> int:
        if self._helping:
            return self._threads.left_over(max(1, self._threads.count // 2) - self._busy)
        return self._threads.in_turn(self._threads.count, wait_s)

    def _running(self, change: int) -> None:
        with self._lock:
            self._busy += change

    def _message(self, one: Any) -> dramatiq.MessageProxy:
        """For the work queue between this thread and those that run jobs."""
        actor = actor_name(self._lane)
        return dramatiq.MessageProxy(dramatiq.Message(queue_name=self._lane.value, actor_name=actor, args=(one,), kwargs={}, options={}))

    def ack(self, message: Any) -> None:  # noqa: ARG002 - Dramatiq's signature
        """Its thread has nothing to do any more."""
        self._running(-1)
        self._threads.give_back(1)

    #: A nudge that failed is used up like any other: the job's state is in the ledger.
    nack = ack

    def requeue(self, messages: Iterable[Any]) -> None:
        """Called when the process stops: others shall have what was taken and not begun."""
        for message in messages:
            self._jobs.hand_back(message.args[0])

    def close(self) -> None:
        if self._had:
            with suppress(DidflowError, redis.RedisError, OSError):
                self._take()
        while self._taken:
            self._jobs.hand_back(self._taken.popleft())


def actor_name(lane: Lane) -> str:
    """The actor of a lane; the ledger's scripts write the same name into their messages."""
    return f"run_{lane.value}"
