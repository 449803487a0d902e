"""Sends releases, and determines their outcome by reads.

No answer is believed. A yes may come from a server that took one of the ids; a refusal may come from a proxy that had passed the call on,
so that its record is gone. The outcome `released` is given to a record that two reads, begun after the answer, don't show: the owned list,
and the record by itself. What is still shown decides what comes next:

- *After a refusal of several* those that are gone are done with and the rest is sent again at once: together if some went, in halves if
  none did. This needs no settle time. Record ids are never used again and all of these are meant to go, so a second call can't hurt
  anybody, also where a list is old, or a duplicate of the first call is still on its way.
- *After a refusal of one alone* it stays with us, as `refused`, when a read begun a settle time after the answer still shows it. Until
  then a list may be old, and a duplicate of the call may act. All that were refused wait together, so a job waits once.
- *After a yes* it is sent again, alone, when a read begun a settle time after the answer still shows it, then parked with the reason.
- *Without an answer* the attempt fails, and the next one looks first, and sends again what is still shown. Such a call may act late: a
  number whose later call was refused isn't called ours before the settle limit has passed.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from didflow.contract.errors import JobError
from didflow.contract.provider import Barred, No, NotNow, OwnedNumber, Unclear, Yes
from didflow.contract.results import Result
from didflow.contract.states import Outcome, WaitReason
from worker.jobs.halving import halves
from worker.jobs.ports.context import ReleaseContext
from worker.jobs.ports.endings import AttemptFailed, NeedsReview, Wait
from worker.jobs.ports.provider import ReleasePorts
from worker.jobs.ports.rules import Rules
from worker.jobs.provider_answers import waiting_for
from worker.jobs.release.ids_form import IdForms
from worker.jobs.release.state import HANDED_OUT, ReleaseCheckpoint, ReleaseItem

#: How soon a job checks again whether a release that was answered with yes shows.
LOOK_AGAIN_S = 0.5

#: send: now, also together with others. alone: now, by itself. wait: for the settle time. stays: it is ours. park: for a person.
Next = Literal["send", "alone", "wait", "stays", "park"]


def what_next(item: ReleaseItem, looked_ms: int, forms_alone: int, rules: Rules, *, guarded: bool = False) -> Next:
    """What to do with a number whose release was sent and whose record a read begun at `looked_ms` still shows.

    `forms_alone`: in how many forms it may be sent alone. `guarded`: it isn't to go any more.
    """
    if not item.answered_ms:
        return "send"
    untried = item.alone < forms_alone
    if item.refusal is not None and untried:
        return "alone" if item.alone else "send"
    if looked_ms - item.answered_ms < rules.settle_s * 1000:
        return "wait"
    if untried:
        return "alone"
    if item.refusal is None and not guarded:
        return "park"
    return "wait" if looked_ms < _unclear_until_ms(item, rules) else "stays"


def _unclear_until_ms(item: ReleaseItem, rules: Rules) -> int:
    """Until when a call that was never answered may act after one that was; 0: there is none."""
    return item.unclear_ms + int(rules.settle_limit_s * 1000) if item.unclear_ms else 0


class Book(Protocol):
    """What is needed of the release whose numbers go."""

    checkpoint: ReleaseCheckpoint
    items: dict[str, ReleaseItem]

    def records(self, batch: Sequence[ReleaseItem]) -> dict[int, OwnedNumber]: ...
    def record_gone(self, gone: Sequence[ReleaseItem]) -> None: ...
    def still_ours(self, batch: Sequence[ReleaseItem]) -> list[ReleaseItem]: ...
    def reasons_to_stay(self, here: Sequence[ReleaseItem], owned: Mapping[int, OwnedNumber]) -> dict[str, ReleaseItem]: ...
    def within_cap(self, batch: Sequence[ReleaseItem]) -> list[ReleaseItem]: ...
    def note(self, **changes: object) -> None: ...
    def result(self, error: JobError | None) -> Result: ...
    def write(self, step: str, changed: Sequence[ReleaseItem], *, detail: str = "", empty: bool = False) -> None: ...


class ReleaseExecutor:
    """The releases of one job, as this attempt sends them."""

    def __init__(self, book: Book, context: ReleaseContext, provider: ReleasePorts, rules: Rules) -> None:
        self._book, self._context, self._provider, self._rules = book, context, provider, rules
        self._forms = IdForms(context, rules)
        self._seen: dict[int, OwnedNumber] = {}
        self._elsewhere: set[str] = set()  #: sent, and assigned to a purchase since: not sent again

    def go_on(self, due: Sequence[ReleaseItem]) -> None:
        """Bring these further: look at what was sent, send what is to be sent.

        Raises Wait while only time helps, NeedsReview where nothing helps, and what the answers demand.
        """
        self._context.check_interrupts()
        looked_ms = self._context.now_ms()
        shown = self._looked_at([one for one in due if one.sent])
        guarded = self._book.reasons_to_stay([one.not_sent() for one in shown if one.answered_ms], self._seen)
        nexts = {one.number: self._next(one, looked_ms, guarded=one.number in guarded) for one in shown}
        self._learn_that_one_goes([one for one in shown if nexts[one.number] == "alone" and one.refusal is None and not one.alone])
        together = [one for one in due if not one.sent or nexts.get(one.number) == "send"]
        alone = [one for one in shown if nexts[one.number] == "alone"]
        self._book.write("refused", [guarded.get(one.number) or _stays(one) for one in shown if nexts[one.number] == "stays"])
        try:
            if together or alone:
                self._context.money.check_frozen()  # Before numbers are kept from others, or counted, for a release.
            for each in (alone, together):
                for batch in self._batches(each):
                    self._context.check_interrupts()
                    self._give_back(batch, together=each is together)
        except Wait as wait:
            # The next day, or the end of a freeze, may be far: what was sent is checked before.
            if wait.reason in (WaitReason.DAILY_CAP, WaitReason.FROZEN) and (settling := self._settling(self._now(due), looked_ms)):
                raise settling from None
            raise
        if not together and not alone:
            if settling := self._settling(shown, looked_ms):
                raise settling
            self._park([one for one in shown if nexts[one.number] == "park"])

    def look_at_open(self) -> bool:
        """The job is cancelled: look at what was sent and isn't settled. Returns whether some of it turned out not to have gone, which
        is as if it had never been sent. Raises Wait while that isn't known yet, NeedsReview for records that may still be released."""
        open_ones = [one for one in self._book.items.values() if one.sent and one.outcome is None]
        if not open_ones:
            return False
        looked_ms, settle_ms = self._context.now_ms(), int(self._rules.settle_s * 1000)
        shown = self._looked_at(open_ones)
        answered = [one for one in shown if one.refusal and looked_ms - one.answered_ms >= settle_ms]
        ours = [one for one in answered if looked_ms >= _unclear_until_ms(one, self._rules)]
        open_ms = self._book.checkpoint.open_ms
        if open_ms and looked_ms - open_ms >= self._rules.settle_limit_s * 1000:  # Nothing that was sent acts so late.
            ours = shown
        self._book.write("did_not_go", [one.not_sent() for one in ours])
        if len(ours) == len(shown):
            return bool(ours)
        if not self._book.checkpoint.open_ms:
            self._book.note(open_ms=looked_ms)
            self._book.write("still_open", (), detail=f"{len(shown)} numbers", empty=True)
        if looked_ms < (shown_ms := self._book.checkpoint.open_ms + settle_ms):
            raise Wait(WaitReason.SETTLING, (shown_ms - looked_ms) / 1000)
        error = JobError(code="release_unclear", message="cancelled while a release had no clear answer: it may still take effect")
        raise NeedsReview(error, self._book.result(error))

    def _next(self, item: ReleaseItem, looked_ms: int, *, guarded: bool = False) -> Next:
        """`guarded`: it isn't to go any more, so it isn't sent again."""
        found = what_next(item, looked_ms, 0 if guarded else len(self._forms.alone()), self._rules, guarded=guarded)
        return found if item.number not in self._elsewhere or found == "wait" else "park"

    def _batches(self, together: Sequence[ReleaseItem]) -> Sequence[Sequence[ReleaseItem]]:
        size = self._rules.batch_size
        return [together[start : start + size] for start in range(0, len(together), size)]

    def _give_back(self, batch: Sequence[ReleaseItem], *, together: bool) -> None:
        """Send these in as few calls as the server takes, and look at once."""
        fresh = [one for one in batch if not one.sent]
        may_go = {one.number for one in self._book.still_ours(fresh)} if fresh else set()
        going = self._book.within_cap([one for one in batch if one.sent or one.number in may_go])
        calls = self._send_all(self._not_handed_out(going), together=together)
        self._looked_at([one for one in self._now(batch) if one.sent and one.outcome is None])
        self._learn_from(calls)

    def _send_all(self, left: Sequence[ReleaseItem], *, together: bool = True) -> list[list[str]]:
        """Returns the numbers of each call; a call that was refused is followed by others, which aren't named."""
        calls: list[list[str]] = []
        while left:
            size = len(left) if together and self._forms.together() != "single" else 1
            calls.append([one.number for one in left[:size]])
            self._send(left[:size])
            left = left[size:]
        return calls

    def _learn_from(self, calls: Sequence[Sequence[str]]) -> None:
        """What calls that named several say of the form, where all of their numbers are gone."""
        for numbers in calls:
            gone = self._named(numbers)
            if len(gone) == 1 or any(one.outcome is not Outcome.RELEASED for one in gone):
                continue
            if not any(one.alone for one in gone):
                self._forms.learn(self._forms.together())
            elif all(one.alone == 1 for one in gone):  # No two of them went together.
                self._forms.learn("single")

    def _not_handed_out(self, batch: Sequence[ReleaseItem]) -> list[ReleaseItem]:
        """Those that no purchase of ours was given since; kept from now on off our own search, before they can be back in stock.

        One whose release was sent is settled by looks alone: it isn't sent again, nor reported as assigned.
        """
        handed_out = self._context.guards.quarantine([one.number for one in batch]) if batch else frozenset()
        self._elsewhere |= {one.number for one in batch if one.number in handed_out and one.sent}
        fresh = [one for one in batch if one.number in handed_out and not one.sent]
        self._book.write("handed_out", [one.became(Outcome.SUPERSEDED, HANDED_OUT) for one in fresh])
        return [one for one in batch if one.number not in handed_out]

    def _send(self, batch: Sequence[ReleaseItem]) -> None:
        """One call. The intent is stored before it, so that "released" can later be distinguished from "was gone before"."""
        now_ms, alone, forms = self._context.now_ms(), len(batch) == 1, self._forms.alone()
        form = forms[min(batch[0].alone, len(forms) - 1)] if alone else self._forms.together()
        # The last word before the call: a cancel that was acknowledged before this write holds the numbers back.
        self._book.write("releasing", [one.under_way(now_ms) for one in batch])
        answer = self._provider.release([one.record_id for one in batch], form)
        match answer:
            case Yes():
                self._answered("answered", batch, None, alone=alone)
                if alone and batch[0].alone and not self._looked_at(self._now(batch)):
                    self._forms.helped(form)
            case No(code=code, message=message):
                step, refusal = "refused_alone" if alone else "refused_together", JobError(code=f"release_{code}", message=message)
                self._answered(step, batch, refusal, alone=alone)
                self._after_refusal(self._now(batch))
            case Unclear(reason):
                message = f"a release had no clear answer ({reason}): `didflow explain`"
                error = JobError(code="release_unclear", message=message, retryable=True)
                raise AttemptFailed(error, so_far=self._book.result(error), in_doubt=True)
            case NotNow(answered=False):
                self._book.write("not_sent", batch)
                raise waiting_for(answer)
            case Barred(right=right) if right:
                failed = waiting_for(answer)
                refusal = failed.error if isinstance(failed, AttemptFailed) else JobError(code="release_refused", message=answer.message)
                now_ms = self._context.now_ms()
                barred = [one.answered(now_ms, refusal).model_copy(update={"alone": len(forms)}) for one in self._now(batch)]
                self._book.write("not_permitted", barred)  # No other form would help.
            case NotNow() | Barred():
                self._answered("not_now", batch, JobError(code="release_not_now", message="the provider takes no calls for now"))
                raise waiting_for(answer)

    def _answered(self, step: str, batch: Sequence[ReleaseItem], refusal: JobError | None, *, alone: bool = False) -> None:
        now_ms = self._context.now_ms()
        self._book.write(step, [one.answered(now_ms, refusal, alone=alone) for one in self._now(batch)])

    def _after_refusal(self, batch: Sequence[ReleaseItem]) -> None:
        """Continue with those that are still shown; the module's docstring says why at once."""
        left = self._looked_at(batch)
        if len(batch) == 1:
            if left and left[0].alone < len(self._forms.alone()):
                self._send(left)
        elif len(left) < len(batch):
            self._send_all(left)
        else:
            for half in halves(left):
                self._send_all(half)

    def _looked_at(self, sent: Sequence[ReleaseItem]) -> list[ReleaseItem]:
        """Read them; those that are gone went by our release. Returns the others."""
        left: list[ReleaseItem] = []
        for batch in self._batches(sent):
            owned = self._book.records(batch)
            self._seen |= owned
            self._book.record_gone([one for one in batch if one.record_id not in owned])
            left += [one for one in batch if one.record_id in owned]
        return left

    def _learn_that_one_goes(self, left_behind: Sequence[ReleaseItem]) -> None:
        """A call that named several was answered with yes, and some of them are still here: this server takes one id a call."""
        if left_behind:
            self._forms.learn("single")

    def _settling(self, shown: Sequence[ReleaseItem], looked_ms: int) -> Wait | None:
        """Until when to wait for those of them that time settles."""
        waiting = [one for one in shown if one.sent and one.outcome is None and self._next(one, looked_ms) == "wait"]
        if not waiting:
            return None
        settle_ms = int(self._rules.settle_s * 1000)
        settled_ms = [one.answered_ms + settle_ms for one in waiting]
        # After that it waits for a call that was never answered.
        until_ms = [at if at > looked_ms else _unclear_until_ms(one, self._rules) for one, at in zip(waiting, settled_ms, strict=True)]
        left_s = max(0.001, (min(until_ms) - looked_ms) / 1000)
        # What was refused stays as it is; what was accepted may show at any moment.
        return Wait(WaitReason.SETTLING, min(LOOK_AGAIN_S, left_s) if any(one.refusal is None for one in waiting) else left_s)

    def _park(self, parked: Sequence[ReleaseItem]) -> None:
        if parked:
            error = _why_parked(parked, self._elsewhere, self._rules)
            raise NeedsReview(error, self._book.result(error))

    def _now(self, batch: Sequence[ReleaseItem]) -> list[ReleaseItem]:
        return self._named([one.number for one in batch])

    def _named(self, numbers: Sequence[str]) -> list[ReleaseItem]:
        return [self._book.items[number] for number in numbers]


def _stays(item: ReleaseItem) -> ReleaseItem:
    assert item.refusal is not None
    return item.not_sent().stays(Outcome.REFUSED, item.refusal)


def _why_parked(parked: Sequence[ReleaseItem], elsewhere: set[str], rules: Rules) -> JobError:
    several = f"{len(parked)} numbers" if len(parked) > 1 else parked[0].number
    if any(one.number in elsewhere for one in parked):
        message = f"a purchase was given {several} after a release was sent: it may still take effect"
    else:
        message = f"the provider said yes to the release of {several}, also alone, and {rules.settle_s:g} s later it still lists them"
    return JobError(code="release_unclear", message=f"{message}: look at the account, then `didflow retry` or `didflow resolve`")
