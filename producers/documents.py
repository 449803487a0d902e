"""Numbers that wait for documents: what is missing, and following them until they take calls.

    documents = Documents(Didflow.from_env())
    for number in documents.missing(["+4930123456"]):
        print(number.number, number.documents_needed)
    documents.follow(["+4930123456"], idempotency_key="papers-4711")

A purchase leaves a follower behind by itself: `documents.follower(purchase_id)`. The papers themselves never come here: they are handed
in with `didflow documents upload`, on a machine that has the account's key.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from producers.client import Didflow
from worker.contract.errors import JobNotFound
from worker.contract.follow_ups import DOCUMENTS, DOCUMENTS_AGAIN
from worker.contract.jobs import Job, JobView
from worker.contract.requests import Request, parse_request
from worker.contract.results import NumberResult


class Documents:
    """The numbers of one account that wait for documents."""

    def __init__(self, didflow: Didflow, *, account: str = "default") -> None:
        self._didflow, self._account = didflow, account

    def missing(self, numbers: Sequence[str], *, timeout_s: float = 60.0) -> tuple[NumberResult, ...]:
        """How far each of these E.164 numbers is: `outcome` is ``activated``, ``bought_inactive`` or ``not_found``, `documents_needed`
        what somebody has to hand in. Looks once, and waits for it. Raises InvalidRequest, WaitTimeout, ServiceUnavailable."""
        job = self._didflow.submit(_asked(numbers=tuple(numbers), dry_run=True), account=self._account)
        view = self._didflow.wait(job.id, timeout_s)
        return view.result.numbers if view.result else ()

    def follow(
        self,
        numbers: Sequence[str],
        *,
        deadline: datetime | None = None,
        idempotency_key: str | None = None,
        reference: str | None = None,
    ) -> Job:
        """Look at these numbers until all take calls, or until the deadline; every change is told on the events stream.

        Raises InvalidRequest, IdempotencyConflict, ServiceUnavailable (repeat it then, with the same key).
        """
        request = _asked(numbers=tuple(numbers), deadline=deadline)
        return self._didflow.submit(request, idempotency_key=idempotency_key, reference=reference, account=self._account)

    def follower(self, purchase_id: str) -> JobView | None:
        """The job that follows what this purchase bought, the newest of them; None if all that it bought takes calls at once."""
        for name in (DOCUMENTS_AGAIN, DOCUMENTS):
            with suppress(JobNotFound):
                return self._didflow.get(f"{purchase_id}-{name}")
        return None


def _asked(**fields: object) -> Request:
    return parse_request({"kind": "follow_documents", **fields})
