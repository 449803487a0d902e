"""The guards against moving too many numbers, `expected_count` and `max_fraction`: they hold for all that is moved, also by two jobs.

A job that follows another one finds what that one missed. So what both have selected is counted, each number once. And numbers that the
list shows behind batches that were sent by the inventory are moved only as far as the guard allows.
"""

from collections.abc import Iterable, Iterator, Sequence

from didflow.contract.errors import JobError
from didflow.contract.requests import Reroute
from didflow.contract.states import Outcome
from worker.jobs.checkpoint import read_stored
from worker.jobs.ports.context import RerouteContext
from worker.jobs.ports.endings import Refused
from worker.jobs.ports.provider import OwnedPort
from worker.jobs.reroute.fan_out import chunks_in
from worker.jobs.reroute.route_change import RouteChange
from worker.jobs.selection import check_count, check_fraction

#: What a number of ours became that this job didn't move, and wasn't to.
_NOT_MEANT = frozenset({Outcome.NOT_FOUND, Outcome.SUPERSEDED, Outcome.PROTECTED})


def check_selected(request: Reroute, context: RerouteContext, provider: OwnedPort, selected: Iterable[Sequence[str]]) -> None:
    """Raises Refused if a selector matches none, or more are selected than the guards allow, with those of the job that goes first."""
    count = more = 0
    for numbers in selected:
        count += len(numbers)
        more += len(numbers) - (len(context.jobs.numbers_of(request.after, numbers)) if request.after is not None else 0)
    check_any(request, count)
    if request.after is None:
        check_fraction(count, request.max_fraction, provider)
        return
    if not more or (request.expected_count is None and request.max_fraction is None):
        return
    together = more + sum(map(len, _numbers_of(request.after, context)))
    if request.expected_count is not None and together > request.expected_count:
        message = f"{more} numbers are selected besides those of job {request.after}: together {together}, and {request.expected_count}"
        message += " were expected: nothing was changed. If these are meant, move them by a request of their own"
        raise Refused(JobError(code="unexpected_count", message=message))
    check_fraction(together, request.max_fraction, provider)


def check_any(request: Reroute, count: int) -> None:
    """Raises Refused if a selector matches none, or not the number that is expected of a job that follows none."""
    check_count(request if request.after is None else request.model_copy(update={"expected_count": None}), count)


class Allowance:
    """How many numbers may be moved besides those that were sent by the inventory. Without `max_fraction`, all.

    `sent`: how many chunks are of the inventory.
    """

    def __init__(self, request: Reroute, context: RerouteContext, provider: OwnedPort, sent: int) -> None:
        self._share, self._context, self._provider, self._sent = request.max_fraction, context, provider, sent
        self._left: int | None = None
        self._error: JobError | None = None

    def within(self, changes: Sequence[RouteChange]) -> list[RouteChange]:
        """These changes; those of numbers that the job doesn't have, and that would be too many, to where they go already."""
        if self._share is None or not changes:
            return list(changes)
        known = self._context.numbers([one.number for one in changes])
        return [one if one.number in known else self._allowed(one, self._share) for one in changes]

    def _allowed(self, change: RouteChange, share: float) -> RouteChange:
        if self._left is None:
            total = self._provider.owned(page=1).total
            self._left = int(share * total) - self._meant()
            message = f"the inventory lacked it, and max_fraction {share:g} allows no more of the account's {total} numbers: left as it is."
            self._error = JobError(code="too_large_fraction", message=message + " If it is meant, move it by a request of its own")
        if self._left > 0:
            self._left -= 1
            return change
        return change.model_copy(update={"target": change.before}).became(Outcome.PROTECTED, self._error)

    def _meant(self) -> int:
        """What the job moves by now: what was sent, and what an earlier attempt has added."""
        count = 0
        for index, numbers in chunks_in(self._context):
            added = self._context.numbers(numbers).values() if index >= self._sent else ()
            count += sum(read_stored(RouteChange, text).outcome not in _NOT_MEANT for text in added) if added else len(numbers)
        return count


def _numbers_of(job_id: str, context: RerouteContext) -> Iterator[list[str]]:
    """The numbers of ours that a job has selected. What stands there for a record that isn't ours, or can't be read, is none."""
    if context.chunks.numbers(0, job_id) is None:
        everything: Iterable[Iterable[str]] = (context.jobs.numbers_of(job_id),)
    else:
        everything = (numbers for _, numbers in chunks_in(context, job_id))
    for numbers in everything:
        yield [number for number in numbers if number.startswith("+") and number[1:].isdigit()]
