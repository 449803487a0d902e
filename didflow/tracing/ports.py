"""What is traced, as clients and workers see it. None of these methods raises."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class ProviderExchange:
    """One request to the provider, sent once, and what came back.

    `path` is the path with ``*`` for each number, id or document. `request` is the fingerprint that `didflow explain` and the log show.
    `answer` is a status class such as ``2xx``, or ``429``; ``not_sent`` if the provider wasn't reached, ``none`` without a whole answer.
    """

    method: str
    path: str
    request: str
    answer: str
    took_s: float


@dataclass(frozen=True)
class AttemptStart:
    """An attempt of a job that begins. `traceparent`, `tracestate`: the job's, None if it has none."""

    kind: str
    lane: str
    job_id: str
    attempt: int
    traceparent: str | None
    tracestate: str | None = None


class SubmitSpan(Protocol):
    """The span of one submission."""

    @property
    def traceparent(self) -> str:
        """W3C trace context of the span, which the job is to keep."""

    @property
    def tracestate(self) -> str:
        """The state that belongs to it; '' for none."""

    def accepted(self, job_id: str, *, is_new: bool) -> None:
        """End the span: the job is stored. `is_new` is False for a repeated idempotency key."""

    def failed(self, code: str) -> None:
        """End the span: it was refused, or nothing is known of it. `code`: an error's code, or its class."""


class AttemptSpan(Protocol):
    """The span of one attempt; current in its thread until it ends."""

    def called(self, exchange: ProviderExchange) -> None:
        """Record a provider call that just ended, as a child. From any thread."""

    def ended(self, state: str | None, reason: str | None) -> None:
        """End the span. `state`: of the job after the attempt, None if the attempt can't say. `reason`: why the job waits."""


class Traces(Protocol):
    """Makes spans."""

    def submit(self, kind: str, traceparent: str | None, tracestate: str | None = None) -> SubmitSpan:
        """Begin the span of a submission: a child of `traceparent`, else of the span that is current in the caller."""

    def attempt(self, start: AttemptStart) -> AttemptSpan:
        """Begin the span of an attempt: a child of the job's context, and linked to it."""

    def close(self, within_s: float) -> None:
        """Export what is left, for at most this long. Later spans are lost."""
