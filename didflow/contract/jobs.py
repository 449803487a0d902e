"""A job as a producer sees it."""

from dataclasses import dataclass
from datetime import datetime

from didflow.contract.errors import JobError
from didflow.contract.requests import Request
from didflow.contract.results import Result
from didflow.contract.states import JobState, Lane


@dataclass(frozen=True)
class Job:
    """The answer to a submit: `is_new` is False if the idempotency key had this job already."""

    id: str
    is_new: bool
    state: JobState


@dataclass(frozen=True)
class JobView:
    """A job as stored in the ledger. Times are Redis's, in UTC. `request` is None if it can't be read by this version.

    `token` rises with each attempt: what was seen of a parked job is true of it as long as its token is the same.

    `actor` submitted it; None: a worker did. `decided_by` cancelled it, retried or resolved it last.
    `incident`: the one that it is part of. `traceparent`, `tracestate`: the W3C trace context that it was submitted with.
    """

    id: str
    kind: str
    state: JobState
    reason: str | None
    account: str
    reference: str | None
    idempotency_key: str | None
    lane: Lane
    priority: int
    attempt: int
    phase: str | None
    progress: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    due_at: datetime | None
    cancel_requested: bool
    request: Request | None
    result: Result | None
    error: JobError | None
    token: int = 0
    actor: str | None = None
    decided_by: str | None = None
    incident: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None


@dataclass(frozen=True)
class ProviderCall:
    """A call that may have changed something at the provider.

    `request` is the fingerprint of method, path and body, which the worker's log has too. `answer`: ``yes``, ``no:code``,
    ``unclear:reason``, ``not_now`` or ``barred``.
    """

    call: str
    request: str
    answer: str


@dataclass(frozen=True)
class Step:
    """One line of a job's story, for `didflow explain`: what was done, when, and what it showed.

    `calls` are those since the step before, in order. `witness`: what decided, where something was open. `actor`: the person
    whose decision it was.
    """

    at: datetime
    attempt: int
    name: str
    detail: str
    calls: tuple[ProviderCall, ...] = ()
    witness: str | None = None
    actor: str | None = None
