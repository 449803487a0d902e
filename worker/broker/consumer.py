"""How messages come off the queue: a consumer for Dramatiq that doesn't die, doesn't poll, and trusts no message.

A message is only a nudge. Taking it claims the job in the same step (`take`), so between the queue and the lease nothing can be lost, and
nothing is left to acknowledge.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Protocol, cast

import dramatiq
import redis
import structlog

from didflow.contract.errors import DidflowError
from didflow.contract.states import Lane
from didflow.ledger.connection import ScriptClient
from didflow.ledger.ledger import Ledger
from worker.broker.arrivals import Arrivals
from worker.broker.claimed_message import Claimed, ClaimedMessage
from worker.broker.idle_threads import IdleThreads

#: How long an idle consumer waits for a wake-up before it looks by itself. Less than the socket's time-out.
IDLE_S = 1.0
#: How long it waits for more idle threads, where there is a backlog. Long enough to let the threads run whose jobs are short.
GATHER_S = 0.00005
#: How long it pauses before it takes, where jobs come fast one after the other. Several that are taken together, and end together, cost the
#: server fewer scripts and fewer writes to disk. Each of them begins later by this much at most.
TOGETHER_S = 0.005
#: How long it waits after Redis failed it.
AFTER_ERROR_S = 0.5
#: How often one that takes nothing more looks whether its thread should end.
STOPPING_S = 0.05

log = structlog.stdlib.get_logger("didflow.queue")


class Jobs(Protocol):
    """What a consumer does with jobs; taken jobs are passed on unchanged."""

    def take(self, lane: Lane, most: int, consumer: str, *, wait_s: float = 0.0) -> tuple[Sequence[Claimed], bool]:
        """Claim this many jobs from the lane's messages, and return whether none is left. One consumer has one call under way.

        `wait_s`: wait so long for a message.
        """

    def attempt(self, one: Any) -> None:
        """Run one that was taken."""

    def hand_back(self, one: Any) -> None:
        """One that was taken and won't be run here."""

    def put_off(self, one: Any) -> None:
        """One that was taken, and that a middleware kept from running: later."""


class LaneConsumer(dramatiq.Consumer):
    """Consumes one lane. Dramatiq calls `__next__` from one thread, and `ack`, `nack` from its workers."""

    def __init__(self, jobs: Jobs, ledger: Ledger, lane: Lane, stopping: threading.Event, threads: IdleThreads) -> None:
        self._jobs, self._lane, self._stopping, self._threads = jobs, lane, stopping, threads
        self._client, self._wake = cast("ScriptClient", ledger.client), ledger.keys.wake(lane.value)
        self._taken: deque[Claimed] = deque()
        self._had = 0  #: idle threads that a take has which wasn't answered: what it claimed is theirs
        self._emptied = False
        self._arrivals = Arrivals()

    def __next__(self) -> ClaimedMessage | None:
        if self._stopping.is_set():
            self._hand_back()  # At once: the threads that would run it may have ended, and others wait for one that is in a call.
            time.sleep(STOPPING_S)
            return None
        if not self._taken:
            try:
                self._take()
            except (DidflowError, redis.RedisError, OSError) as error:
                # Dramatiq would end this thread, or wait for seconds; the next look is soon enough.
                log.warning("queue.unreachable", lane=self._lane.value, error=type(error).__name__)
                self._stopping.wait(AFTER_ERROR_S)
        return ClaimedMessage(self._taken.popleft(), self._lane) if self._taken and not self._stopping.is_set() else None

    def _take(self) -> None:
        """An idle lane waits on the server, with a thread for what comes if one can be spared. Otherwise it waits for a thread.

        One to which jobs come fast is not idle, even if all are taken at this moment. An emergency never waits for others.
        """
        if self._emptied and self._lane is not Lane.EMERGENCY and self._arrivals.are_fast:
            self._stopping.wait(TOGETHER_S)
            self._emptied = False
        waits = self._emptied and not self._had and self._threads.reserve_spare(self._lane)
        if waits:
            self._had, self._emptied = 1, False
        elif not self._had:
            woken = self._emptied and self._client.ask("BLPOP", self._wake, IDLE_S) is not None
            self._emptied = False
            self._had = 0 if self._stopping.is_set() else self._threads.reserve(self._lane, 0.0 if woken else IDLE_S)
            if not self._had:
                if woken:
                    self._client.lpush(self._wake, b"1")  # Wake another consumer.
                return
            if not woken:
                time.sleep(GATHER_S)
                self._had += self._threads.reserve(self._lane, 0.0)
        taken, self._emptied = self._jobs.take(self._lane, self._had, self._lane.value, wait_s=IDLE_S if waits else 0.0)
        self._taken.extend(taken)
        self._arrivals.note([one.claim for one in taken])
        had, self._had = self._had, 0
        self._threads.give_back(self._lane, had - len(taken))

    def ack(self, message: Any) -> None:
        """Its thread has nothing to do any more. The job's end is in the ledger, or another thread is about to write it; unless its actor
        never ran."""
        try:
            if not message.begun:
                self._jobs.put_off(message.claimed)
        finally:
            self._threads.give_back(self._lane, 1)

    #: A nudge that failed is used up like any other: the job's state is in the ledger.
    nack = ack

    def requeue(self, messages: Iterable[Any]) -> None:
        """Called when the process stops: others shall have what was taken and not begun."""
        for message in messages:
            self._jobs.hand_back(message.claimed)

    def close(self) -> None:
        if self._had:
            with suppress(DidflowError, redis.RedisError, OSError):
                self._take()
        self._hand_back()

    def _hand_back(self) -> None:
        while self._taken:
            self._jobs.hand_back(self._taken.popleft())
