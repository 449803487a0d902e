"""The snapshot of a large reroute by routes that were read before the job began: each chunk is written with its batch, so the first one is
sent while the others are still to be written."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from didflow.contract.requests import Reroute, is_past
from worker.jobs.ports.context import RerouteContext
from worker.jobs.ports.large_jobs import SeenNumber
from worker.jobs.ports.rules import Rules
from worker.jobs.reroute.fan_out import inactive_in
from worker.jobs.reroute.route_change import RerouteCheckpoint, RouteChange, RouteChangeBatch

#: This many numbers at most wait for others that may share a call with them.
LEFT_OVER = 1000


class SeenChunks:
    """Writes chunks of route changes that are to be sent, whatever the route seems to be.

    Left out are numbers whose route another job's call may have changed since it was read: those have to be read again.
    """

    def __init__(self, request: Reroute, context: RerouteContext, rules: Rules, checkpoint: RerouteCheckpoint, *, settle_s: float) -> None:
        """Continues with what an earlier attempt has written. `settle_s`: the list that was read may have lagged for so long."""
        self._request, self._context, self._rules, self._checkpoint = request, context, rules, checkpoint
        self._settle_s = settle_s
        self._waiting: dict[str | None, list[SeenNumber]] = {}  #: by the SMS callback, which numbers of one call share
        self._without_calls: set[str] = set()
        self.left_out: set[str] = set()  #: also those that an earlier attempt has written
        self.count = context.chunks.count()
        self.inactive = inactive_in(context) if self.count else 0

    def add(self, changes: Iterable[tuple[int, RouteChange]]) -> None:
        """Each with the moment when its route was read, the ledger's, ms. Write the chunks that are full."""
        for seen_ms, change in changes:
            waiting = self._waiting.setdefault(change.sms_relay_url, [])
            waiting.append(SeenNumber(change.number, seen_ms, change.model_dump_json()))
            if change.takes_calls is False:
                self._without_calls.add(change.number)
            if len(waiting) == self._rules.batch_size:
                self._write(self._waiting.pop(change.sms_relay_url))
        self._write_rest(LEFT_OVER)

    def close(self) -> None:
        """Write what is left."""
        self._write_rest(0)

    def _write_rest(self, may_stay: int) -> None:
        """The largest groups first, until no more than `may_stay` wait."""
        for callback in sorted(self._waiting, key=lambda callback: -len(self._waiting[callback])):
            if sum(map(len, self._waiting.values())) <= may_stay:
                return
            self._write(self._waiting.pop(callback))

    def _write(self, numbers: Sequence[SeenNumber]) -> None:
        self._context.check_interrupts()
        batch = self._batch().model_dump_json() if self._is_submitted() else None
        left_out = self._context.chunks.add(self.count, numbers, settle_s=self._settle_s, batch=batch)
        self.left_out |= left_out
        self.count += len(left_out) < len(numbers)
        self.inactive += sum(one.number in self._without_calls and one.number not in left_out for one in numbers)

    def _is_submitted(self) -> bool:
        """Whether the chunk's batch goes with it."""
        deadline = self._request.deadline
        if self._request.canary is not None:
            return False
        return deadline is None or not is_past(deadline, datetime.fromtimestamp(self._context.now_ms() / 1000, UTC))

    def _batch(self) -> RouteChangeBatch:
        return RouteChangeBatch(page=self.count, taken_ms=self._checkpoint.taken_ms, deadline=self._request.deadline)
