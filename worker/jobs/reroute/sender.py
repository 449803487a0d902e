"""Sends route changes: in batches, safe to repeat; one bad id affects only itself.

A job claims a number's route before each call, and an older job leaves the number alone from then on.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime

from didflow.contract.destinations import Route
from didflow.contract.errors import JobError
from didflow.contract.provider import Barred, No, NotNow, Unclear, Yes
from didflow.contract.requests import is_past
from didflow.contract.states import Outcome
from worker.jobs.halving import halves
from worker.jobs.ports.context import RouteChangeContext
from worker.jobs.ports.endings import AttemptFailed, CancelRequested
from worker.jobs.ports.provider import RoutePort
from worker.jobs.ports.rules import Rules
from worker.jobs.provider_answers import waiting_for
from worker.jobs.reroute.record import CANCELLED, TOO_LATE, RouteRecord
from worker.jobs.reroute.route_change import RouteChange


def batches_of(changes: Collection[RouteChange], size: int) -> Iterator[list[RouteChange]]:
    """Changes that may share a call: same target, same SMS callback (which the call sends back), at most the batch size."""
    groups: dict[tuple[Route, str], list[RouteChange]] = defaultdict(list)
    for change in changes:
        groups[change.target, change.sms_relay_url or ""].append(change)
    for group in groups.values():
        for start in range(0, len(group), size):
            yield group[start : start + size]


class RouteSender:
    """Sends the route changes of a record."""

    def __init__(self, record: RouteRecord, context: RouteChangeContext, provider: RoutePort, rules: Rules) -> None:
        self._record, self._context, self._provider, self._rules = record, context, provider, rules

    def send(self, numbers: Sequence[str], deadline: datetime | None) -> JobError | None:
        """Send these numbers; return why it stopped early, if it did. Raises AttemptFailed for an answer that is unclear, Wait."""
        for batch in batches_of([self._record.changes[number] for number in numbers], self._rules.batch_size):
            try:
                self._context.check_interrupts()
                self._provider.await_turn()  # Before the deadline is checked: it may pass meanwhile.
                self._context.check_interrupts()
            except CancelRequested:
                return CANCELLED
            if is_past(deadline, datetime.fromtimestamp(self._context.now_ms() / 1000, UTC)):
                return TOO_LATE
            self._send_batch(batch)
        return None

    def _send_batch(self, whole: Sequence[RouteChange]) -> None:
        """Send those that no newer job routes, asked just before each call, which then has its moment already: a claim is good for a
        few seconds."""
        self._provider.await_turn()
        claim = self._context.routes.claim([change.number for change in whole], wanted=whole[0].target)
        self._record.write("superseded", [change.superseded(claim.parked) for change in whole if change.number in claim.newer])
        batch = [change for change in whole if change.number not in claim.newer]
        if not batch:
            return
        answer = self._provider.set_route([change.record_id for change in batch], batch[0].target, batch[0].sms_relay_url)
        match answer:
            case Yes():
                self._record.note(accepted_ms=self._context.now_ms())
                settle_s = self._rules.settle_s
                accepted = [change.accepted(claim.disturbed_ms.get(change.number), settle_s) for change in batch]
                self._record.write("accepted", accepted, progress=True, answered=batch)
            case No() if len(batch) > 1:
                self._record.write("refused_together", (), detail=f"{len(batch)} numbers", empty=True, answered=batch)
                for half in halves(batch):
                    self._send_batch(half)
            case No(code=code, message=message):
                self._record.note(accepted_ms=self._context.now_ms())
                self._record.write("refused", [batch[0].refused(JobError(code=f"route_{code}", message=message))], answered=batch)
            case Unclear(reason):
                error = JobError(code="route_unclear", message=f"a change of routes had no clear answer ({reason})", retryable=True)
                self._record.changes |= {change.number: change.became(Outcome.UNCLEAR, error) for change in batch}
                raise AttemptFailed(error, so_far=self._record.result(error))
            case NotNow() | Barred():
                self._record.write("not_now", (), detail=f"{len(batch)} numbers", empty=True, answered=batch)
                raise waiting_for(answer)
