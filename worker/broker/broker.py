"""A Dramatiq broker over the ledger."""

import threading
from collections.abc import Iterable
from typing import Any

import dramatiq
import structlog
from dramatiq.middleware import CurrentMessage, MiddlewareError

from didflow.contract.errors import InvalidRequest
from didflow.contract.states import Lane
from didflow.ledger.ledger import Ledger
from worker.broker.consumer import Jobs, LaneConsumer
from worker.broker.idle_threads import IdleThreads
from worker.broker.middleware import check_middleware
from worker.broker.work_queue import WorkQueue

log = structlog.stdlib.get_logger("didflow.queue")


class LedgerBroker(dramatiq.Broker):
    """Its queues are the lanes, its messages nudges for jobs in the ledger. There are no delay queues: the ledger knows what is due later.

    One `dramatiq.Worker` serves it; the lanes share that one's threads as IdleThreads says. It needs a ledger with a connection of its own.
    """

    def __init__(self, ledger: Ledger, jobs: Jobs, stopping: threading.Event, middleware: Iterable[dramatiq.Middleware] = ()) -> None:
        """Raises InvalidSettings for a middleware that can't be used."""
        self._ledger, self._jobs, self._stopping = ledger, jobs, stopping
        self._threads: IdleThreads | None = None
        super().__init__([CurrentMessage(), _SharesThreads(), *middleware])
        for lane in Lane:
            self.declare_queue(lane.value)

    def share(self, count: int) -> None:
        """The worker that is about to start has this many threads. Raises ValueError if they are too few."""
        self._threads = IdleThreads(count)

    def add_middleware(self, middleware: dramatiq.Middleware, **place: Any) -> None:
        """Raises InvalidSettings for one that can't be used."""
        check_middleware(middleware)
        if not (type(middleware) is CurrentMessage and self.middleware):  # It is there: actors get their claims by it.
            super().add_middleware(middleware, **place)

    def declare_queue(self, queue_name: str) -> None:
        """Raises ValueError for one that is no lane."""
        lane = Lane(queue_name)
        if lane.value not in self.queues:
            self.emit_before("declare_queue", lane.value)
            self.queues[lane.value] = lane
            self.emit_after("declare_queue", lane.value)

    def declare_callback(self, actor: "dramatiq.Actor[Any, Any]") -> None:
        """Let the options `on_success` and `on_failure` name an actor of another broker. Its messages go there."""
        self.actors[actor.actor_name] = actor

    def enqueue(self, message: "dramatiq.Message[Any]", *, delay: int | None = None) -> "dramatiq.Message[Any]":
        """Nudge the job that the message names: its only argument is the job's id. A job that has ended, or isn't due, stays as it is.

        Raises InvalidRequest for another message, or for one with a delay; ServiceUnavailable.
        """
        if delay is not None:
            raise _refused("a message can't be delayed: submit the job with `not_before`")
        if len(message.args) != 1 or message.kwargs or not isinstance(message.args[0], str):
            raise _refused(f"a message names one job by its id: {message.actor_name} got other arguments")
        self.emit_before("enqueue", message, delay)
        if not self._ledger.nudge(message.args[0]):
            log.info("queue.not_nudged", job_id=message.args[0], because="no such job, or it has ended")
        self.emit_after("enqueue", message, delay)
        return message

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> LaneConsumer:  # noqa: ARG002 - Dramatiq's signature
        """Nothing is prefetched: a consumer takes no more jobs than there are idle threads."""
        assert self._threads is not None, "a worker starts first"
        return LaneConsumer(self._jobs, self._ledger, Lane(queue_name), self._stopping, self._threads)

    def emit_before(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """As Dramatiq does. But no middleware stops an acknowledgement: the message's thread would never take another job."""
        try:
            super().emit_before(signal, *args, **kwargs)
        except MiddlewareError as error:
            if signal not in ("ack", "nack"):
                raise
            log.error("queue.middleware_failed", signal=f"before_{signal}", error=str(error))


class _SharesThreads(dramatiq.Middleware):
    """Only the worker knows how many threads it has."""

    def before_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        assert isinstance(broker, LedgerBroker)
        worker.work_queue = WorkQueue()
        try:
            broker.share(worker.worker_threads)
        except ValueError as error:
            log.critical("process.refused_to_start", error=str(error))
            raise MiddlewareError(str(error)) from None


def _refused(sentence: str) -> InvalidRequest:
    return InvalidRequest(sentence, (("message", sentence),))
