"""Release: give numbers back, by record id, exactly those that were meant.

A number that is bought again has a new record id, so a release that is repeated can't hit the new purchase.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from worker.contract.errors import JobError
from worker.contract.provider import Barred, No, NotNow, NotThere, OwnedNumber, Unclear, Yes
from worker.contract.requests import Release
from worker.contract.results import NumberResult, Quote, Result, Totals
from worker.contract.states import JobState, Outcome
from worker.jobs.answers import waiting_for
from worker.jobs.happened import released
from worker.jobs.owned import find_owned
from worker.jobs.ports import AttemptFailed, CancelRequested, Ended, JobPage, NeedsReview, Provider, Rules
from worker.jobs.selection import Selected, select
from worker.jobs.stored import read_memo, read_stored

GOOD = frozenset({Outcome.RELEASED, Outcome.ALREADY_RELEASED})
HANDED_OUT = JobError(code="handed_out", message="a purchase was given this number of ours since: left alone, to be released anew if meant")


class Leaving(BaseModel):
    """One number on its way out. `sent`: a release of it may have been sent, written down before the call."""

    model_config = ConfigDict(frozen=True)

    number: str
    record_id: int
    added: datetime | None
    paid_until: datetime | None = None
    sent: bool = False
    outcome: Outcome | None = None
    error: JobError | None = None

    def became(self, outcome: Outcome, error: JobError | None = None) -> "Leaving":
        return self.model_copy(update={"outcome": outcome, "error": error})

    def result(self) -> NumberResult:
        outcome = self.outcome or (Outcome.UNCLEAR if self.sent else Outcome.FAILED)
        return NumberResult(number=self.number, record_id=self.record_id, outcome=outcome, paid_until=self.paid_until, error=self.error)


class ReleaseMemo(BaseModel):
    """`selected`: the list of what goes is complete; it isn't made again."""

    model_config = ConfigDict(frozen=True)

    selected: bool = False
    not_found: tuple[str, ...] = ()


def release(request: Release, page: JobPage, provider: Provider, rules: Rules) -> Ended:
    """Run one attempt of a release to its end."""
    job = _Release(request, page, provider, rules)
    if not job.memo.selected:
        page.pause_point()
        selected = select(request, provider)
        leaving = [guarded(owned, request, rules) for owned in selected.owned]
        if request.dry_run:
            return _preview(leaving, selected)
        job.take(leaving, selected.not_found)
    try:
        for batch in job.batches(rules.batch_size):
            page.pause_point()
            job.give_back(job.still_ours(batch))
    except CancelRequested:
        job.look_at_open()
        return job.ended(JobError(code="cancelled", message="cancelled; numbers listed as released were already given back, for good"))
    return job.ended(None)


def guarded(owned: OwnedNumber, request: Release, rules: Rules) -> Leaving:
    """The number as something to release, or as protected."""
    leaving = Leaving(number=owned.number, record_id=owned.record_id, added=owned.added, paid_until=owned.paid_until)
    labels = rules.protected_labels | frozenset(request.protected_labels)
    if owned.number in rules.protected_numbers or (owned.label is not None and owned.label in labels):
        return leaving.became(Outcome.PROTECTED, JobError(code="protected", message="protected by number or label: not released"))
    return leaving


class _Release:
    """What goes, as this attempt sees and writes it."""

    def __init__(self, request: Release, page: JobPage, provider: Provider, rules: Rules) -> None:
        self._request, self._page, self._provider, self._rules = request, page, provider, rules
        written = page.numbers()
        self.memo = read_memo(ReleaseMemo, page.memo, written)
        self.leaving: dict[str, Leaving] = {}
        if self.memo.selected:
            self.leaving = {number: read_stored(Leaving, text) for number, text in written.items()}

    def take(self, leaving: Iterable[Leaving], not_found: Sequence[str]) -> None:
        """Write down what goes, with record id and time of purchase, before the first of them goes."""
        self.memo = ReleaseMemo(selected=True, not_found=tuple(not_found))
        self._write("selected", list(leaving))

    def batches(self, size: int) -> Iterable[list[Leaving]]:
        """What is still to be done."""
        todo = [leaving for _, leaving in sorted(self.leaving.items()) if leaving.outcome is None]
        for start in range(0, len(todo), size):
            yield todo[start : start + size]

    def still_ours(self, batch: Sequence[Leaving]) -> list[Leaving]:
        """Read each record again just before it goes; those that are gone are done with, those that have changed stay."""
        owned = self._records(batch)
        gone = [leaving for leaving in batch if leaving.record_id not in owned]
        self._record_gone(gone)
        here = [leaving for leaving in batch if leaving.record_id in owned]
        stays = {leaving.number: self._reason_to_stay(leaving, owned[leaving.record_id]) for leaving in here}
        self._write("left_alone", [kept for kept in stays.values() if kept is not None])
        return [leaving for leaving in here if stays[leaving.number] is None]

    def _records(self, batch: Sequence[Leaving]) -> dict[int, OwnedNumber]:
        """The records that are still there. One that the list doesn't show is asked for by itself: pages may have shifted."""
        owned = {found.record_id: found for found in find_owned(self._provider, [leaving.number for leaving in batch]).values()}
        for leaving in batch:
            if leaving.record_id not in owned:
                with suppress(NotThere):
                    owned[leaving.record_id] = self._provider.owned_one(leaving.record_id)
        return owned

    def _reason_to_stay(self, leaving: Leaving, owned: OwnedNumber) -> Leaving | None:
        """The number as left alone, if it is protected by now or isn't the purchase that was meant."""
        if leaving.sent:
            return None
        if owned.added != leaving.added:
            message = "the time of purchase is not the one seen at the start: left alone"
            return leaving.became(Outcome.CHANGED_ELSEWHERE, JobError(code="changed_elsewhere", message=message))
        now = guarded(owned, self._request, self._rules)
        return now if now.outcome is not None else None

    def look_at_open(self) -> None:
        """What was sent without an answer is looked at before the job ends. Raises NeedsReview for what is still there: it may yet go."""
        open_ones = [leaving for leaving in self.leaving.values() if leaving.sent and leaving.outcome is None]
        if not open_ones:
            return
        owned = self._records(open_ones)
        self._record_gone([leaving for leaving in open_ones if leaving.record_id not in owned])
        if any(leaving.sent and leaving.outcome is None for leaving in self.leaving.values()):
            error = JobError(code="release_unclear", message="cancelled while a release had no clear answer: it may still take effect")
            raise NeedsReview(error, self.result(error))

    def give_back(self, batch: Sequence[Leaving]) -> None:
        """Release by record id. The intent is on the disk before the call, so that "gone" can later be told from "was gone before"."""
        if not batch:
            return
        first_time = [leaving for leaving in batch if not leaving.sent]
        self._write("releasing", [leaving.model_copy(update={"sent": True}) for leaving in first_time])
        # Before it is back in stock, so that no purchase of ours can be quicker.
        if handed_out := self._page.quarantine([leaving.number for leaving in batch]):
            self._write("handed_out", [one.became(Outcome.SUPERSEDED, HANDED_OUT) for one in batch if one.number in handed_out])
            batch, first_time = ([one for one in some if one.number not in handed_out] for some in (batch, first_time))
            if not batch:
                return
        answer = self._provider.release([leaving.record_id for leaving in batch])
        match answer:
            case Yes():
                self._record_released(batch)
            case No() if len(batch) > 1:
                self._write("refused_together", first_time)  # Nothing went: not sent after all.
                half = len(batch) // 2
                self.give_back(batch[:half])
                self.give_back(batch[half:])
            case No(code="not_found"):
                self._record_gone(batch)
            case No(code=code, message=message):
                self._write("refused", [batch[0].became(Outcome.REFUSED, JobError(code=f"release_{code}", message=message))])
            case Unclear(reason):
                error = JobError(
                    code="release_unclear", message=f"a release had no clear answer ({reason}): `didflow explain`", retryable=True
                )
                raise AttemptFailed(error, so_far=self.result(error), in_doubt=True)
            case NotNow() | Barred():
                self._write("not_now", first_time)
                raise waiting_for(answer)

    def _record_gone(self, gone: Sequence[Leaving]) -> None:
        """A record that is gone after we sent its release went by it; one that we never sent was gone before."""
        self._record_released([leaving for leaving in gone if leaving.sent])
        self._write("was_gone", [leaving.became(Outcome.ALREADY_RELEASED) for leaving in gone if not leaving.sent])

    def _record_released(self, released: Sequence[Leaving]) -> None:
        if released:
            self._write("released", [leaving.model_copy(update={"sent": True}).became(Outcome.RELEASED) for leaving in released])

    def result(self, error: JobError | None) -> Result:
        others = Selected((), self.memo.not_found).missing_results()
        numbers = tuple(leaving.result() for _, leaving in sorted(self.leaving.items())) + others
        done = sum(number.outcome in GOOD for number in numbers)
        first = next((number.error for number in numbers if number.error), None)
        return Result(numbers=numbers, totals=Totals(requested=len(numbers), done=done), error=error or first)

    def ended(self, error: JobError | None) -> Ended:
        result = self.result(error)
        if result.totals.done == result.totals.requested and not error:
            return Ended(JobState.SUCCEEDED, result)
        if result.totals.done:
            return Ended(JobState.PARTIAL, result)
        return Ended(JobState.CANCELLED if error else JobState.FAILED, result)

    def _write(self, step: str, changed: Sequence[Leaving]) -> None:
        # "releasing" is also the token check before a call that is sent again, with nothing new to write.
        if not changed and step not in ("selected", "releasing"):
            return
        history = {one.number: happened for one in changed if (happened := released(one.outcome, one.record_id, one.error))}
        self.leaving |= {leaving.number: leaving for leaving in changed}
        done = sum(leaving.outcome is not None for leaving in self.leaving.values())
        self._page.save(
            step=step,
            detail=f"{len(changed)} numbers",
            phase="releasing",
            memo=self.memo.model_dump_json(),
            numbers={leaving.number: leaving.model_dump_json() for leaving in changed},
            progress=f"{done} of {len(self.leaving)} numbers" if step == "released" else None,
            money=step == "releasing",
            history=history,
        )


def _preview(leaving: Sequence[Leaving], selected: Selected) -> Ended:
    would = tuple(one.result().model_copy(update={"outcome": one.outcome}) for one in leaving)
    quote = Quote(numbers=would + selected.missing_results())
    return Ended(JobState.SUCCEEDED, Result(totals=Totals(requested=len(quote.numbers), done=0), quote=quote))
