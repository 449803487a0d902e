"""What a system needs that asks for numbers: submit jobs, follow them, take in their results.

    from producers import Destination, Didflow, SearchAndBuy

    didflow = Didflow.from_env()
    job = didflow.submit(SearchAndBuy(country="US", city="LOS ANGELES, CA"), idempotency_key="order-4711")
    print(didflow.wait(job.id, timeout_s=60).result)

Importing this loads neither httpx nor Dramatiq: a producer needs Redis and nothing else.
"""

from producers.aio import AsyncDidflow
from producers.client import Didflow
from producers.deliveries import AsyncDelivery, Delivery
from producers.documents import AsyncDocuments, Documents
from producers.pool import AsyncPool, Pool
from producers.quoting import QuotedSubmission
from worker.contract.destinations import Destination
from worker.contract.errors import (
    AlreadyLeaving,
    DeadLetterNotFound,
    DidflowError,
    IdempotencyConflict,
    InvalidRequest,
    InvalidSettings,
    JobNotFound,
    PlanNotFound,
    ServiceUnavailable,
    WaitTimeout,
    WrongJob,
)
from worker.contract.events import Event
from worker.contract.history import Happening, History, HistoryEntry
from worker.contract.jobs import Job, JobView, Step
from worker.contract.requests import Failback, FollowDocuments, Release, Reroute, Rung, SearchAndBuy, Selector, parse_request
from worker.contract.results import Quote
from worker.contract.states import JobState, Outcome
from worker.ledger.calls import Submission
from worker.ledger.dead_letters import DeadLetters

__all__ = [
    "AlreadyLeaving",
    "AsyncDelivery",
    "AsyncDidflow",
    "AsyncDocuments",
    "AsyncPool",
    "DeadLetterNotFound",
    "DeadLetters",
    "Delivery",
    "Destination",
    "Didflow",
    "DidflowError",
    "Documents",
    "Event",
    "Failback",
    "FollowDocuments",
    "Happening",
    "History",
    "HistoryEntry",
    "IdempotencyConflict",
    "InvalidRequest",
    "InvalidSettings",
    "Job",
    "JobNotFound",
    "JobState",
    "JobView",
    "Outcome",
    "PlanNotFound",
    "Pool",
    "Quote",
    "QuotedSubmission",
    "Release",
    "Reroute",
    "Rung",
    "SearchAndBuy",
    "Selector",
    "ServiceUnavailable",
    "Step",
    "Submission",
    "WaitTimeout",
    "WrongJob",
    "parse_request",
]
