"""A reroute by selector whose snapshot is what the inventory shows: the first batch is sent before anything is listed.

The inventory is as old as its last sweep, and what jobs confirmed since. So the whole list is read behind the batches: a number that fits
and that the inventory lacked is moved, too. A number that was changed elsewhere since that sweep is moved if it fitted then; on a
failback it gets the route that the inventory showed.
"""

from collections.abc import Callable, Iterator, Sequence

from didflow.contract.attempt_write import Write
from didflow.contract.provider import OwnedNumber
from didflow.contract.requests import Reroute
from worker.jobs.owned_numbers import listed
from worker.jobs.ports.context import RerouteContext
from worker.jobs.ports.endings import CancelRequested
from worker.jobs.ports.inventory import MirrorSelection
from worker.jobs.ports.provider import ReroutePorts
from worker.jobs.ports.rules import Rules
from worker.jobs.reroute.fan_out import ChunkedRouteChanges
from worker.jobs.reroute.guards import Allowance
from worker.jobs.reroute.parked_numbers import ParkedSelection
from worker.jobs.reroute.record import checkpoint_of
from worker.jobs.reroute.route_change import UNREADABLE_MARK, RerouteCheckpoint, RouteChange
from worker.jobs.reroute.seen_chunks import SeenChunks
from worker.jobs.reroute.snapshot import SnapshotWriter
from worker.jobs.selection import fits
from worker.pages import PER_PAGE

#: Records that are read together, after those of the first chunk, which is sent at once.
TOGETHER = 500
#: An account whose numbers fit into this many calls is listed first: that costs few calls more.
CALLS_LISTED = 3


def take_mirrored(request: Reroute, context: RerouteContext, provider: ReroutePorts, rules: Rules) -> bool:
    """Write the snapshot and, unless a canary goes first, submit its batches with it. False: the list has to be read."""
    checkpoint, selector = checkpoint_of(context), request.selector
    begun = checkpoint.mirror_age_s is not None
    if selector is None or not (begun or _may_use_it(request, context)):
        return False
    mirror = context.mirror.select(selector)
    if not begun:
        if mirror is None or not _is_good(mirror, request, rules):
            return False
        checkpoint = RerouteCheckpoint(taken_ms=context.now_ms(), mirror_age_s=mirror.age_s)
        context.save(Write("snapshot_begun", clear=True, checkpoint=checkpoint.model_dump_json()))
    chunks = SeenChunks(request, context, rules, checkpoint, settle_s=rules.settle_s)
    cancelled = False
    try:
        for shown in mirror.numbers(rules.batch_size, TOGETHER) if mirror else ():
            chunks.add(_to_send(shown, request, context, checkpoint.taken_ms))
        chunks.close()
    except CancelRequested:
        if not context.chunks.count():
            raise
        cancelled = True
    changes = ChunkedRouteChanges(context, provider, rules)
    # With a deadline each chunk is looked at once more: it may have come before all were submitted.
    submitted = request.canary is None and request.deadline is None and not cancelled
    changes.complete(
        inactive=chunks.inactive,
        taken_ms=checkpoint.taken_ms,
        mirror_age_s=checkpoint.mirror_age_s,
        mirrored=chunks.count,
        fanned_out=submitted,
    )
    return True


def _to_send(
    shown: Sequence[tuple[int, OwnedNumber]], request: Reroute, context: RerouteContext, taken_ms: int
) -> Iterator[tuple[int, RouteChange]]:
    """Each with the moment when it was seen."""
    parked = context.parked.of([owned.number for _, owned in shown])
    for seen_ms, owned in shown:
        yield seen_ms, RouteChange.to_send(owned, request.destinations, parked.get(owned.number), taken_ms)


def _may_use_it(request: Reroute, context: RerouteContext) -> bool:
    listing = request.dry_run or request.read_routes or request.after is not None or request.back_to is not None
    # The list may show more numbers than the inventory does. They would be moved, too, beyond the number that is expected.
    counted = request.expected_count is not None
    return not (listing or counted) and context.chunks.numbers(0) is None


def _is_good(mirror: MirrorSelection, request: Reroute, rules: Rules) -> bool:
    """Whether it is young enough, and large enough to be worth it. Where the guard would refuse, the list decides."""
    if mirror.age_s > rules.mirror_max_age_s or mirror.total <= CALLS_LISTED * rules.batch_size or not mirror.count:
        return False
    return request.max_fraction is None or mirror.count <= request.max_fraction * mirror.total


class MissedNumbers:
    """Reads the whole list behind the batches, and adds what fits and isn't there."""

    def __init__(self, request: Reroute, context: RerouteContext, provider: ReroutePorts, rules: Rules) -> None:
        self._request, self._context, self._provider, self._rules = request, context, provider, rules

    def add(self, checkpoint: RerouteCheckpoint, see: Callable[[Sequence[OwnedNumber]], None]) -> int:
        """How many were added. `see` gets every number of the list, for what was sent before."""
        request, context = self._request, self._context
        selector = request.selector
        if selector is None:
            return 0
        parked, unread, conditions = ParkedSelection(request, context, self._provider), set[str | None](), selector.conditions
        snapshot = SnapshotWriter(context, self._rules.batch_size, checkpoint, continues=True)
        allowance = Allowance(request, context, self._provider, checkpoint.mirrored)
        for items in listed(self._provider, unread=unread, pages=-(-context.mirror.total() // PER_PAGE)):
            see(items)
            found = [owned for owned in items if fits(owned, selector)]
            found = context.mirror.fitting(found, conditions) if conditions is not None else found
            kept = context.parked.of([owned.number for owned in found]) if found else {}
            snapshot.add(allowance.within([RouteChange.of(owned, request.destinations, kept.get(owned.number)) for owned in found]))
        snapshot.close()
        snapshot.add(allowance.within(parked.let_go(context.numbers(parked.candidates()))))
        snapshot.add(parked.asked())
        # One that was sent is reported by its own name, once its record can't be read for the settle time.
        ours = context.numbers([number for number in unread if number is not None]) if unread else {}
        snapshot.add(RouteChange.of_nobody((number or "a record") + UNREADABLE_MARK) for number in unread if number not in ours)
        snapshot.close()
        return snapshot.count
