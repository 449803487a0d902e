"""A reroute by selector whose snapshot is what the inventory shows: the first batch is sent before anything is listed.

The inventory is as old as its last sweep, and what jobs confirmed since. So the whole list is read behind the batches: a number that fits
and that the inventory lacked is moved, too. A number that was changed elsewhere since that sweep is moved if it fitted then; on a
failback it gets the route that the inventory showed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from didflow.contract.provider import OwnedNumber
from didflow.contract.requests import Reroute, Selector
from worker.jobs.owned_numbers import listed
from worker.jobs.ports.context import RerouteContext
from worker.jobs.ports.endings import CancelRequested
from worker.jobs.ports.inventory import MirrorSelection
from worker.jobs.ports.provider import ReroutePorts
from worker.jobs.ports.rules import Rules
from worker.jobs.reroute.fan_out import ChunkedRouteChanges
from worker.jobs.reroute.parked_numbers import ParkedSelection
from worker.jobs.reroute.record import checkpoint_of
from worker.jobs.reroute.route_change import UNREADABLE_MARK, RerouteCheckpoint, RouteChange
from worker.jobs.reroute.snapshot import SnapshotWriter
from worker.jobs.selection import fits

#: Numbers that are written and sent together: few, so that the first are on their way at once.
TOGETHER = 200
#: An account whose numbers fit into this many calls is listed first: that costs few calls more.
CALLS_LISTED = 3


def take_mirrored(request: Reroute, context: RerouteContext, provider: ReroutePorts, rules: Rules) -> bool:
    """Write the snapshot and, unless a canary goes first, submit its batches meanwhile. False: the list has to be read."""
    checkpoint, selector = checkpoint_of(context), request.selector
    begun = checkpoint.mirror_age_s is not None
    if selector is None or not (begun or _may_use_it(request, context)):
        return False
    mirror = context.mirror.select(selector)
    if not begun:
        if mirror is None or not _is_good(mirror, request, rules):
            return False
        checkpoint = RerouteCheckpoint(taken_ms=context.now_ms(), mirror_age_s=mirror.age_s)
    snapshot = SnapshotWriter(context, rules.batch_size, checkpoint, continues=begun)
    changes = ChunkedRouteChanges(context, provider, rules)
    sent = 0
    try:
        for shown in mirror.numbers(TOGETHER) if mirror else ():
            context.check_interrupts()
            snapshot.add(_undisturbed(shown, selector, request, context, rules))
            snapshot.write_full()
            if request.canary is None and sent < snapshot.pages:
                changes.send_pages(range(sent, snapshot.pages), request.deadline)
                sent = snapshot.pages
    except CancelRequested:
        if not snapshot.pages:
            raise
    changes.selected(snapshot, mirror_age_s=checkpoint.mirror_age_s)
    return True


def _may_use_it(request: Reroute, context: RerouteContext) -> bool:
    listing = request.dry_run or request.read_routes or request.after is not None or request.back_to is not None
    return not listing and context.chunks.numbers(0) is None


def _is_good(mirror: MirrorSelection, request: Reroute, rules: Rules) -> bool:
    """Whether it is young enough, and large enough to be worth it. Where a guard would refuse, the list decides."""
    if mirror.age_s > rules.mirror_max_age_s or mirror.total <= CALLS_LISTED * rules.batch_size or not mirror.count:
        return False
    if request.expected_count is not None and mirror.count != request.expected_count:
        return False
    return request.max_fraction is None or mirror.count <= request.max_fraction * mirror.total


def _undisturbed(
    shown: Mapping[int, Sequence[OwnedNumber]], selector: Selector, request: Reroute, context: RerouteContext, rules: Rules
) -> Iterator[RouteChange]:
    """The changes of these numbers, by when their routes were read. Left out, for the list to show: those of which another job's call may
    have changed the route since."""
    seen_ms = {owned.number: read_ms for read_ms, items in shown.items() for owned in items if fits(owned, selector)}
    if not seen_ms:
        return
    numbers = sorted(seen_ms)
    claim = context.routes.claim(numbers, calling=False, seen_ms=min(seen_ms.values()) - int(rules.settle_s * 1000))
    parked = context.parked.of(numbers)
    for items in shown.values():
        for owned in items:
            if owned.number in seen_ms and not _is_disturbed(owned.number, seen_ms[owned.number], claim.disturbed_ms, claim.answered_ms):
                # Also one that goes there already: whether it still does isn't known.
                yield RouteChange.of(owned, request.destinations, parked.get(owned.number)).became(None)


def _is_disturbed(number: str, seen_ms: int, disturbed_ms: Mapping[str, int], answered_ms: Mapping[str, int]) -> bool:
    """Whether the route may be another one than was seen. Where all calls were answered before that, it isn't."""
    if number in answered_ms:
        return answered_ms[number] >= seen_ms
    return number in disturbed_ms


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
        parked, unread = ParkedSelection(request, context, self._provider), set[str | None]()
        snapshot = SnapshotWriter(context, self._rules.batch_size, checkpoint, continues=True)
        for items in listed(self._provider, unread=unread):
            see(items)
            found = [owned for owned in items if fits(owned, selector)]
            kept = context.parked.of([owned.number for owned in found]) if found else {}
            snapshot.add(RouteChange.of(owned, request.destinations, kept.get(owned.number)) for owned in found)
        snapshot.add(parked.moves(context.numbers(parked.candidates())))
        snapshot.add(RouteChange.of_nobody((number or "a record") + UNREADABLE_MARK) for number in unread)
        snapshot.close()
        return snapshot.count
