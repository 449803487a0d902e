"""Moving numbers to their routes: in batches, safe to repeat, one bad id costs only itself, and read back at the end.

Used by reroute (all numbers to one route) and failback (each to its own old one). A move is an absolute desired state, so
an attempt that can't know how far an earlier one came sends what isn't seen to be done.

The newest request for a number wins, in whatever order jobs run: a job claims a number's route before each call, and an older job
leaves it alone from then on. A call that an older job sent before and that was never answered may still act: until the settle time
has passed since then, reading the new route back proves nothing, and the old one is sent over if it came up.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from pydantic import ValidationError

from didflow.contract.attempt_write import Write
from didflow.contract.destinations import same_route
from didflow.contract.errors import JobError
from didflow.contract.provider import Barred, No, NotNow, OwnedNumber, Unclear, Yes
from didflow.contract.requests import is_past
from didflow.contract.results import NumberResult, Result, Totals
from didflow.contract.states import JobState, Outcome, WaitReason
from worker.jobs.checkpoint import read_checkpoint, read_stored
from worker.jobs.history_entries import moved
from worker.jobs.owned_numbers import find_owned, find_surely
from worker.jobs.ports.context import RouteChangeContext
from worker.jobs.ports.endings import AttemptFailed, CancelRequested, Ended, Wait
from worker.jobs.ports.provider import RouteChangePorts
from worker.jobs.ports.rules import Rules
from worker.jobs.provider_answers import waiting_for
from worker.jobs.reroute.route_change import GOOD, RerouteCheckpoint, RouteChange

CANCELLED = JobError(code="cancelled", message="cancelled while numbers were moved: those listed as confirmed or accepted were")
TOO_LATE = JobError(code="deadline_passed", message="the deadline passed; numbers without a confirmation were not moved")
#: What stops a job before all of it is sent.
STOPPED = frozenset({CANCELLED.code, TOO_LATE.code})

#: How long a job waits before it reads back again.
READ_AGAIN_S = 0.5
#: So many numbers go into one write to the ledger.
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


class RouteChanges:
    """The moves of one job, or `only` some of them, as this attempt sees and writes them. They are all in memory."""

    def __init__(
        self,
        context: RouteChangeContext,
        provider: RouteChangePorts,
        rules: Rules,
        *,
        checkpoint: RerouteCheckpoint | None = None,
        only: Sequence[str] | None = None,
    ) -> None:
        self._context, self._provider, self._rules = context, provider, rules
        self.checkpoint = checkpoint or checkpoint_of(context)
        self.moves: dict[str, RouteChange] = {}
        if self.checkpoint.selected:
            stored = {number: read_stored(RouteChange, text) for number, text in context.numbers(only).items()}
            self.moves = {number: move for number, move in stored.items() if move.taken_ms == self.checkpoint.taken_ms}

    def take_snapshot(self, moves: Iterable[RouteChange], taken_ms: int, not_found: Sequence[str] = ()) -> None:
        """Write down every number with its present route, read since `taken_ms`, before the first one is touched."""
        self.moves = {move.number: move.model_copy(update={"taken_ms": taken_ms}) for move in moves}
        everything = list(self.moves.values())
        for start in range(0, len(everything), CHUNK):
            self._write("snapshot", everything[start : start + CHUNK])
        self.checkpoint = self.checkpoint.model_copy(update={"selected": True, "taken_ms": taken_ms, "not_found": tuple(not_found)})
        self._write("selected", (), detail=f"{len(everything)} numbers, {len(self._to_send())} to move", empty=True)

    def run(self, *, canary: int | None = None, deadline: datetime | None = None) -> JobError | None:
        """Send and confirm; return why it stopped early, if it did."""
        self._claim_unchanged()
        if self._context.attempt > 1:
            self.notice_what_is_done()
        if canary is not None and (first := self._canary(canary)) and (stopped := self.move_first(first, deadline)):
            return stopped
        return self._move(sorted(self.moves), deadline)

    def move_first(self, first: Sequence[str], deadline: datetime | None) -> JobError | None:
        """Move the canary; return why the others must not follow, if so."""
        return self._move(first, deadline) or self._canary_verdict(first)

    def send(self, deadline: datetime | None) -> JobError | None:
        """Send what isn't sent, without reading it back; return why it stopped early, if it did."""
        if self._context.attempt > 1:
            self.notice_what_is_done()
        return self._send(sorted(self._to_send()), deadline)

    def _move(self, numbers: Sequence[str], deadline: datetime | None) -> JobError | None:
        """Send what isn't sent and read it back, until nothing has to be sent over."""
        while True:
            stopped = self._send([number for number in numbers if self.moves[number].outcome is None], deadline)
            self._confirm(numbers)
            if stopped or not any(self.moves[number].outcome is None for number in numbers):
                return stopped

    def _claim_unchanged(self) -> None:
        """Numbers that were as asked when they were read: a job that is older and still at it must leave them so."""
        unchanged = [number for number, move in sorted(self.moves.items()) if move.outcome is Outcome.UNCHANGED]
        if self.checkpoint.claimed or not unchanged:
            return
        for start in range(0, len(unchanged), CHUNK):
            self.claim_without_call(unchanged[start : start + CHUNK], seen_ms=self.checkpoint.taken_ms)
        self.checkpoint = self.checkpoint.model_copy(update={"claimed": True})
        self._write("claimed", (), detail=f"{len(unchanged)} numbers that are as asked", empty=True)

    def claim_without_call(self, numbers: Sequence[str], *, seen_ms: int) -> list[RouteChange]:
        """Claim numbers whose route was as asked when it was read, since `seen_ms`. Those that may change yet become accepted, to be
        read back, and so do those that another job has moved so lately that the list may not know it (A3); returns the others."""
        claim = self._context.routes.claim(numbers, calling=False, seen_ms=seen_ms - int(self._rules.settle_s * 1000))
        moves = [self.moves[number] for number in numbers]
        self._write("superseded", [move.became(Outcome.SUPERSEDED) for move in moves if move.number in claim.newer])
        ours = [move for move in moves if move.number not in claim.newer]
        unsure = claim.disturbed_ms.keys() - self._sent_there(claim.moved_by)
        doubted = [move for move in ours if move.number in unsure]
        self._write("to_read_back", [move.accepted(claim.disturbed_ms[move.number], self._rules.settle_s) for move in doubted])
        return [move for move in ours if move.number not in unsure]

    def _sent_there(self, moved_by: Mapping[str, str]) -> set[str]:
        """Those of the numbers that another job moved lately, and to where this one would: an old list tells the same as a new one."""
        numbers_of: dict[str, list[str]] = defaultdict(list)
        for number, job_id in moved_by.items():
            numbers_of[job_id].append(number)
        found = set()
        for job_id, numbers in numbers_of.items():
            for number, text in self._context.jobs.numbers_of(job_id, numbers).items():
                with suppress(ValidationError):  # A purchase keeps something else.
                    move = RouteChange.model_validate_json(text)
                    if move.outcome in (Outcome.ACCEPTED, Outcome.CONFIRMED) and same_route(move.target, self.moves[number].target):
                        found.add(number)
        return found

    def _canary(self, count: int) -> tuple[str, ...]:
        if not self.checkpoint.canary and (chosen := tuple(sorted(self._to_send())[:count])):
            self.checkpoint = self.checkpoint.model_copy(update={"canary": chosen})
            self._write("canary", (), detail=" ".join(chosen[:20]), empty=True)
        return self.checkpoint.canary

    def _canary_verdict(self, first: Sequence[str]) -> JobError | None:
        bad = [number for number in first if self.moves[number].outcome not in GOOD]
        if not bad:
            return None
        return JobError(
            code="canary_failed", message=f"{len(bad)} of the first {len(first)} numbers were not confirmed; the others were left alone"
        )

    def _to_send(self) -> list[str]:
        return [number for number, move in self.moves.items() if move.outcome is None]

    def _send(self, numbers: Sequence[str], deadline: datetime | None) -> JobError | None:
        for batch in self._batches(numbers):
            try:
                self._context.check_interrupts()
                self._provider.await_turn()  # Before the deadline is looked at: it may pass meanwhile.
                self._context.check_interrupts()
            except CancelRequested:
                return CANCELLED
            if is_past(deadline, datetime.fromtimestamp(self._context.now_ms() / 1000, UTC)):
                return TOO_LATE
            self._send_batch(batch)
        return None

    def _batches(self, numbers: Sequence[str]) -> Iterable[list[RouteChange]]:
        """Numbers that may share a call: same target, same SMS callback (which the call sends back), at most the batch size."""
        groups: dict[tuple[str, str], list[RouteChange]] = defaultdict(list)
        for number in numbers:
            move = self.moves[number]
            groups[" ".join(map(repr, move.target)), move.sms_relay_url or ""].append(move)
        for group in groups.values():
            for start in range(0, len(group), self._rules.batch_size):
                yield group[start : start + self._rules.batch_size]

    def _send_batch(self, whole: Sequence[RouteChange]) -> None:
        """Send those that no newer job routes, asked just before each call, which then has its moment already: a claim is good for a
        few seconds."""
        self._provider.await_turn()
        claim = self._context.routes.claim([move.number for move in whole], wanted=whole[0].target)
        self._write("superseded", [move.superseded(claim.parked) for move in whole if move.number in claim.newer])
        batch = [move for move in whole if move.number not in claim.newer]
        if not batch:
            return
        answer = self._provider.set_route([move.record_id for move in batch], batch[0].target, batch[0].sms_relay_url)
        match answer:
            case Yes():
                self.checkpoint = self.checkpoint.model_copy(update={"accepted_ms": self._context.now_ms()})
                settle_s = self._rules.settle_s
                accepted = [move.accepted(claim.disturbed_ms.get(move.number), settle_s) for move in batch]
                self._write("accepted", accepted, progress=True, answered=batch)
            case No() if len(batch) > 1:
                self._write("refused_together", (), detail=f"{len(batch)} numbers", empty=True, answered=batch)
                half = len(batch) // 2
                self._send_batch(batch[:half])
                self._send_batch(batch[half:])
            case No(code=code, message=message):
                self.checkpoint = self.checkpoint.model_copy(update={"accepted_ms": self._context.now_ms()})
                self._write("refused", [batch[0].refused(JobError(code=f"route_{code}", message=message))], answered=batch)
            case Unclear(reason):
                error = JobError(code="route_unclear", message=f"a change of routes had no clear answer ({reason})", retryable=True)
                self.moves |= {move.number: move.became(Outcome.UNCLEAR, error) for move in batch}
                raise AttemptFailed(error, so_far=self.result(error))
            case NotNow() | Barred():
                self._write("not_now", (), detail=f"{len(batch)} numbers", empty=True, answered=batch)
                raise waiting_for(answer)

    def _confirm(self, numbers: Sequence[str]) -> None:
        """Read back what was accepted. Raises Wait while the provider may still be applying it."""
        awaited = self.awaited(numbers)
        asked_ms = self._context.now_ms()
        owned = find_owned(self._provider, awaited)
        shown = self.confirm_shown(awaited, owned, asked_ms)
        if open_ones := self.awaited(numbers):
            self._wait_for_the_provider(open_ones, shown, asked_ms)
            if hidden := [number for number in open_ones if number not in owned]:
                owned |= find_surely(self._provider, hidden)
                self.confirm_shown(hidden, owned, asked_ms)
            self.give_up(self.awaited(open_ones), owned)

    def awaited(self, numbers: Iterable[str]) -> list[str]:
        """Those that were accepted, or refused alone, and may still be confirmed."""
        return [number for number in numbers if self.moves[number].outcome is Outcome.ACCEPTED and not self.moves[number].error]

    def confirm_shown(self, awaited: Sequence[str], owned: Mapping[str, OwnedNumber], asked_ms: int) -> set[str]:
        """Confirm those that a list read since `asked_ms` shows as asked and that can't change any more. Returns all that it shows so."""
        shown = {number for number in awaited if number in owned and same_route(owned[number].route, self.moves[number].target)}
        done = [number for number in awaited if number in shown and self.moves[number].check_after_ms <= asked_ms]
        self._write("confirmed", [self.moves[number].became(Outcome.CONFIRMED) for number in done], progress=bool(done))
        return shown

    def give_up(self, open_ones: Sequence[str], owned: Mapping[str, OwnedNumber]) -> None:
        """The settle time is over for these: say what they are; or that they are to be sent over."""
        left: list[RouteChange] = []
        for batch in self._batches(open_ones):
            # What the provider has refused to one of them isn't asked for once more.
            wanted = None if any(move.refusal for move in batch) else batch[0].target
            claim = self._context.routes.claim([move.number for move in batch], calling=False, wanted=wanted)
            left += [move.superseded(claim.parked) for move in batch if move.number in claim.newer]
            left += [self._unconfirmed(move, owned.get(move.number)) for move in batch if move.number not in claim.newer]
        self._write("not_confirmed", left)

    def _wait_for_the_provider(self, open_ones: Sequence[str], shown: Collection[str], asked_ms: int) -> None:
        """Raises Wait until the last of these numbers can be judged."""
        settled_ms = self.checkpoint.accepted_ms + int(self._rules.settle_s * 1000)
        until_ms = max(settled_ms, *(self.moves[number].check_after_ms for number in open_ones))
        if asked_ms >= until_ms:
            return
        # What was accepted and isn't shown yet may be shown soon; what is shown and could still change, or was refused, can't be known
        # before its time.
        soon = any(number not in shown and self.moves[number].refusal is None for number in open_ones)
        after_s = (min(self.moves[number].check_after_ms or settled_ms for number in open_ones) - asked_ms) / 1000
        raise Wait(WaitReason.SETTLING, READ_AGAIN_S if soon else max(0.05, after_s))

    def _unconfirmed(self, move: RouteChange, owned: OwnedNumber | None) -> RouteChange:
        if move.refusal is not None:
            return move.became(Outcome.NOT_FOUND if owned is None else Outcome.REFUSED, move.refusal)
        if move.check_after_ms and owned is not None:
            # An older job's call came after ours: it is sent over. No newer one is known, so nobody else's wish is overwritten.
            return move.model_copy(update={"outcome": None, "check_after_ms": 0})
        if owned is None:
            return move.became(Outcome.NOT_FOUND, JobError(code="not_found", message="the number left the account meanwhile"))
        if not same_route(owned.route, move.before):
            return move.became(
                Outcome.CHANGED_ELSEWHERE, JobError(code="changed_elsewhere", message="the route was changed elsewhere meanwhile")
            )
        message = f"accepted, but {self._rules.settle_s:g} s later the list still shows the old route: check it, or submit again"
        return move.became(Outcome.ACCEPTED, JobError(code="not_confirmed", message=message, retryable=True))

    def notice_what_is_done(self) -> None:
        """After an attempt that ended without a clear answer: what is there already needn't be sent again."""
        open_ones = self._to_send()
        seen_ms = self._context.now_ms()
        owned = find_owned(self._provider, open_ones)
        done = [n for n in open_ones if n in owned and same_route(owned[n].route, self.moves[n].target)]
        for start in range(0, len(done), CHUNK):
            sure = self.claim_without_call(done[start : start + CHUNK], seen_ms=seen_ms)
            self._write("found_done", [move.became(Outcome.CONFIRMED) for move in sure])

    def result(self, error: JobError | None = None, others: Sequence[NumberResult] = ()) -> Result:
        """All numbers with their outcomes; the first number's error stands for the job's if it has none of its own."""
        numbers = tuple(move.result() for _, move in sorted(self.moves.items())) + tuple(others)
        done = sum(number.outcome in GOOD for number in numbers)
        first = next((number.error for number in numbers if number.error and number.outcome not in GOOD), None)
        return Result(numbers=numbers, totals=Totals(requested=len(numbers), done=done), error=error or first)

    def ended(self, error: JobError | None, others: Sequence[NumberResult] = ()) -> Ended:
        """The job's end: by how many numbers are as asked."""
        result = self.result(error, others)
        return Ended(end_state(Counter(move.outcome for move in self.moves.values()), result.totals, error), result)

    def write(self, step: str, moves: Sequence[RouteChange]) -> None:
        """Write these, which are among them."""
        self._write(step, moves)

    def _write(
        self,
        step: str,
        moves: Sequence[RouteChange],
        *,
        detail: str = "",
        progress: bool = False,
        empty: bool = False,
        answered: Sequence[RouteChange] = (),
    ) -> None:
        """Write these moves and the memo; without moves only if the memo alone is worth it (`empty`). `answered`: whose call is over."""
        if not moves and not empty:
            return
        history = moved(self.moves, moves)
        for move in moves:
            self.moves[move.number] = move
        sent = sum(move.outcome is not None for move in self.moves.values())
        self._context.save(
            Write(
                step,
                detail=detail or f"{len(moves)} numbers",
                phase="moving",
                checkpoint=self.checkpoint.model_dump_json(),
                numbers={move.number: move.model_dump_json() for move in moves},
                progress=f"{sent} of {len(self.moves)} numbers" if progress else None,
                answered=[move.number for move in answered],
                history=history,
            )
        )
