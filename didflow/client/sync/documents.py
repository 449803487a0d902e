# Written by `make generate` from didflow/client/aio/documents.py: change that file.
"""Numbers that wait for documents: which documents are missing, and following the numbers until they take calls.

    documents = Documents(Didflow.from_env())
    for number in documents.missing(["+4930123456"]):
        print(number.number, number.documents_needed)
    documents.follow(["+4930123456"], idempotency_key="papers-4711")

A purchase submits its follower by itself: `documents.follower(purchase_id)`. The documents' files never reach the ledger: upload them
with `didflow documents upload`, on a machine that has the account's key, or with `POST /v1/documents`.
"""

from collections.abc import Sequence
from datetime import datetime

from didflow.client.document_jobs import follow_request, missing_documents, newest_follower
from didflow.client.submission import submit_one
from didflow.client.sync.base import Client
from didflow.contract.jobs import Job, JobView
from didflow.contract.results import NumberResult
from didflow.ledger.script_calls import Submission


class Documents:
    """The numbers of one account that wait for documents."""

    def __init__(self, didflow: Client, *, account: str = "default") -> None:
        self._ledger, self._account = didflow.ledger, account

    def missing(self, numbers: Sequence[str], *, timeout_s: float = 60.0) -> tuple[NumberResult, ...]:
        """Return the state of each of these E.164 numbers, and the documents that a person has to upload for it.

            for number in didflow.documents.missing(["+4930123456"]):
                print(number.number, number.outcome, number.documents_needed)

        `outcome` is ``activated``, ``bought_inactive`` or ``not_found``. Asks the provider once, by a job, and waits for its result.
        Raises InvalidRequest, WaitTimeout.
        """
        return self._ledger.perform(missing_documents(self._ledger.commands, numbers, self._account, timeout_s))

    def follow(
        self,
        numbers: Sequence[str],
        *,
        deadline: datetime | None = None,
        idempotency_key: str | None = None,
        reference: str | None = None,
    ) -> Job:
        """Follow these numbers until all take calls, or until the deadline. Every change emits an event.

            job = didflow.documents.follow(["+4930123456"], idempotency_key="papers-4711")

        Raises InvalidRequest, IdempotencyConflict, ServiceUnavailable (repeat it then, with the same key).
        """
        following = Submission(follow_request(numbers=tuple(numbers), deadline=deadline), idempotency_key, reference, self._account)
        return self._ledger.perform(submit_one(self._ledger.commands, following))

    def follower(self, purchase_id: str) -> JobView | None:
        """Return the newest job that follows what this purchase bought.

            view = didflow.documents.follower(job.id)

        None if everything that it bought takes calls at once.
        """
        return self._ledger.perform(newest_follower(self._ledger.commands, purchase_id))
