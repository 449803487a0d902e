"""Following documents: check numbers that wait for them, at long intervals, until all take calls; emit every change; stop at the deadline.

Nothing is sent that changes anything: documents are uploaded by a command or by another job, and reviewed by the provider.
"""

from contextlib import suppress
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from didflow.contract.attempt_write import Write
from didflow.contract.errors import JobError
from didflow.contract.inventory import NumberShown
from didflow.contract.provider import NotThere, OwnedNumber
from didflow.contract.requests import FollowDocuments
from didflow.contract.results import NumberResult, Result, Totals
from didflow.contract.states import JobState, Outcome, WaitReason
from didflow.delays import draw_for, jittered_s
from worker.jobs.checkpoint import read_checkpoint, read_stored
from worker.jobs.documents.status import Followed, Stage, standing
from worker.jobs.owned_numbers import find_owned, find_surely
from worker.jobs.ports.context import DocumentsContext
from worker.jobs.ports.endings import CancelRequested, Ended, Refused, Wait
from worker.jobs.ports.provider import OwnedPort
from worker.jobs.ports.rules import Rules
from worker.jobs.purchase.state import ItemStatus, PurchaseItem

#: While its purchase is running it checks at least this often: more numbers may come.
PURCHASE_AGAIN_S = 300.0

CANCELLED = JobError(code="cancelled", message="cancelled: these numbers are no longer followed")
DEADLINE = JobError(
    code="documents_deadline", message="the deadline passed before all numbers were active: each number says what it waits for"
)


class FollowCheckpoint(BaseModel):
    """`chosen`: no more numbers will come. `until_ms`: the deadline. `looks` so far. `not_found`: named, and not shown as ours (yet)."""

    model_config = ConfigDict(frozen=True)

    chosen: bool = False
    until_ms: int = 0
    looks: int = 0
    not_found: tuple[str, ...] = ()


def follow_documents(request: FollowDocuments, context: DocumentsContext, provider: OwnedPort, rules: Rules) -> Ended:
    """Run one attempt: one look. Raises Wait until the next one."""
    job = _Follower(request, context, provider, rules)
    try:
        context.check_interrupts()
        job.look()
    except CancelRequested:
        return job.ended(JobState.CANCELLED, CANCELLED)
    if request.dry_run:
        return job.ended(JobState.SUCCEEDED, None)
    if job.checkpoint.chosen and all(one.is_final for one in job.followed.values()):
        return job.all_decided()
    if context.now_ms() >= job.checkpoint.until_ms:
        return job.ended(JobState.EXPIRED, DEADLINE)
    raise Wait(WaitReason.DOCUMENTS, job.next_look_s(), job.waiting_for())


def known_documents(_request: FollowDocuments, context: DocumentsContext, error: JobError) -> Result:
    """What is known of the numbers, for a job that ends where it can't say it itself."""
    followed = [read_stored(Followed, text) for text in context.numbers().values()]
    return _result(followed, read_checkpoint(FollowCheckpoint, context.checkpoint, ()).not_found, error)


class _Follower:
    """The numbers, as this attempt sees and writes them."""

    def __init__(self, request: FollowDocuments, context: DocumentsContext, provider: OwnedPort, rules: Rules) -> None:
        self._request, self._context, self._provider, self._rules = request, context, provider, rules
        self.followed = {number: read_stored(Followed, text) for number, text in context.numbers().items()}
        self._read: dict[str, OwnedNumber] = {}  #: as this attempt read them
        self.checkpoint = read_checkpoint(FollowCheckpoint, context.checkpoint, ())

    def look(self) -> None:
        """Find out what is new, save it and emit it."""
        known = {one.number: one.record_id for one in self.followed.values() if not one.is_final}
        chosen, not_found = self.checkpoint.chosen, self.checkpoint.not_found
        fresh: list[OwnedNumber] = []
        if not chosen:
            fresh, not_found, chosen = self._choose()
        self._read |= {owned.number: owned for owned in fresh}
        seen = [standing(owned) for owned in fresh if owned.number not in self.followed] + self._seen_again(known)
        changed = [one for one in seen if not one.is_as(self.followed.get(one.number))]
        self.followed |= {one.number: one for one in changed}
        if self._request.dry_run:
            self.checkpoint = FollowCheckpoint(chosen=chosen, not_found=not_found)
            return
        if changed:
            self._context.events.emit(
                [(one.number, one.model_dump_json(), one.event_type, self._body(one)) for one in changed],
            )
        self.checkpoint = FollowCheckpoint(
            chosen=chosen, until_ms=self.checkpoint.until_ms or self._until_ms(), looks=self.checkpoint.looks + 1, not_found=not_found
        )
        active = sum(one.stage is Stage.ACTIVATED for one in self.followed.values())
        self._context.save(
            Write(
                "looked",
                detail=f"{len(changed)} of {len(self.followed)} numbers have changed",
                phase="following",
                checkpoint=self.checkpoint.model_dump_json(),
                progress=f"{active} of {len(self.followed)} numbers",
                shown={one.number: NumberShown(self._read[one.number], ("documents",)) for one in changed if one.number in self._read},
            )
        )

    def _choose(self) -> tuple[list[OwnedNumber], tuple[str, ...], bool]:
        """The numbers that the request means, those that it names and aren't ours, and whether that is all of them."""
        if self._request.job_id is not None:
            return self._bought(self._request.job_id)
        if self._request.numbers:
            named = self._request.numbers
            owned = find_surely(self._provider, named)
            return list(owned.values()), tuple(number for number in named if number not in owned), True
        found: list[OwnedNumber] = []
        for record_id in self._request.record_ids:
            with suppress(NotThere):
                found.append(self._provider.owned_one(record_id))
        ids = {owned.record_id for owned in found}
        return found, tuple(f"#{record_id}" for record_id in self._request.record_ids if record_id not in ids), True

    def _bought(self, job_id: str) -> tuple[list[OwnedNumber], tuple[str, ...], bool]:
        """What that purchase has kept and what wasn't active then, and numbers from a person's finding that weren't checked yet.

        While it continues more may come; and what a person found may be shown later, or else never.
        """
        purchase = self._context.jobs.get(job_id)
        if purchase is None or purchase.kind != "search_and_buy" or purchase.account != self._context.account:
            raise Refused(
                JobError(code="not_a_purchase", message=f"job {job_id} is no purchase of this account that is kept: name the numbers")
            )
        picks = {number: read_stored(PurchaseItem, text) for number, text in self._context.jobs.numbers_of(job_id).items()}
        kept = {number: pick.owned for number, pick in picks.items() if pick.status == ItemStatus.KEPT and pick.owned is not None}
        waiting = [owned for owned in kept.values() if not owned.is_active and owned.number not in self.followed]
        resolved = purchase.ours - kept.keys() - self.followed.keys()
        fresh = find_owned(self._provider, [*(owned.number for owned in waiting), *resolved])
        fresh |= find_surely(self._provider, resolved - fresh.keys())
        # One that the list doesn't show (any more) is followed as it was bought, and requested by itself at the next look.
        same = [fresh[one.number] if one.number in fresh and fresh[one.number].record_id == one.record_id else one for one in waiting]
        missing = tuple(sorted(resolved - fresh.keys()))
        found = [fresh[number] for number in sorted(resolved & fresh.keys())]
        return [*same, *found], missing, purchase.state.is_terminal and not missing

    def _seen_again(self, known: dict[str, int]) -> list[Followed]:
        owned = find_owned(self._provider, known)
        return [self._again(self.followed[number], owned.get(number)) for number in known]

    def _again(self, before: Followed, owned: OwnedNumber | None) -> Followed:
        """One that the list doesn't show, or shows as another purchase, is requested by its record before it counts as gone."""
        if owned is None or owned.record_id != before.record_id:
            try:
                owned = self._provider.owned_one(before.record_id)
            except NotThere:
                return before.left()
        self._read[owned.number] = owned
        return standing(owned)

    def _until_ms(self) -> int:
        deadline = self._request.deadline
        if deadline is not None:
            return int(deadline.timestamp() * 1000)
        return self._context.now_ms() + int(self._rules.documents_deadline_s * 1000)

    def next_look_s(self) -> float:
        """A quarter earlier or later, so that many jobs don't look at once; and at the deadline."""
        after_s = jittered_s(self._rules.documents_every_s, draw_for(self._context.job_id, self.checkpoint.looks))
        if not self.checkpoint.chosen and not self.checkpoint.not_found:
            after_s = min(after_s, PURCHASE_AGAIN_S)
        left_s = (self.checkpoint.until_ms - self._context.now_ms()) / 1000
        return max(0.001, min(after_s, left_s))

    def waiting_for(self) -> str:
        open_ones = [one for one in self.followed.values() if not one.is_final]
        counts = [f"{count} {stage.value.replace('_', ' ')}" for stage in Stage if (count := sum(one.stage is stage for one in open_ones))]
        counts += [f"{len(self.checkpoint.not_found)} not shown as ours"] if self.checkpoint.not_found else []
        until = datetime.fromtimestamp(self.checkpoint.until_ms / 1000, UTC)
        return f"{', '.join(counts) or 'its purchase is running'}; until {until:%Y-%m-%d %H:%M} UTC"

    def _body(self, one: Followed) -> str:
        return one.event_body(self._context.job_id, self._context.account, self._context.reference).model_dump_json()

    def all_decided(self) -> Ended:
        """All take calls, or some have left the account."""
        result = _result(list(self.followed.values()), self.checkpoint.not_found, None)
        lost = next((one.error for one in result.numbers if one.error), None)
        if lost is None:
            return Ended(JobState.SUCCEEDED, result)
        return Ended(JobState.PARTIAL if result.totals.done else JobState.FAILED, result.model_copy(update={"error": lost}))

    def ended(self, state: JobState, error: JobError | None) -> Ended:
        return Ended(state, _result(list(self.followed.values()), self.checkpoint.not_found, error))


def _result(followed: list[Followed], not_found: tuple[str, ...], error: JobError | None) -> Result:
    missing = JobError(code="not_found", message="not a number of this account")
    others = tuple(NumberResult(number=name, outcome=Outcome.NOT_FOUND, error=missing) for name in not_found)
    numbers = tuple(one.result() for one in sorted(followed, key=lambda one: one.number)) + others
    done = sum(number.outcome is Outcome.ACTIVATED for number in numbers)
    return Result(numbers=numbers, totals=Totals(requested=len(numbers), done=done), error=error)
