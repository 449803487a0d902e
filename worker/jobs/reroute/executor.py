"""Changing the routes of numbers: claimed, sent in batches, and read back at the end.

Used by reroute (all numbers to one route) and failback (each to its own old one). A change is an absolute desired state, so an attempt
that can't know how far an earlier one came sends what isn't seen to be done. The newest request for a number wins, in whatever order jobs
run.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from pydantic import ValidationError

from didflow.contract.destinations import same_route
from didflow.contract.errors import JobError
from didflow.contract.states import Outcome
from worker.jobs.owned_numbers import find_owned
from worker.jobs.ports.context import RouteChangeContext
from worker.jobs.ports.provider import RouteChangePorts
from worker.jobs.ports.rules import Rules
from worker.jobs.reroute.read_back import ReadBack
from worker.jobs.reroute.record import CHUNK, RouteRecord
from worker.jobs.reroute.route_change import GOOD, RouteChange
from worker.jobs.reroute.sender import RouteSender


class RouteChanges:
    """The route changes of a record, as this attempt carries them out. `callbacks`: a lost SMS callback matters."""

    def __init__(
        self, record: RouteRecord, context: RouteChangeContext, provider: RouteChangePorts, rules: Rules, *, callbacks: bool = True
    ) -> None:
        self.record, self._context, self._provider, self._rules = record, context, provider, rules
        self._sender = RouteSender(record, context, provider, rules)
        self.read_back = ReadBack(record, context, provider, rules, callbacks=callbacks)

    def run(self, *, canary: int | None = None, deadline: datetime | None = None) -> JobError | None:
        """Send and confirm; return why it stopped early, if it did."""
        self._claim_unchanged()
        if self._context.attempt > 1:
            self.notice_what_is_done()
        if canary is not None and (first := self._canary(canary)) and (stopped := self.move_first(first, deadline)):
            return stopped
        return self._move(sorted(self.record.changes), deadline)

    def move_first(self, first: Sequence[str], deadline: datetime | None) -> JobError | None:
        """Move the canary; return why the others must not follow, if so."""
        return self._move(first, deadline) or self._canary_verdict(first)

    def send(self, deadline: datetime | None) -> JobError | None:
        """Send what isn't sent, without reading it back; return why it stopped early, if it did."""
        if self._context.attempt > 1:
            self.notice_what_is_done()
        return self._sender.send(sorted(self.record.to_send()), deadline)

    def _move(self, numbers: Sequence[str], deadline: datetime | None) -> JobError | None:
        """Send what isn't sent and read it back, until nothing has to be sent over."""
        while True:
            stopped = self._sender.send([number for number in numbers if self.record.changes[number].outcome is None], deadline)
            self.read_back.confirm(numbers)
            if stopped or not any(self.record.changes[number].outcome is None for number in numbers):
                return stopped

    def notice_what_is_done(self) -> None:
        """After an attempt that ended without a clear answer: what is there already needn't be sent again."""
        open_ones = self.record.to_send()
        seen_ms = self._context.now_ms()
        owned = find_owned(self._provider, open_ones)
        done = [n for n in open_ones if n in owned and self.read_back.is_as_asked(self.record.changes[n], owned[n])]
        for start in range(0, len(done), CHUNK):
            sure = self.claim_without_call(done[start : start + CHUNK], seen_ms=seen_ms)
            self.record.write("found_done", [change.became(Outcome.CONFIRMED) for change in sure])

    def _claim_unchanged(self) -> None:
        """Numbers that were as asked when they were read: a job that is older and still at it must leave them so."""
        unchanged = [number for number, change in sorted(self.record.changes.items()) if change.outcome is Outcome.UNCHANGED]
        if self.record.checkpoint.claimed or not unchanged:
            return
        for start in range(0, len(unchanged), CHUNK):
            self.claim_without_call(unchanged[start : start + CHUNK], seen_ms=self.record.checkpoint.taken_ms)
        self.record.note(claimed=True)
        self.record.write("claimed", (), detail=f"{len(unchanged)} numbers that are as asked", empty=True)

    def claim_without_call(self, numbers: Sequence[str], *, seen_ms: int) -> list[RouteChange]:
        """Claim numbers whose route was as asked when it was read, since `seen_ms`. Those that may change yet become accepted, to be
        read back, and so do those that another job has moved so lately that the list may not know it (A3); returns the others."""
        claim = self._context.routes.claim(numbers, calling=False, seen_ms=seen_ms - int(self._rules.settle_s * 1000))
        changes = [self.record.changes[number] for number in numbers]
        self.record.write("superseded", [change.became(Outcome.SUPERSEDED) for change in changes if change.number in claim.newer])
        ours = [change for change in changes if change.number not in claim.newer]
        unsure = claim.disturbed_ms.keys() - self._sent_there(claim.moved_by)
        doubted = [change for change in ours if change.number in unsure]
        self.record.write("to_read_back", [change.accepted(claim.disturbed_ms[change.number], self._rules.settle_s) for change in doubted])
        return [change for change in ours if change.number not in unsure]

    def _sent_there(self, moved_by: Mapping[str, str]) -> set[str]:
        """The numbers that another job recently moved to this job's route: an old list shows the same as a new one."""
        numbers_of: dict[str, list[str]] = defaultdict(list)
        for number, job_id in moved_by.items():
            numbers_of[job_id].append(number)
        found = set()
        for job_id, numbers in numbers_of.items():
            for number, text in self._context.jobs.numbers_of(job_id, numbers).items():
                with suppress(ValidationError):  # A purchase keeps something else.
                    change, ours = RouteChange.model_validate_json(text), self.record.changes[number]
                    if change.outcome in (Outcome.ACCEPTED, Outcome.CONFIRMED) and same_route(change.target, ours.target):
                        found.add(number)
        return found

    def _canary(self, count: int) -> tuple[str, ...]:
        if not self.record.checkpoint.canary and (chosen := tuple(sorted(self.record.to_send())[:count])):
            self.record.note(canary=chosen)
            self.record.write("canary", (), detail=" ".join(chosen[:20]), empty=True)
        return self.record.checkpoint.canary

    def _canary_verdict(self, first: Sequence[str]) -> JobError | None:
        bad = [number for number in first if self.record.changes[number].outcome not in GOOD]
        if not bad:
            return None
        return JobError(
            code="canary_failed", message=f"{len(bad)} of the first {len(first)} numbers were not confirmed; the others were left alone"
        )
