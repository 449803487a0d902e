"""Numbers that wait for documents: which documents are missing, and following the numbers until they take calls.

    documents = Documents(Didflow.from_env())
    for number in documents.missing(["+4930123456"]):
        print(number.number, number.documents_needed)
    documents.follow(["+4930123456"], idempotency_key="papers-4711")

A purchase submits its follower by itself: `documents.follower(purchase_id)`. The documents' files never reach the ledger: they are
in with `didflow documents upload`, on a machine that has the account's key. `AsyncDocuments` has the same verbs for asyncio.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from didflow.client.aio import AsyncDidflow
from didflow.client.submission import submit_one
from didflow.client.sync import Didflow
from didflow.contract.errors import JobNotFound
from didflow.contract.follow_ups import DOCUMENTS, DOCUMENTS_AGAIN
from didflow.contract.job_kinds import parse_request
from didflow.contract.jobs import Job, JobView
from didflow.contract.requests import Request
from didflow.contract.results import NumberResult
from didflow.ledger.commands import Command, Commands
from didflow.ledger.script_calls import Submission


class Documents:
    """The numbers of one account that wait for documents."""

    def __init__(self, didflow: Didflow, *, account: str = "default") -> None:
        self._ledger, self._account = didflow.ledger, account

    def missing(self, numbers: Sequence[str], *, timeout_s: float = 60.0) -> tuple[NumberResult, ...]:
        """How far each of these E.164 numbers is: `outcome` is ``activated``, ``bought_inactive`` or ``not_found``, `documents_needed`
        which a person has to upload. Reads once, and waits for the result. Raises InvalidRequest, WaitTimeout, ServiceUnavailable."""
        return self._ledger.perform(_looked_at(self._ledger.commands, numbers, self._account, timeout_s))

    def follow(
        self,
        numbers: Sequence[str],
        *,
        deadline: datetime | None = None,
        idempotency_key: str | None = None,
        reference: str | None = None,
    ) -> Job:
        """Follow these numbers until all take calls, or until the deadline. Every change emits an event.

        Raises InvalidRequest, IdempotencyConflict, ServiceUnavailable (repeat it then, with the same key).
        """
        following = Submission(_asked(numbers=tuple(numbers), deadline=deadline), idempotency_key, reference, self._account)
        return self._ledger.perform(submit_one(self._ledger.commands, following))

    def follower(self, purchase_id: str) -> JobView | None:
        """The job that follows what this purchase bought, the newest of them; None if all that it bought takes calls at once."""
        return self._ledger.perform(_follower(self._ledger.commands, purchase_id))


class AsyncDocuments:
    """See `Documents`: every verb is the same, to be awaited."""

    def __init__(self, didflow: AsyncDidflow, *, account: str = "default") -> None:
        self._didflow, self._account = didflow, account

    async def missing(self, numbers: Sequence[str], *, timeout_s: float = 60.0) -> tuple[NumberResult, ...]:
        return await self._didflow.perform(_looked_at(self._didflow.commands, numbers, self._account, timeout_s))

    async def follow(
        self,
        numbers: Sequence[str],
        *,
        deadline: datetime | None = None,
        idempotency_key: str | None = None,
        reference: str | None = None,
    ) -> Job:
        following = Submission(_asked(numbers=tuple(numbers), deadline=deadline), idempotency_key, reference, self._account)
        return await self._didflow.perform(submit_one(self._didflow.commands, following))

    async def follower(self, purchase_id: str) -> JobView | None:
        return await self._didflow.perform(_follower(self._didflow.commands, purchase_id))


def _looked_at(commands: Commands, numbers: Sequence[str], account: str, timeout_s: float) -> Command[tuple[NumberResult, ...]]:
    job = yield from submit_one(commands, Submission(_asked(numbers=tuple(numbers), dry_run=True), account=account))
    view = yield from commands.wait(job.id, timeout_s, time.monotonic)
    return view.result.numbers if view.result else ()


def _follower(commands: Commands, purchase_id: str) -> Command[JobView | None]:
    for name in (DOCUMENTS_AGAIN, DOCUMENTS):
        with suppress(JobNotFound):
            return (yield from commands.get(f"{purchase_id}-{name}"))
    return None


def _asked(**fields: object) -> Request:
    return parse_request({"kind": "follow_documents", **fields})
