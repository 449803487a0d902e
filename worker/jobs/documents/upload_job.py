"""Uploading a document as a job: the file comes from the HTTP server that took it; what is sent is written down before.

The rules are those of `hand_in`. An upload that may have taken effect isn't repeated by a later attempt: that one only looks at the
number, and parks the job if the document isn't shown within the settle time.
"""

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from pydantic import BaseModel, ConfigDict

from didflow.contract.attempt_write import Write
from didflow.contract.document_file import Paper, read_paper
from didflow.contract.errors import InvalidRequest, JobError
from didflow.contract.provider import Answer, Barred, No, NotNow, OwnedAsk, OwnedNumber, Page, Unclear, Yes
from didflow.contract.requests import UploadDocument
from didflow.contract.results import NumberResult, Result, Totals
from didflow.contract.states import JobState, Outcome
from worker.jobs.checkpoint import read_checkpoint
from worker.jobs.documents.upload import GOOD, Fate, HandedIn, hand_in, shown
from worker.jobs.ports.context import UploadContext
from worker.jobs.ports.endings import CancelRequested, Ended, NeedsReview, Wait
from worker.jobs.ports.provider import UploadPorts
from worker.jobs.ports.rules import Rules
from worker.jobs.provider_answers import waiting_for

CANCELLED = JobError(code="cancelled", message="cancelled before the document was sent")
GONE = JobError(
    code="document_gone",
    message="no server has the file any more (it was stopped, or the job waited too long): nothing was sent to the provider for these "
    "numbers; send the file again, with a new Idempotency-Key",
)
DAMAGED = JobError(
    code="document_damaged",
    message="the file that came isn't the one that was sent, by its SHA-256: nothing was sent to the provider for these numbers; send the "
    "file again, with a new Idempotency-Key",
)
UNCLEAR = JobError(
    code="upload_unclear",
    message="the provider may have the document, and its list doesn't show it: look at the numbers in its portal. `retry` looks again and "
    "sends nothing; a new upload looks first, too",
)
_OUTCOMES = {
    Fate.HANDED_IN: Outcome.CONFIRMED,
    Fate.THERE_ALREADY: Outcome.UNCHANGED,
    Fate.NOT_NEEDED: Outcome.UNCHANGED,
    Fate.NOT_FOUND: Outcome.NOT_FOUND,
    Fate.REFUSED: Outcome.REFUSED,
    Fate.NOT_SENT: Outcome.FAILED,
    Fate.UNCLEAR: Outcome.UNCLEAR,
}


class UploadCheckpoint(BaseModel):
    """`sent`: numbers for which a call with the document may have taken effect, or may still. `refused`: those for which one was answered
    with a refusal, which may have been passed on all the same: they are looked at before anybody says that nothing was sent."""

    model_config = ConfigDict(frozen=True)

    sent: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def upload_document(request: UploadDocument, context: UploadContext, provider: UploadPorts, rules: Rules) -> Ended:
    """Run one attempt."""
    job = _Upload(request, context, provider, rules)
    fates, error = job.looked_for(job.sent), None
    try:
        fates |= job.uploaded([number for number in request.numbers if number not in fates])
    except CancelRequested:
        if not job.sent and not job.refused:
            raise
        error = CANCELLED
        fates |= job.looked_for([number for number in job.sent if number not in fates])
    except _NoFile as none:
        error = none.error
    if error:
        fates |= job.looked_for_refused([number for number in job.refused if number not in fates])
    words = error.message if error else ""
    return _ended([fates.get(number) or HandedIn(number, Fate.NOT_SENT, words) for number in request.numbers], error)


def known_upload(request: UploadDocument, context: UploadContext, error: JobError) -> Result:
    """What is known of the numbers, for a job that ends where it can't say it itself."""
    known = read_checkpoint(UploadCheckpoint, context.checkpoint, ())
    may_have = {*known.sent, *known.refused}
    fates = [HandedIn(number, Fate.UNCLEAR if number in may_have else Fate.NOT_SENT, error.message) for number in request.numbers]
    return _result(fates, error)


class _NoFile(Exception):
    """The file can't be sent. `error` says why."""

    def __init__(self, error: JobError) -> None:
        super().__init__(error.message)
        self.error = error


def _paper(request: UploadDocument, context: UploadContext) -> Paper:
    """The file, compared with its digest and checked as the command does it. Raises _NoFile."""
    content = context.files.fetch(request.sha256, request.size_bytes, context.check_interrupts)
    if content is None:
        raise _NoFile(GONE)
    if hashlib.sha256(content).hexdigest() != request.sha256:
        raise _NoFile(DAMAGED)
    try:
        return read_paper(request.document, content)
    except InvalidRequest as error:
        raise _NoFile(JobError(code=error.code, message=str(error))) from None


class _Upload:
    """The provider, for `hand_in`; before each upload it is written down for which numbers that may take effect."""

    def __init__(self, request: UploadDocument, context: UploadContext, provider: UploadPorts, rules: Rules) -> None:
        self._request, self._context, self._provider, self._rules = request, context, provider, rules
        known = read_checkpoint(UploadCheckpoint, context.checkpoint, ())
        self.sent, self.refused = known.sent, known.refused

    def uploaded(self, numbers: Sequence[str]) -> dict[str, HandedIn]:
        """Upload it for these, as far as they need it. Raises _NoFile, and CancelRequested before anything is sent."""
        if not numbers:
            return {}
        self._context.check_interrupts()
        paper, settle_s = _paper(self._request, self._context), self._rules.settle_s
        done = hand_in(numbers, paper, self, settle_s=settle_s, now_s=time.monotonic, pause=self._pause)
        return {one.number: one for one in done}

    def looked_for(self, numbers: Sequence[str]) -> dict[str, HandedIn]:
        """What became of what was sent for these."""
        return self._looked_for(numbers, Fate.UNCLEAR, UNCLEAR.message)

    def looked_for_refused(self, numbers: Sequence[str]) -> dict[str, HandedIn]:
        """What became of the calls for these that were refused."""
        return self._looked_for(numbers, Fate.NOT_SENT, "the provider refused it, and doesn't show it one settle time later")

    def _looked_for(self, numbers: Sequence[str], otherwise: Fate, words: str) -> dict[str, HandedIn]:
        if not numbers:
            return {}
        settle_s = self._rules.settle_s
        there = shown(numbers, self._request.document, self, settle_s=settle_s, now_s=time.monotonic, pause=self._pause)
        absent = {number: HandedIn(number, otherwise, words) for number in numbers}
        return absent | {number: HandedIn(number, Fate.HANDED_IN) for number in there}

    def _pause(self, seconds: float) -> None:
        """A cancel doesn't keep it from finding out what became of what was sent."""
        self._context.files.pause(min(seconds, self._rules.settle_s))
        with suppress(CancelRequested):
            self._context.check_interrupts()

    def owned(self, *, page: int, search: str | None = None, label: str | None = None, per_page: int = 100) -> Page[OwnedNumber]:
        return self._provider.owned(page=page, search=search, label=label, per_page=per_page)

    def owned_many(self, asks: Iterable[OwnedAsk]) -> Iterator[Page[OwnedNumber]]:
        return self._provider.owned_many(asks)

    def owned_one(self, record_id: int) -> OwnedNumber:
        return self._provider.owned_one(record_id)

    def upload_paper(
        self, record_ids: Sequence[int], paper: Paper, *, other_form: bool = False, numbers: Sequence[str] = ()
    ) -> Answer[None]:
        """Raises what a provider that can't be asked now means for the job; and before anything is sent, what interrupts it."""
        self._context.check_interrupts()
        self._write("uploading", [*self.sent, *numbers], self.refused, unless_cancelled=True)
        answer = self._provider.upload_paper(record_ids, paper, other_form=other_form, numbers=numbers)
        match answer:
            case Yes() | Unclear():
                return answer
            case No():
                self._write("upload_refused", self._without(numbers), [*self.refused, *numbers])
                return answer
            case NotNow(answered=False):
                self._write("not_uploaded", self._without(numbers), self.refused)
                raise waiting_for(answer)
            case NotNow() | Barred():
                self._write("upload_refused", self._without(numbers), [*self.refused, *numbers])
                trouble = waiting_for(answer)
                if isinstance(trouble, Wait) and isinstance(answer, NotNow):
                    # It may have passed the call on all the same: the next look comes when the lists must show it.
                    raise Wait(trouble.reason, max(trouble.after_s, self._rules.settle_s), trouble.message)
                raise trouble

    def _without(self, numbers: Sequence[str]) -> list[str]:
        return [number for number in self.sent if number not in numbers]

    def _write(self, step: str, sent: Sequence[str], refused: Sequence[str], *, unless_cancelled: bool = False) -> None:
        checkpoint = UploadCheckpoint(sent=tuple(dict.fromkeys(sent)), refused=tuple(dict.fromkeys(refused)))
        detail = f"{len(checkpoint.sent)} numbers may have the document"
        self._context.save(
            Write(step, detail=detail, phase="uploading", checkpoint=checkpoint.model_dump_json(), unless_cancelled=unless_cancelled)
        )
        self.sent, self.refused = checkpoint.sent, checkpoint.refused


def _ended(fates: Sequence[HandedIn], error: JobError | None) -> Ended:
    """Raises NeedsReview if it isn't clear what became of the document for one of them."""
    if any(one.fate is Fate.UNCLEAR for one in fates):
        raise NeedsReview(UNCLEAR, _result(fates, UNCLEAR))
    result = _result(fates, error)
    if result.totals.done == result.totals.requested:
        return Ended(JobState.SUCCEEDED, result)
    if error is CANCELLED:
        return Ended(JobState.CANCELLED, result)
    return Ended(JobState.PARTIAL if result.totals.done else JobState.FAILED, result if error else _result(fates, _first_error(fates)))


def _first_error(fates: Sequence[HandedIn]) -> JobError:
    first = next(one for one in fates if one.fate not in GOOD)
    return JobError(code=first.fate.value, message=f"{first.number}: {first.words or first.fate.value}")


def _result(fates: Sequence[HandedIn], error: JobError | None) -> Result:
    numbers = tuple(NumberResult(number=one.number, outcome=_OUTCOMES[one.fate], error=_remark(one)) for one in fates)
    return Result(numbers=numbers, totals=Totals(requested=len(fates), done=sum(one.fate in GOOD for one in fates)), error=error)


def _remark(one: HandedIn) -> JobError | None:
    """Why it is so; for one that was uploaded there is nothing to say."""
    return None if one.fate is Fate.HANDED_IN else JobError(code=one.fate.value, message=one.words or one.fate.value.replace("_", " "))
