"""Route changes of very many numbers: stored in chunks, sent in batches by any worker, a few chunks in memory at a time.

The job stores all numbers first (`snapshot`). Then it submits one batch for each chunk with something to send, and waits; a batch
is a job of its own, with a lease and attempts of its own, that runs `RouteChanges.send` on its chunk. When the last one has ended the job
reads all back. The ledger counts the outcomes, so they are exact however often batches are repeated, and in whatever order they end.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from didflow.contract.attempt_write import Write
from didflow.contract.errors import JobError
from didflow.contract.provider import OwnedNumber, Page
from didflow.contract.requests import is_past
from didflow.contract.results import ERRORS_SHOWN, SHOWN_AT_MOST, NumberResult, Quote, Result, Summary, Totals
from didflow.contract.states import JobState, Outcome, WaitReason
from worker.jobs.checkpoint import read_stored
from worker.jobs.owned_numbers import find_each, pages_of
from worker.jobs.ports.context import RerouteContext
from worker.jobs.ports.endings import AttemptFailed, CancelRequested, Ended, Wait
from worker.jobs.ports.provider import ReroutePorts
from worker.jobs.ports.rules import Rules
from worker.jobs.reroute.executor import RouteChanges
from worker.jobs.reroute.read_back import READ_AGAIN_S
from worker.jobs.reroute.record import CANCELLED, STOPPED, TOO_LATE, RouteRecord, checkpoint_of, end_state
from worker.jobs.reroute.route_change import GOOD, RerouteCheckpoint, RouteChange, RouteChangeBatch, is_open, takes_no_calls
from worker.jobs.reroute.snapshot import SnapshotWriter

#: Batches that are submitted in one write, and in the first one: the sooner those are there, the sooner threads are busy.
TOGETHER = 20
FIRST_TOGETHER = 2
#: The last batch wakes its parent; this is for the day when that doesn't work.
BATCHES_AGAIN_S = 30.0
#: So few numbers are read back by a question for each.
ASKED_FOR_EACH = 20


def chunks_in(context: RerouteContext, job_id: str | None = None) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The pages of this job, or of another one, with the numbers on each."""
    index = 0
    while (numbers := context.chunks.numbers(index, job_id)) is not None:
        yield index, numbers
        index += 1


def inactive_in(context: RerouteContext, first: int = 0) -> int:
    """How many numbers take no calls, of those on the pages from `first` on."""
    found = 0
    while (numbers := context.chunks.numbers(first)) is not None:
        found += sum(map(takes_no_calls, context.numbers(numbers).values()))
        first += 1
    return found


def changes_in(context: RerouteContext) -> Iterator[RouteChange]:
    """All moves of a job with pages."""
    for _, numbers in chunks_in(context):
        yield from (read_stored(RouteChange, text) for text in context.numbers(numbers).values())


class MissedNumbers(Protocol):
    """Finds what the snapshot lacks."""

    def add(self, checkpoint: RerouteCheckpoint, see: Callable[[Sequence[OwnedNumber]], None]) -> int:
        """Read the whole list, add pages, and return how many numbers were added. `see` gets every number of the list."""
        ...


class ChunkedRouteChanges:
    """The moves of one large job. `missed`: of one whose snapshot may lack numbers."""

    def __init__(self, context: RerouteContext, provider: ReroutePorts, rules: Rules, missed: MissedNumbers | None = None) -> None:
        self._context, self._provider, self._rules, self._missed = context, provider, rules, missed
        self.checkpoint = checkpoint_of(context)

    def selected(self, snapshot: SnapshotWriter, *, label: str | None = None) -> None:
        """The snapshot is complete. `label`: all its numbers have it."""
        snapshot.close()
        search = snapshot.search if label is None else None
        self.complete(taken_ms=snapshot.taken_ms, inactive=snapshot.inactive, search=search, label=label)

    def complete(
        self,
        *,
        taken_ms: int,
        inactive: int,
        search: str | None = None,
        label: str | None = None,
        mirror_age_s: float | None = None,
        mirrored: int = 0,
        fanned_out: bool = False,
    ) -> None:
        """All chunks are written. `search`, `label`: how the list is best read for their numbers. `mirror_age_s`: the
        inventory that they are from was that old; they are `mirrored` chunks. `fanned_out`: their batches were submitted with them."""
        counts = self._context.chunks.outcomes()
        how: dict[str, object] = {"selected": True, "paged": True, "taken_ms": taken_ms, "search": search, "label": label}
        how |= {"inactive": inactive, "mirror_age_s": mirror_age_s, "mirrored": mirrored, "fanned_out": fanned_out}
        nothing_to_claim = not counts.get(Outcome.UNCHANGED)
        source = "" if mirror_age_s is None else f", as the inventory showed them {mirror_age_s:.0f} s after its last sweep began"
        detail = f"{sum(counts.values())} numbers, {counts.get('open', 0)} to move{source}"
        self._remember("selected", detail, claimed=nothing_to_claim, **how)

    def run(self, *, canary: int | None = None, deadline: datetime | None = None) -> JobError | None:
        """Send and confirm; return why it stopped early, if it did. Raises Wait while batches are under way."""
        if self.checkpoint.doubtful:
            self._send_unclear_again()
        self._claim_unchanged()
        if canary is not None and not self.checkpoint.cleared and (stopped := self._move_first(canary, deadline)):
            return stopped
        while True:
            stopped = self._fan_out(deadline) if not self.checkpoint.fanned_out else None
            if self._context.batches.open_count():
                raise Wait(WaitReason.DEPENDS, BATCHES_AGAIN_S, "batches are under way")
            stopped = stopped or self._stopped_batches()
            self._confirm(sweeps=stopped is None)
            if not self._context.chunks.outcomes().get("open"):
                return None
            if stopped:
                return stopped
            self._another_round("what was undone meanwhile is sent again")

    def ended(self, error: JobError | None) -> Ended:
        """The job's end: by how many numbers are as asked."""
        counts = self._context.chunks.outcomes()
        outcomes: dict[Outcome | None, int] = {Outcome(word): count for word, count in counts.items() if word != "open"}
        result = result_of_chunks(self._context, error).model_copy(update={"inventory_age_s": self.checkpoint.mirror_age_s})
        if outcomes.get(Outcome.UNCLEAR):
            self._remember("unclear", f"{outcomes[Outcome.UNCLEAR]} numbers", doubtful=True)
            return Ended(JobState.NEEDS_REVIEW, result)
        return Ended(end_state(outcomes, result.totals, error), result)

    def preview(self) -> Ended:
        """A dry run's end."""
        result = result_of_chunks(self._context, None, dry_run=True)
        totals = result.totals.model_copy(update={"done": 0})
        quote = Quote(numbers=result.numbers)
        return Ended(JobState.SUCCEEDED, Result(totals=totals, summary=result.summary, quote=quote))

    # Sending

    def _claim_unchanged(self) -> None:
        """Numbers that were as asked when they were read: a job that is older and still at it must leave them so."""
        if self.checkpoint.claimed:
            return
        some = self._context.chunks.outcomes().get(Outcome.UNCHANGED)
        for _, numbers in chunks_in(self._context) if some else ():
            part = self._part(numbers)
            if unchanged := [number for number, move in part.record.changes.items() if move.outcome is Outcome.UNCHANGED]:
                part.claim_without_call(unchanged, seen_ms=self.checkpoint.taken_ms)
        self._remember("claimed", "numbers that are as asked", claimed=True)

    def _move_first(self, count: int, deadline: datetime | None) -> JobError | None:
        if not self.checkpoint.canary:
            first = tuple(self._first_open(count))
            self._remember("canary", " ".join(first[:20]), canary=first)
        part = self._part(self.checkpoint.canary)
        try:
            if self._context.attempt > 1:
                part.notice_what_is_done()
            stopped = part.move_first(self.checkpoint.canary, deadline)
        except AttemptFailed as failed:
            raise AttemptFailed(failed.error, in_doubt=True) from None  # What is known so far is on all pages, not only in this part.
        self.checkpoint = part.record.checkpoint
        if stopped is None:
            self._remember("canary_confirmed", cleared=True)
        return stopped

    def _first_open(self, count: int) -> list[str]:
        found: list[str] = []
        for _, numbers in chunks_in(self._context):
            stored = self._context.numbers(numbers)
            found += [number for number in numbers if is_open(stored[number])]
            if len(found) >= count:
                break
        return found[:count]

    def _fan_out(self, deadline: datetime | None) -> JobError | None:
        """Submit a batch for each chunk with something to send. Repeated, it changes nothing: a batch has its chunk's index."""
        batches, together = dict[str, str](), FIRST_TOGETHER
        try:
            for index, numbers in chunks_in(self._context):
                if any(is_open(text) for text in self._context.numbers(numbers).values()):
                    batch = RouteChangeBatch(page=index, taken_ms=self.checkpoint.taken_ms, deadline=deadline)
                    batches[self._batch(index)] = batch.model_dump_json()
                if len(batches) == together:
                    self._submit(batches, deadline)
                    together = TOGETHER
            self._submit(batches, deadline)
        except CancelRequested:
            return CANCELLED
        except _TooLate:
            return TOO_LATE
        self._remember("fanned_out", f"round {self.checkpoint.round + 1}", fanned_out=True)
        return None

    def _submit(self, batches: dict[str, str], deadline: datetime | None) -> None:
        self._context.check_interrupts()
        if not batches:
            return
        if is_past(deadline, datetime.fromtimestamp(self._context.now_ms() / 1000, UTC)):
            raise _TooLate
        self._context.batches.submit(batches)
        batches.clear()

    def _batch(self, index: int) -> str:
        return f"{index}.{self.checkpoint.round}" if self.checkpoint.round else str(index)

    def _stopped_batches(self) -> JobError | None:
        """What batches left without an outcome: because the job was stopped, which is returned; else it is unclear."""
        if not self._context.chunks.outcomes().get("open"):
            return None
        stopped = None
        try:
            self._context.check_interrupts()
        except CancelRequested:
            stopped = CANCELLED
        for index, numbers in chunks_in(self._context):
            part = self._part(numbers)
            open_ones = [move for move in part.record.changes.values() if move.outcome is None]
            error = self._context.batches.error(self._batch(index)) if open_ones else None
            if error is not None and error.code in STOPPED:
                stopped = stopped or error
            elif error is not None:
                part.record.write("unclear", [move.became(Outcome.UNCLEAR, error) for move in open_ones])
        return stopped

    def _another_round(self, why: str) -> None:
        anew = {"round": self.checkpoint.round + 1, "fanned_out": False, "read_back": False, "doubtful": False}
        self._remember("another_round", why, **anew)

    def _send_unclear_again(self) -> None:
        for _, numbers in chunks_in(self._context):
            part = self._part(numbers)
            unclear = [move for move in part.record.changes.values() if move.outcome is Outcome.UNCLEAR]
            part.record.write("unclear_again", [move.became(None) for move in unclear])
        self._another_round("unclear numbers are checked again")

    # Reading back

    def _confirm(self, *, sweeps: bool) -> None:
        """Read back what was accepted. Raises Wait while the provider may still be applying it.

        `sweeps`: what the snapshot lacked is found by the same reading, once.
        """
        missed = self._missed if sweeps and not self.checkpoint.swept else None
        if not (accepted := self._context.chunks.outcomes().get(Outcome.ACCEPTED, 0)) and missed is None:
            return
        asked_ms = self._context.now_ms()
        if not self.checkpoint.read_back:
            # Later than the batches' calls, which errs on the safe side.
            self._remember("reading_back", f"{accepted} numbers", accepted_ms=asked_ms, read_back=True)
        settled = asked_ms >= self.checkpoint.accepted_ms + int(self._rules.settle_s * 1000)
        if missed is not None:
            added = missed.add(self.checkpoint, lambda items: self._judge_items(items, asked_ms, settled=settled))
            # What the inventory lacked may have been written by an earlier attempt, too.
            inactive = self.checkpoint.inactive + inactive_in(self._context, self.checkpoint.mirrored)
            self._remember("swept", f"{added} numbers that the inventory lacked", swept=True, claimed=False, inactive=inactive)
            self._claim_unchanged()
        elif accepted > ASKED_FOR_EACH:
            self._judge_list(pages_of(self._provider, self.checkpoint.search, self.checkpoint.label), asked_ms, settled=settled)
        if settled and (self.checkpoint.search or self.checkpoint.label) and self._context.chunks.outcomes().get(Outcome.ACCEPTED):
            # A filter may be silent: before a number counts as gone, the whole list and a question for the number have missed it.
            self._judge_list(pages_of(self._provider), asked_ms, settled=settled)
        # What no list showed is requested by itself, before anything is said of it.
        each = settled or accepted <= ASKED_FOR_EACH
        open_ones = (when for part in self._accepted_parts() for when in self._judge_rest(part, asked_ms, each, settled=settled))
        if (after_ms := min(open_ones, default=None)) is not None:
            took_ms = self._context.now_ms() - asked_ms
            raise Wait(WaitReason.SETTLING, max(READ_AGAIN_S, took_ms / 1000, (after_ms - asked_ms) / 1000))

    def _judge_list(self, pages: Iterable[Page[OwnedNumber]], asked_ms: int, *, settled: bool) -> None:
        for shown in pages:
            self._judge_items(shown.items, asked_ms, settled=settled)

    def _judge_items(self, items: Sequence[OwnedNumber], asked_ms: int, *, settled: bool) -> None:
        owned = {item.number: item for item in items}
        self._judge(self._part(list(owned)), owned, asked_ms, settled=settled)

    def _accepted_parts(self) -> Iterator[RouteChanges]:
        if self._context.chunks.outcomes().get(Outcome.ACCEPTED):
            for _, numbers in chunks_in(self._context):
                yield self._part(numbers)

    def _judge_rest(self, part: RouteChanges, asked_ms: int, each: bool, *, settled: bool) -> list[int]:
        """The same for a chunk of ours. Returns when each number that is still open can be judged at the earliest (0: any time)."""
        ready = [number for number in part.record.awaited(part.record.changes) if part.record.changes[number].check_after_ms <= asked_ms]
        if each and ready:
            unreadable = set[str]()
            owned = find_each(self._provider, ready, unreadable=unreadable)
            self._judge(part, owned, asked_ms, settled=settled, unreadable=unreadable)
        return [part.record.changes[number].check_after_ms for number in part.record.awaited(part.record.changes)]

    def _judge(
        self,
        part: RouteChanges,
        owned: Mapping[str, OwnedNumber],
        asked_ms: int,
        *,
        settled: bool,
        unreadable: Collection[str] = (),
    ) -> None:
        """Confirm what is shown as asked; when it is settled, say what the others are. `unreadable`: whose records can't be read."""
        awaited = part.record.awaited(part.record.changes)
        part.read_back.confirm_shown(awaited, owned, asked_ms)
        if settled and (ready := [n for n in part.record.awaited(awaited) if part.record.changes[n].check_after_ms <= asked_ms]):
            part.read_back.give_up(ready, owned, unreadable)

    def _part(self, numbers: Sequence[str]) -> RouteChanges:
        record = RouteRecord(self._context, checkpoint=self.checkpoint, only=numbers)
        return RouteChanges(record, self._context, self._provider, self._rules)

    def _remember(self, step: str, detail: str = "", **changes: object) -> None:
        self.checkpoint = self.checkpoint.model_copy(update=changes)
        self._context.save(Write(step, detail=detail, phase="moving", checkpoint=self.checkpoint.model_dump_json(), progress=""))


class _TooLate(Exception):
    """The deadline came before all batches were submitted."""


def result_of_chunks(context: RerouteContext, error: JobError | None, *, dry_run: bool = False) -> Result:
    """What became of all numbers; a summary where they are very many. The first error stands for the job's if it has none of its own."""
    counts = context.chunks.outcomes()
    total, done = sum(counts.values()), sum(counts.get(outcome, 0) for outcome in GOOD)
    totals = Totals(requested=total, done=done)
    if total <= SHOWN_AT_MOST:
        numbers = tuple(sorted((shown(move, dry_run=dry_run) for move in changes_in(context)), key=lambda number: number.number))
        first = next((number.error for number in numbers if number.error and number.outcome not in GOOD), None)
        return Result(numbers=numbers, totals=totals, error=error or first)
    undecided = "would_be_done" if dry_run else Outcome.FAILED.value
    outcomes = {word: count for word, count in counts.items() if word != "open"}
    if counts.get("open"):
        outcomes[undecided] = outcomes.get(undecided, 0) + counts["open"]
    errors = tuple(_first_errors(context)) if done < total else ()
    summary = Summary(pages=context.chunks.count(), outcomes=outcomes, inactive=checkpoint_of(context).inactive, errors=errors)
    return Result(summary=summary, totals=totals, error=error or next((number.error for number in errors), None))


def shown(move: RouteChange, *, dry_run: bool) -> NumberResult:
    """A dry run's numbers have no outcome where something would be done."""
    return move.result().model_copy(update={"outcome": move.outcome}) if dry_run else move.result()


def _first_errors(context: RerouteContext) -> Iterator[NumberResult]:
    found = 0
    for move in changes_in(context):
        if move.error is not None and move.outcome not in GOOD:
            yield move.result()
            found += 1
        if found == ERRORS_SHOWN:
            return
