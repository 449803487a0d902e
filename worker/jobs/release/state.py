"""The numbers of a release on their way out: what the ledger keeps of each, and the book of a job that gives them back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from didflow.contract.attempt_write import Write
from didflow.contract.errors import JobError
from didflow.contract.history import Happened
from didflow.contract.inventory import Shown
from didflow.contract.parked_numbers import STILL_PARKED
from didflow.contract.requests import Release
from didflow.contract.results import NumberResult, Result, Totals
from didflow.contract.states import JobState, Outcome
from worker.jobs.checkpoint import read_checkpoint, read_stored
from worker.jobs.history_entries import released
from worker.jobs.partial_result import counted
from worker.jobs.ports.context import ReleaseContext
from worker.jobs.ports.endings import Ended, WantedElsewhere
from worker.jobs.reroute.route_change import RerouteCheckpoint, RouteChange
from worker.jobs.selection import Selected

HANDED_OUT = JobError(
    code="handed_out", message="the number was since assigned to a purchase: not released. Submit a new release if it should go"
)

GOOD = frozenset({Outcome.RELEASED, Outcome.ALREADY_RELEASED})
#: Outcomes of a number's way to the parking destination after which it may be there.
_MAY_BE_PARKED = frozenset({None, Outcome.ACCEPTED, Outcome.CONFIRMED})


#: Outcomes of its way back after which it isn't parked by its release any more.
GOOD_WAYS = frozenset({Outcome.CONFIRMED, Outcome.UNCHANGED, Outcome.CHANGED_ELSEWHERE, Outcome.NOT_FOUND})


class ReleaseItem(BaseModel):
    """One number on its way out. `sent`: a release of it may have been sent, stored before the call. Times are the ledger's, ms.

    answered_ms  when its last call was answered; 0: it wasn't, or isn't yet
    refusal      what that answer refused; None if it said yes
    unclear_ms   when a call was sent after one that wasn't answered, which may act late; 0: there was none
    alone        calls that named it alone and were answered

    seconds, seen_ms  its inbound seconds when it was last checked while it counted down, and when that was
    park, back        its way to the parking destination, and the way back
    wanted            the newest wish of another job that its way back knows of, by that job's place among the submits; 0: none
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
    park: RouteChange | None = None
    back: RouteChange | None = None
    stop: Outcome | None = None
    wanted: int = 0
    lent: str | None = None

    @property
    def may_be_parked(self) -> bool:
        return self.park is not None and self.park.outcome in _MAY_BE_PARKED

    @property
    def is_left_parked(self) -> bool:
        """Whether its job may have ended without its way back, or with one that failed."""
        went = self.outcome in GOOD or self.error == HANDED_OUT
        return self.may_be_parked and not went and (self.back is None or self.back.outcome not in GOOD_WAYS)

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

    def became(self, outcome: Outcome, error: JobError | None = None) -> "ReleaseItem":
        return self.model_copy(update={"outcome": outcome, "error": error})

    def stays(self, outcome: Outcome, error: JobError | None) -> "ReleaseItem":
        """Not released: at once, or when it has its route back."""
        if not self.may_be_parked:
            return self.became(outcome, error)
        return self.model_copy(update={"stop": outcome, "error": error})

    def reopened(self) -> "ReleaseItem":
        """Another job wants another route for it: it ends with what it was about to end with as soon as it has that."""
        return self.model_copy(update={"stop": self.stop or self.outcome or Outcome.CONFIRMED, "outcome": None})

    def under_way(self, now_ms: int) -> "ReleaseItem":
        """About to be sent."""
        unclear_ms = now_ms if self.sent and not self.answered_ms else self.unclear_ms
        return self.model_copy(update={"sent": True, "answered_ms": 0, "refusal": None, "unclear_ms": unclear_ms})

    def answered(self, now_ms: int, refusal: JobError | None, *, alone: bool = False) -> "ReleaseItem":
        return self.model_copy(update={"answered_ms": now_ms, "refusal": refusal, "alone": self.alone + alone})

    def not_sent(self) -> "ReleaseItem":
        """Nothing of its release can act: as if none had been sent."""
        return self.model_copy(update={"sent": False, "answered_ms": 0, "refusal": None, "unclear_ms": 0, "alone": 0})

    def result(self) -> NumberResult:
        outcome = self.outcome or (Outcome.UNCLEAR if self.sent else Outcome.FAILED)
        way = self.back or self.park
        error = None
        if self.outcome is None and self.is_left_parked:
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


class ReleaseCheckpoint(BaseModel):
    """`selected`: the list of what goes is complete; it isn't made again. Times are the ledger's, ms.

    from_ms    when the grace period began; 0: it hasn't
    looked_ms  when the numbers were last checked while they counted down
    parking, back   how far the numbers are on their way to the parking destination, and back
    parked_ms  when all were parked that can be; 0: not yet. Until the settle time has passed an old list may not show it
    open_ms    cancelled: when a release that has no clear answer was first looked up
    calm_ms    nothing of what was sent to park them can act later than this
    """

    model_config = ConfigDict(frozen=True)

    selected: bool = False
    not_found: tuple[str, ...] = ()
    from_ms: int = 0
    looked_ms: int = 0
    parking: RerouteCheckpoint | None = None
    back: RerouteCheckpoint | None = None
    parked_ms: int = 0
    calm_ms: int = 0
    open_ms: int = 0


#: Numbers that a job has parked, or was about to, that may end in one write; more of them end in several.
CLOSED_TOGETHER = 100


def known_release(_request: Release, context: ReleaseContext, error: JobError) -> Result:
    """What is written of the numbers of a release that ends from outside of its handler."""
    return counted([read_stored(ReleaseItem, text).result() for text in context.numbers().values()], GOOD, error)


class ReleaseItems:
    """What goes, as this attempt sees and writes it. `parks`: numbers are parked first; `lends`: what is parked may be assigned."""

    def __init__(self, context: ReleaseContext, *, lends: bool, parks: bool) -> None:
        self._context, self._lends, self._parks = context, lends, parks
        written = context.numbers()
        self.checkpoint = read_checkpoint(ReleaseCheckpoint, context.checkpoint, written)
        self.items: dict[str, ReleaseItem] = {}
        if self.checkpoint.selected:
            self.items = {number: read_stored(ReleaseItem, text) for number, text in written.items()}

    def take(self, items: Iterable[ReleaseItem], not_found: Sequence[str]) -> None:
        """Write down what goes, with record id and time of purchase, before the first of them goes."""
        self.checkpoint = ReleaseCheckpoint(selected=True, not_found=tuple(not_found))
        self.write("selected", list(items), replace=True)

    def todo(self) -> list[ReleaseItem]:
        """What is still to go."""
        return [item for _, item in sorted(self.items.items()) if item.is_to_go]

    def read_again(self, numbers: Sequence[str]) -> None:
        """What others have written of these since."""
        self.items |= {number: read_stored(ReleaseItem, text) for number, text in self._context.numbers(numbers).items()}

    def note(self, **changes: object) -> None:
        """Change the checkpoint; the next write has it."""
        self.checkpoint = self.checkpoint.model_copy(update=changes)

    def record_gone(self, gone: Sequence[ReleaseItem]) -> None:
        """A record that is gone after we sent its release went by it; one that we never sent was gone before."""
        self.record_released([item for item in gone if item.sent])
        self.write("was_gone", [item.became(Outcome.ALREADY_RELEASED) for item in gone if not item.sent])

    def record_released(self, released: Sequence[ReleaseItem]) -> None:
        if released:
            self.write("released", [item.model_copy(update={"sent": True}).became(Outcome.RELEASED) for item in released])

    def result(self, error: JobError | None) -> Result:
        others = Selected((), self.checkpoint.not_found).missing_results()
        numbers = tuple(item.result() for _, item in sorted(self.items.items())) + others
        done = sum(number.outcome in GOOD for number in numbers)
        first = next((number.error for number in numbers if number.error), None)
        return Result(numbers=numbers, totals=Totals(requested=len(numbers), done=done), error=error or first)

    def ended(self, error: JobError | None) -> Ended:
        """`error`: it was cancelled. Then numbers that were released elsewhere don't count as done by it."""
        result = self.result(error)
        if result.totals.done == result.totals.requested and not error:
            return Ended(JobState.SUCCEEDED, result)
        by_us = any(number.outcome is Outcome.RELEASED for number in result.numbers)
        if result.totals.done and (by_us or not error):
            return Ended(JobState.PARTIAL, result)
        return Ended(JobState.CANCELLED if error else JobState.FAILED, result)

    def write(
        self,
        step: str,
        changed: Sequence[ReleaseItem],
        *,
        detail: str = "",
        empty: bool = False,
        answered: Sequence[str] = (),
        more: Mapping[str, Happened] | None = None,
        shown: Mapping[str, Shown] | None = None,
        parks: Mapping[str, str] | None = None,
        let_go: Sequence[str] = (),
        replace: bool = False,
    ) -> None:
        """Write these and the checkpoint; without any only if the checkpoint alone is worth it (`empty`).

        `answered`, `shown`, `parks`, `replace`: see `Write`; `more` is history. `let_go`: those of them that the job is done with though
        they have no outcome.
        A number that is about to end, and for which another job wants another route, stays open: the countdown gives it that route first.
        """
        # "releasing" is also the check of token and cancel before a call that is sent again, with nothing new to write.
        if not changed and not empty and step not in ("selected", "releasing"):
            return
        # What the job is done with isn't staged: whether another job wants a route of it is asked in the same moment.
        closing = sum(one.outcome is not None or one.number in let_go for one in changed) if self._parks and not replace else 0
        size = CLOSED_TOGETHER if closing > CLOSED_TOGETHER else max(1, len(changed))
        for start in range(0, max(1, len(changed)), size):
            few, first = changed[start : start + size], start == 0
            ends = [one.number for one in few if one.outcome is not None or one.number in let_go] if closing else []
            mine = {one.number for one in few}
            write = Write(
                step,
                detail=detail or f"{len(changed)} numbers",
                answered=answered if first else (),
                history=(more or {}) if first else {},
                shown=(shown or {}) if first else {},
                parks={number: ways for number, ways in (parks or {}).items() if number in mine},
                money=step == "releasing" or bool(parks),
                unless_cancelled=step == "releasing",
                replace=replace,
            )
            self._write_unless_wanted(write, few, ends)

    def _write_unless_wanted(self, write: Write, changed: Sequence[ReleaseItem], ends: Sequence[str]) -> None:
        before = dict(self.items)
        try:
            self._write(write, changed, ends)
        except WantedElsewhere as wanted:
            self.items = before
            some = [one.reopened() if one.number in wanted.numbers else one for one in changed]
            self._write_unless_wanted(write, some, [number for number in ends if number not in wanted.numbers])

    def _write(self, write: Write, changed: Sequence[ReleaseItem], ends: Sequence[str]) -> None:
        history = {one.number: happened for one in changed if (happened := released(one.outcome, one.record_id, one.error))}
        self.items |= {item.number: item for item in changed}
        done = sum(item.outcome is not None for item in self.items.values())
        offer = {one.number: one.record_id for one in changed if self._lends and one.may_be_lent and self.checkpoint.parked_ms}
        self._context.save(
            replace(
                write,
                phase="releasing",
                checkpoint=self.checkpoint.model_dump_json(),
                numbers={item.number: item.model_dump_json() for item in changed},
                progress=f"{done} of {len(self.items)} numbers" if write.step == "released" else None,
                unpark={one.number: _wish_known(one) for one in changed if one.number in ends},
                settled=[one.number for one in changed if one.outcome is not None or not one.sent],
                offer=offer,
                withdraw=[one.number for one in changed if self._lends and one.number not in offer],
                history={**history, **write.history},
            )
        )


def _wish_known(item: ReleaseItem) -> int:
    """Which other job's requested route it may end with; any, if it doesn't stay, or another job has it."""
    is_ours = item.outcome not in (Outcome.RELEASED, Outcome.ALREADY_RELEASED, Outcome.NOT_FOUND) and item.error != HANDED_OUT
    return item.wanted if is_ours else -1
