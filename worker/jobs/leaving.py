"""The numbers of a release on their way out: what the ledger keeps of each, and the book of a job that gives them back."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from worker.contract.errors import JobError
from worker.contract.history import Happened
from worker.contract.results import NumberResult, Result, Totals
from worker.contract.states import JobState, Outcome
from worker.contract.writes import Write
from worker.jobs.happened import released
from worker.jobs.move import Move, MoveMemo
from worker.jobs.ports import Ended, JobPage
from worker.jobs.selection import Selected
from worker.jobs.stored import read_memo, read_stored

HANDED_OUT = JobError(code="handed_out", message="a purchase was given this number of ours since: left alone, to be released anew if meant")

GOOD = frozenset({Outcome.RELEASED, Outcome.ALREADY_RELEASED})
#: Of a number without an outcome that may be parked: a job that ends so isn't over.
STILL_PARKED = JobError(code="still_parked", message="it may be parked, and neither goes nor has its old route: `didflow retry` goes on")
#: Outcomes of a number's way to the parking destination after which it may be there.
_MAY_BE_PARKED = frozenset({None, Outcome.ACCEPTED, Outcome.CONFIRMED})


class Leaving(BaseModel):
    """One number on its way out. `sent`: a release of it may have been sent, written down before the call. Times are the ledger's, ms.

    answered_ms  when its last call was answered; 0: it wasn't, or isn't yet
    refusal      what that answer refused; None if it said yes
    unclear_ms   when a call was sent after one that wasn't answered, which may act late; 0: there was none
    alone        calls that named it alone and were answered

    seconds, seen_ms  its inbound seconds when it was last looked at while it counted down, and when that was
    park, back        its way to the parking destination, and the way back
    lent              the purchase that was given it; as long as that hasn't ended it may come back
    stop              it stays, with this outcome and `error`, as soon as it has its route back
    """

    model_config = ConfigDict(frozen=True)

    number: str
    record_id: int
    added: datetime | None
    paid_until: datetime | None = None
    sent: bool = False
    answered_ms: int = 0
    refusal: JobError | None = None
    unclear_ms: int = 0
    alone: int = 0
    outcome: Outcome | None = None
    error: JobError | None = None
    seconds: int = 0
    seen_ms: int = 0
    park: Move | None = None
    back: Move | None = None
    stop: Outcome | None = None
    lent: str | None = None

    @property
    def may_be_parked(self) -> bool:
        return self.park is not None and self.park.outcome in _MAY_BE_PARKED

    @property
    def counts_down(self) -> bool:
        """Whether it is still to go and nothing of that was sent."""
        return self.is_to_go and not self.sent

    @property
    def is_to_go(self) -> bool:
        return self.outcome is None and self.stop is None and self.lent is None

    @property
    def may_be_lent(self) -> bool:
        """Whether it waits where it was parked."""
        return self.counts_down and self.park is not None and self.park.outcome is Outcome.CONFIRMED

    def became(self, outcome: Outcome, error: JobError | None = None) -> "Leaving":
        return self.model_copy(update={"outcome": outcome, "error": error})

    def stays(self, outcome: Outcome, error: JobError | None) -> "Leaving":
        """Not released: at once, or when it has its route back."""
        if not self.may_be_parked:
            return self.became(outcome, error)
        return self.model_copy(update={"stop": outcome, "error": error})

    def under_way(self, now_ms: int) -> "Leaving":
        """About to be sent."""
        unclear_ms = now_ms if self.sent and not self.answered_ms else self.unclear_ms
        return self.model_copy(update={"sent": True, "answered_ms": 0, "refusal": None, "unclear_ms": unclear_ms})

    def answered(self, now_ms: int, refusal: JobError | None, *, alone: bool = False) -> "Leaving":
        return self.model_copy(update={"answered_ms": now_ms, "refusal": refusal, "alone": self.alone + alone})

    def not_sent(self) -> "Leaving":
        """Nothing of its release can act: as if none had been sent."""
        return self.model_copy(update={"sent": False, "answered_ms": 0, "refusal": None, "unclear_ms": 0, "alone": 0})

    def result(self) -> NumberResult:
        outcome = self.outcome or (Outcome.UNCLEAR if self.sent else Outcome.FAILED)
        way = self.back or self.park
        error = None
        if self.outcome is None and self.may_be_parked:
            error = self.back.error if self.back is not None and self.back.error else STILL_PARKED
        return NumberResult(
            number=self.number,
            record_id=self.record_id,
            outcome=outcome,
            paid_until=self.paid_until,
            route_before=way.before if way else None,
            route_after=way.target if way else None,
            error=error or self.error or (self.refusal if self.outcome is None else None),
        )


class ReleaseMemo(BaseModel):
    """`selected`: the list of what goes is complete; it isn't made again. Times are the ledger's, ms.

    from_ms    when the grace period began; 0: it hasn't
    looked_ms  when the numbers were last looked at while they counted down
    parking, back   how far the numbers are on their way to the parking destination, and back
    parked_ms  when all were parked that can be; 0: not yet. Until the settle time has passed an old list may not show it
    open_ms    called off: when a release that has no clear answer was first looked for
    calm_ms    nothing of what was sent to park them can act later than this
    """

    model_config = ConfigDict(frozen=True)

    selected: bool = False
    not_found: tuple[str, ...] = ()
    from_ms: int = 0
    looked_ms: int = 0
    parking: MoveMemo | None = None
    back: MoveMemo | None = None
    parked_ms: int = 0
    calm_ms: int = 0
    open_ms: int = 0


class LeavingBook:
    """What goes, as this attempt sees and writes it. `lends`: what is parked may be handed out to purchases."""

    def __init__(self, page: JobPage, *, lends: bool) -> None:
        self._page, self._lends = page, lends
        written = page.numbers()
        self.memo = read_memo(ReleaseMemo, page.memo, written)
        self.leaving: dict[str, Leaving] = {}
        if self.memo.selected:
            self.leaving = {number: read_stored(Leaving, text) for number, text in written.items()}

    def take(self, leaving: Iterable[Leaving], not_found: Sequence[str]) -> None:
        """Write down what goes, with record id and time of purchase, before the first of them goes."""
        self.memo = ReleaseMemo(selected=True, not_found=tuple(not_found))
        self.write("selected", list(leaving), anew=True)

    def todo(self) -> list[Leaving]:
        """What is still to go."""
        return [leaving for _, leaving in sorted(self.leaving.items()) if leaving.is_to_go]

    def read_again(self, numbers: Sequence[str]) -> None:
        """What others have written of these since."""
        self.leaving |= {number: read_stored(Leaving, text) for number, text in self._page.numbers(numbers).items()}

    def note(self, **changes: object) -> None:
        """Change the memo; the next write has it."""
        self.memo = self.memo.model_copy(update=changes)

    def record_gone(self, gone: Sequence[Leaving]) -> None:
        """A record that is gone after we sent its release went by it; one that we never sent was gone before."""
        self.record_released([leaving for leaving in gone if leaving.sent])
        self.write("was_gone", [leaving.became(Outcome.ALREADY_RELEASED) for leaving in gone if not leaving.sent])

    def record_released(self, released: Sequence[Leaving]) -> None:
        if released:
            self.write("released", [leaving.model_copy(update={"sent": True}).became(Outcome.RELEASED) for leaving in released])

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

    def write(
        self,
        step: str,
        changed: Sequence[Leaving],
        *,
        detail: str = "",
        empty: bool = False,
        answered: Sequence[str] = (),
        more: Mapping[str, Happened] | None = None,
        anew: bool = False,
    ) -> None:
        """Write these and the memo; without any only if the memo alone is worth it (`empty`).

        `answered`, `more`, `anew`: see `JobPage.save`.
        """
        # "releasing" is also the check of token and cancel before a call that is sent again, with nothing new to write.
        if not changed and not empty and step not in ("selected", "releasing"):
            return
        history = {one.number: happened for one in changed if (happened := released(one.outcome, one.record_id, one.error))}
        self.leaving |= {leaving.number: leaving for leaving in changed}
        done = sum(leaving.outcome is not None for leaving in self.leaving.values())
        offer = {one.number: one.record_id for one in changed if self._lends and one.may_be_lent and self.memo.parked_ms}
        self._page.save(
            Write(
                step,
                detail=detail or f"{len(changed)} numbers",
                anew=anew,
                phase="releasing",
                memo=self.memo.model_dump_json(),
                numbers={leaving.number: leaving.model_dump_json() for leaving in changed},
                progress=f"{done} of {len(self.leaving)} numbers" if step == "released" else None,
                money=step == "releasing",
                unless_cancelled=step == "releasing",
                answered=answered,
                settled=[one.number for one in changed if one.outcome is not None or not one.sent],
                offer=offer,
                withdraw=[one.number for one in changed if self._lends and one.number not in offer],
                history={**history, **(more or {})},
            )
        )
