"""A reroute based on a dry run: the routes read by it are the snapshot, so nothing has to be listed before the first number moves.

Only where they are as they were, as far as it can be known here: a number that another job of ours moved since is read again, and with
it all. Changes made elsewhere since the dry run aren't seen; on a failback it gets the route that the dry run read.
"""

from collections.abc import Iterator

from didflow.contract.requests import Reroute
from didflow.contract.states import JobState
from worker.jobs.checkpoint import read_stored
from worker.jobs.ports.context import RerouteContext
from worker.jobs.ports.other_jobs import OtherJob
from worker.jobs.ports.provider import ReroutePorts
from worker.jobs.ports.rules import Rules
from worker.jobs.reroute.fan_out import ChunkedRouteChanges, chunks_in
from worker.jobs.reroute.route_change import NO_RECORD, RerouteCheckpoint, RouteChange
from worker.jobs.reroute.snapshot import SnapshotWriter
from worker.jobs.selection import check_count, check_fraction


def take_prepared(request: Reroute, context: RerouteContext, provider: ReroutePorts, rules: Rules) -> bool:
    """Take over the dry run's snapshot. False if there is none, or it isn't good: then it has to be read. Raises Refused by a guard."""
    job_id = request.snapshot_of
    read = context.jobs.get(job_id) if job_id is not None else None
    if job_id is None or read is None or not _is_good(read, context.account) or context.chunks.numbers(0, job_id) is None:
        return False
    wanted, read_ms = set(request.record_ids), 0
    snapshot = SnapshotWriter(context, rules.batch_size, RerouteCheckpoint(taken_ms=context.now_ms()))
    for moves in _read_by(job_id, context):
        context.check_interrupts()
        named = [move for move in moves if move.record_id in wanted]
        wanted -= {move.record_id for move in named}
        read_ms = max([read_ms, *(move.taken_ms for move in named)])
        # Those that went there already, too: whether they still do isn't known.
        to_send = {"target": request.destinations, "outcome": None, "error": None, "check_after_ms": 0}
        snapshot.add(move.model_copy(update=to_send) for move in named)
    if wanted:
        return False
    snapshot.close()
    check_count(request, snapshot.count)
    check_fraction(snapshot.count, request.max_fraction, provider)
    if _moved_since(context, read_ms - int(rules.settle_s * 1000)):
        return False
    ChunkedRouteChanges(context, provider, rules).selected(snapshot, label=read.label)
    return True


def _is_good(read: OtherJob, account: str) -> bool:
    return read.dry_run and (read.kind, read.state, read.account) == ("reroute", JobState.SUCCEEDED, account)


def _read_by(job_id: str, context: RerouteContext) -> Iterator[list[RouteChange]]:
    """What the dry run read, chunk by chunk."""
    for _, numbers in chunks_in(context, job_id):
        moves = (read_stored(RouteChange, text) for text in context.jobs.numbers_of(job_id, numbers).values())
        yield [move for move in moves if move.record_id != NO_RECORD]


def _moved_since(context: RerouteContext, since_ms: int) -> bool:
    """Whether a call of another job may have changed a route since, which the dry run then doesn't know."""
    for _, numbers in chunks_in(context):
        claim = context.routes.claim(numbers, calling=False, seen_ms=since_ms)
        if any(until_ms >= since_ms for until_ms in claim.disturbed_ms.values()):
            return True
    return False
