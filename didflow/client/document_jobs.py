"""The jobs behind `Documents`: a single look at numbers that wait for documents, and the job that follows them. Commands."""

import time
from collections.abc import Sequence
from contextlib import suppress

from didflow.client.submission import submit_one
from didflow.contract.errors import InvalidRequest, JobNotFound
from didflow.contract.follow_ups import DOCUMENTS, DOCUMENTS_AGAIN
from didflow.contract.job_kinds import parse_request
from didflow.contract.jobs import JobView
from didflow.contract.requests import Request
from didflow.contract.results import NumberResult
from didflow.ledger.commands import Command, Commands
from didflow.ledger.script_calls import Submission


def missing_documents(commands: Commands, numbers: Sequence[str], account: str, timeout_s: float) -> Command[tuple[NumberResult, ...]]:
    """Submit a dry run and wait for its result. Raises InvalidRequest, WaitTimeout."""
    job = yield from submit_one(commands, Submission(follow_request(numbers=tuple(numbers), dry_run=True), account=account))
    view = yield from commands.wait(job.id, timeout_s, time.monotonic)
    return view.result.numbers if view.result else ()


def newest_follower(commands: Commands, purchase_id: str) -> Command[JobView | None]:
    """The newest job that follows what this purchase bought."""
    for name in (DOCUMENTS_AGAIN, DOCUMENTS):
        with suppress(JobNotFound):
            return (yield from commands.get(f"{purchase_id}-{name}"))
    return None


def numbers_that_need(view: JobView, kind: str) -> tuple[str, ...]:
    """The numbers in a job's result that were seen to need this type of document. Raises InvalidRequest if there is none."""
    found = tuple(one.number for one in view.result.numbers if kind in one.documents_needed) if view.result else ()
    if not found:
        what = f"no number in the result of {view.id} needs {kind[:40]!r}: `didflow status {view.id}`"
        raise InvalidRequest(f"job: {what}", (("job", what),))
    return found


def follow_request(**fields: object) -> Request:
    """Raises InvalidRequest."""
    return parse_request({"kind": "follow_documents", **fields})
