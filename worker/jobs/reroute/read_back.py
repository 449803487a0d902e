"""Reads route changes back: a change in the owned list is confirmed; one that isn't shown within the settle time is explained.

A call that an older job sent and that was never answered may still act: until the settle time has passed since then, a list that shows the
new route proves nothing, and where the old one came up the new one is sent again.
"""

from collections.abc import Collection, Mapping, Sequence

from didflow.contract.destinations import same_route
from didflow.contract.errors import JobError
from didflow.contract.provider import OwnedNumber
from didflow.contract.states import Outcome, WaitReason
from worker.jobs.owned_numbers import find_owned, find_surely, records_of
from worker.jobs.ports.context import RouteChangeContext
from worker.jobs.ports.endings import Wait
from worker.jobs.ports.provider import OwnedPort
from worker.jobs.ports.rules import Rules
from worker.jobs.reroute.record import RouteRecord
from worker.jobs.reroute.route_change import RouteChange
from worker.jobs.reroute.sender import batches_of

#: How long a job waits before it reads back again.
READ_AGAIN_S = 0.5


class ReadBack:
    """Reads back the route changes of a record. `callbacks`: with the SMS callbacks that are sent along."""

    def __init__(
        self, record: RouteRecord, context: RouteChangeContext, provider: OwnedPort, rules: Rules, *, callbacks: bool = True
    ) -> None:
        self._record, self._context, self._provider, self._rules, self._callbacks = record, context, provider, rules, callbacks

    def confirm(self, numbers: Sequence[str]) -> None:
        """Read back what was accepted. Raises Wait while the provider may still be applying it."""
        awaited = self._record.awaited(numbers)
        asked_ms = self._context.now_ms()
        owned = find_owned(self._provider, awaited)
        shown = self.confirm_shown(awaited, owned, asked_ms)
        if open_ones := self._record.awaited(numbers):
            self._wait_for_the_provider(open_ones, shown, asked_ms)
            if hidden := [number for number in open_ones if number not in owned]:
                owned |= find_surely(self._provider, hidden)
                self.confirm_shown(hidden, owned, asked_ms)
            self.give_up(self._record.awaited(open_ones), owned)

    def confirm_shown(self, awaited: Sequence[str], owned: Mapping[str, OwnedNumber], asked_ms: int) -> set[str]:
        """Confirm those that a list read since `asked_ms` shows as asked and that can't change any more. Returns all that it shows so."""
        shown = {number for number in awaited if number in owned and self.is_as_asked(self._record.changes[number], owned[number])}
        done = [number for number in awaited if number in shown and self._record.changes[number].check_after_ms <= asked_ms]
        self._record.write("confirmed", [self._record.changes[number].became(Outcome.CONFIRMED) for number in done], progress=bool(done))
        return shown

    def is_as_asked(self, change: RouteChange, owned: OwnedNumber) -> bool:
        """Whether the record shows the route, and still the SMS callback."""
        return same_route(owned.route, change.target) and not (self._callbacks and change.has_lost_callback(owned))

    def give_up(self, open_ones: Sequence[str], owned: Mapping[str, OwnedNumber], unreadable: Collection[str] = ()) -> None:
        """The settle time is over for these: say what they are; or that they are to be sent over. `unreadable`: numbers whose
        records can't be read, which says nothing of where their calls go. A number that no list showed is read by its record before it
        counts as gone: a list may hide it."""
        asked_ms = self._context.now_ms()
        unseen = {self._record.changes[n].record_id: n for n in open_ones if n not in owned and n not in unreadable}
        there = {one.number: one for one in records_of(self._provider, unseen) if unseen[one.record_id] == one.number}
        if there:
            self.confirm_shown(sorted(there), there, asked_ms)
            owned, open_ones = {**owned, **there}, self._record.awaited(open_ones)
        left: list[RouteChange] = []
        for batch in batches_of([self._record.changes[number] for number in open_ones], self._rules.batch_size):
            # What the provider has refused to one of them isn't requested once more.
            wanted = None if any(change.refusal for change in batch) else batch[0].target
            claim = self._context.routes.claim([change.number for change in batch], calling=False, wanted=wanted)
            left += [change.superseded(claim.parked) for change in batch if change.number in claim.newer]
            for change in batch:
                if change.number not in claim.newer:
                    shown = owned.get(change.number)
                    hidden = shown is None and change.number in unreadable
                    left.append(change.unreadable() if hidden else self._unconfirmed(change, shown))
        self._record.write("not_confirmed", left)

    def _wait_for_the_provider(self, open_ones: Sequence[str], shown: Collection[str], asked_ms: int) -> None:
        """Raises Wait until the last of these numbers can be judged."""
        settled_ms = self._record.checkpoint.accepted_ms + int(self._rules.settle_s * 1000)
        until_ms = max(settled_ms, *(self._record.changes[number].check_after_ms for number in open_ones))
        if asked_ms >= until_ms:
            return
        # What was accepted and isn't shown yet may be shown soon; what is shown and could still change, or was refused, can't be known
        # before its time.
        soon = any(number not in shown and self._record.changes[number].refusal is None for number in open_ones)
        after_s = (min(self._record.changes[number].check_after_ms or settled_ms for number in open_ones) - asked_ms) / 1000
        raise Wait(WaitReason.SETTLING, READ_AGAIN_S if soon else max(0.05, after_s))

    def _unconfirmed(self, change: RouteChange, owned: OwnedNumber | None) -> RouteChange:
        if change.refusal is not None:
            return change.became(Outcome.NOT_FOUND if owned is None else Outcome.REFUSED, change.refusal)
        if change.check_after_ms and owned is not None:
            # An older job's call came after ours: it is overwritten. No newer job is known, so no other request is overwritten.
            return change.model_copy(update={"outcome": None, "check_after_ms": 0})
        if owned is None:
            return change.became(Outcome.NOT_FOUND, JobError(code="not_found", message="the number left the account meanwhile"))
        if same_route(owned.route, change.target):
            message = "the route is set, and the number shows no SMS callback any more, which was sent along: set it again"
            return change.became(Outcome.ACCEPTED, JobError(code="sms_callback_lost", message=message))
        if not same_route(owned.route, change.before):
            return change.became(
                Outcome.CHANGED_ELSEWHERE, JobError(code="changed_elsewhere", message="the route was changed elsewhere meanwhile")
            )
        message = f"accepted, but {self._rules.settle_s:g} s later the list still shows the old route: check it, or submit again"
        return change.became(Outcome.ACCEPTED, JobError(code="not_confirmed", message=message, retryable=True))
