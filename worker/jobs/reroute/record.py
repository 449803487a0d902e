"""The route changes of one job in memory and in the ledger: each step is written there first."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from didflow.contract.attempt_write import Write
from didflow.contract.errors import JobError
from didflow.contract.results import NumberResult, Result, Totals
from didflow.contract.states import JobState, Outcome
from worker.jobs.checkpoint import read_checkpoint, read_stored
from worker.jobs.history_entries import route_history
from worker.jobs.ports.context import RouteChangeContext
from worker.jobs.ports.endings import Ended
from worker.jobs.reroute.route_change import GOOD, RerouteCheckpoint, RouteChange
from worker.jobs.shown_numbers import routes_shown

CANCELLED = JobError(code="cancelled", message="cancelled while numbers were moved: those listed as confirmed or accepted were")
TOO_LATE = JobError(code="deadline_passed", message="the deadline passed; numbers without a confirmation were not moved")
#: What stops a job before all of it is sent.
STOPPED = frozenset({CANCELLED.code, TOO_LATE.code})
#: Numbers that go into one write to the ledger.
CHUNK = 1000


def checkpoint_of(context: RouteChangeContext) -> RerouteCheckpoint:
    """How far the job is. Raises NeedsReview if that can't be read."""
    return (
        read_stored(RerouteCheckpoint, context.checkpoint)
        if context.checkpoint
        else read_checkpoint(RerouteCheckpoint, None, context.numbers())
    )


def end_state(outcomes: Mapping[Outcome | None, int], totals: Totals, error: JobError | None) -> JobState:
    """How a job ends: by how many numbers are as asked. `error`: why it stopped early."""
    accepted = bool(outcomes.get(Outcome.ACCEPTED))
    if error and error.code in STOPPED and not accepted and not outcomes.get(Outcome.CONFIRMED):
        return JobState.EXPIRED if error.code == "deadline_passed" else JobState.CANCELLED
    if totals.done == totals.requested and not error:
        return JobState.SUCCEEDED
    return JobState.PARTIAL if totals.done or accepted else JobState.FAILED


class RouteRecord:
    """All route changes of one job, or `only` some of them, as this attempt sees and writes them."""

    def __init__(
        self, context: RouteChangeContext, *, checkpoint: RerouteCheckpoint | None = None, only: Sequence[str] | None = None
    ) -> None:
        self._context = context
        self.checkpoint = checkpoint or checkpoint_of(context)
        self.changes: dict[str, RouteChange] = {}
        if self.checkpoint.selected:
            stored = {number: read_stored(RouteChange, text) for number, text in context.numbers(only).items()}
            self.changes = {number: change for number, change in stored.items() if change.taken_ms == self.checkpoint.taken_ms}

    def take_snapshot(self, changes: Iterable[RouteChange], taken_ms: int, not_found: Sequence[str] = ()) -> None:
        """Write down every number with its present route, read since `taken_ms`, before the first one is touched."""
        self.changes = {change.number: change.model_copy(update={"taken_ms": taken_ms}) for change in changes}
        everything = list(self.changes.values())
        for start in range(0, len(everything), CHUNK):
            self.write("snapshot", everything[start : start + CHUNK])
        self.note(selected=True, taken_ms=taken_ms, not_found=tuple(not_found))
        self.write("selected", (), detail=f"{len(everything)} numbers, {len(self.to_send())} to move", empty=True)

    def to_send(self) -> list[str]:
        """The numbers without an outcome."""
        return [number for number, change in self.changes.items() if change.outcome is None]

    def awaited(self, numbers: Iterable[str]) -> list[str]:
        """Those that were accepted, or refused alone, and may still be confirmed."""
        return [number for number in numbers if self.changes[number].outcome is Outcome.ACCEPTED and not self.changes[number].error]

    def note(self, **fields: object) -> None:
        """Change the checkpoint; the next write has it."""
        self.checkpoint = self.checkpoint.model_copy(update=fields)

    def write(
        self,
        step: str,
        changes: Sequence[RouteChange],
        *,
        detail: str = "",
        progress: bool = False,
        empty: bool = False,
        answered: Sequence[RouteChange] = (),
    ) -> None:
        """Write these changes and the checkpoint; without changes only if the checkpoint alone is worth it (`empty`).

        `answered`: those whose call is over.
        """
        if not changes and not empty:
            return
        history, shown = route_history(self.changes, changes), routes_shown(self.changes, changes)
        for change in changes:
            self.changes[change.number] = change
        sent = sum(change.outcome is not None for change in self.changes.values())
        self._context.save(
            Write(
                step,
                detail=detail or f"{len(changes)} numbers",
                phase="moving",
                checkpoint=self.checkpoint.model_dump_json(),
                numbers={change.number: change.model_dump_json() for change in changes},
                progress=f"{sent} of {len(self.changes)} numbers" if progress else None,
                answered=[change.number for change in answered],
                history=history,
                shown=shown,
            )
        )

    def result(self, error: JobError | None = None, others: Sequence[NumberResult] = ()) -> Result:
        """All numbers with their outcomes; the first number's error stands for the job's if it has none of its own."""
        numbers = tuple(change.result() for _, change in sorted(self.changes.items())) + tuple(others)
        done = sum(number.outcome in GOOD for number in numbers)
        first = next((number.error for number in numbers if number.error and number.outcome not in GOOD), None)
        return Result(numbers=numbers, totals=Totals(requested=len(numbers), done=done), error=error or first)

    def ended(self, error: JobError | None, others: Sequence[NumberResult] = ()) -> Ended:
        """The job's end: by how many numbers are as asked."""
        result = self.result(error, others)
        return Ended(end_state(Counter(change.outcome for change in self.changes.values()), result.totals, error), result)
