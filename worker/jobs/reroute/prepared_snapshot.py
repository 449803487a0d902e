"""A reroute based on a dry run: the routes that it read are the snapshot, so the first batch is sent before anything is listed.

Only where they are as they were, as far as it can be known here: a number that another job of ours moved since is read again. Changes made
elsewhere since the dry run aren't seen; on a failback such a number gets the route that the dry run read.
"""

from collections.abc import Iterator, Set

from didflow.contract.attempt_write import Write
from didflow.contract.requests import Reroute
from didflow.contract.states import JobState
from worker.jobs.checkpoint import read_stored
from worker.jobs.owned_numbers import shared_digits
from worker.jobs.ports.context import RerouteContext
from worker.jobs.ports.endings import CancelRequested
from worker.jobs.ports.other_jobs import OtherJob
from worker.jobs.ports.provider import ReroutePorts
from worker.jobs.ports.rules import Rules
from worker.jobs.reroute.fan_out import ChunkedRouteChanges, changes_in, chunks_in
from worker.jobs.reroute.record import checkpoint_of
from worker.jobs.reroute.route_change import NO_RECORD, RerouteCheckpoint, RouteChange
from worker.jobs.reroute.seen_chunks import SeenChunks
from worker.jobs.reroute.snapshot import SnapshotWriter
from worker.jobs.selection import Choice, check_count, check_fraction


def take_prepared(request: Reroute, context: RerouteContext, provider: ReroutePorts, rules: Rules) -> bool:
    """Write the snapshot and, unless a canary goes first, submit its batches with it. False if there is no dry run, or it isn't good: then
    all has to be read. Raises Refused by a guard, before anything is sent."""
    checkpoint, read = checkpoint_of(context), _dry_run(request, context)
    if not checkpoint.prepared:
        if read is None or not _passes_guards(request, context, provider):
            return False
        checkpoint = RerouteCheckpoint(taken_ms=context.now_ms(), prepared=True)
        context.save(Write("snapshot_begun", clear=True, checkpoint=checkpoint.model_dump_json()))
    return _PreparedSnapshot(request, context, provider, rules, checkpoint).take(read)


def _dry_run(request: Reroute, context: RerouteContext) -> OtherJob | None:
    """The one that the request names, if it may be used."""
    job_id = request.snapshot_of
    read = context.jobs.get(job_id) if job_id is not None and not request.dry_run else None
    return read if read is not None and _is_good(read, context.account) and context.chunks.numbers(0, job_id) is not None else None


def _is_good(read: OtherJob, account: str) -> bool:
    return read.dry_run and (read.kind, read.state, read.account) == ("reroute", JobState.SUCCEEDED, account)


def _passes_guards(request: Reroute, context: RerouteContext, provider: ReroutePorts) -> bool:
    """False where only the account's list can say. Raises Refused."""
    wanted = set(request.record_ids)
    if request.expected_count is not None:
        if wanted - {move.record_id for moves in _read_by(request.snapshot_of, context) for move in moves}:
            return False
        check_count(request, len(wanted))
    check_fraction(len(wanted), request.max_fraction, provider)
    return True


def _read_by(job_id: str | None, context: RerouteContext) -> Iterator[list[RouteChange]]:
    """What the dry run read, chunk by chunk."""
    for _, numbers in chunks_in(context, job_id):
        moves = (read_stored(RouteChange, text) for text in context.jobs.numbers_of(job_id or "", numbers).values())
        yield [move for move in moves if move.record_id != NO_RECORD]


class _PreparedSnapshot:
    """The snapshot that an attempt writes, or continues to write: batches of what is written are under way."""

    def __init__(
        self, request: Reroute, context: RerouteContext, provider: ReroutePorts, rules: Rules, checkpoint: RerouteCheckpoint
    ) -> None:
        self._request, self._context, self._provider, self._rules = request, context, provider, rules
        self._checkpoint, self._continues = checkpoint, context.chunks.count() > 0
        # A call that was answered so shortly before the dry run may not be in what it read.
        self._chunks, self._settle_ms = SeenChunks(request, context, rules, checkpoint, settle_s=0.0), int(rules.settle_s * 1000)
        self._inactive = 0

    def take(self, read: OtherJob | None) -> bool:
        """`read` None: the dry run is gone since an earlier attempt began."""
        numbers, unread, cancelled = set[str](), set[int](), False
        try:
            numbers, unread = self._write() if read is not None else (numbers, set(self._request.record_ids))
            if self._continues or self._chunks.left_out:
                unread = set(self._request.record_ids) - {change.record_id for change in changes_in(self._context)}
            if unread:
                self._read_again(unread)
        except CancelRequested:
            if not self._context.chunks.count():
                raise
            cancelled = True
        # With a deadline each chunk is looked at once more: it may have come before all were submitted. So is one that an earlier attempt
        # may have left without its batch.
        submitted = not (self._request.canary or self._request.deadline or unread or cancelled or self._continues)
        known = read is not None and not unread and not cancelled
        ChunkedRouteChanges(self._context, self._provider, self._rules).complete(
            taken_ms=self._checkpoint.taken_ms,
            inactive=self._chunks.inactive + self._inactive,
            label=read.label if read is not None and known else None,
            search=shared_digits(min(numbers), max(numbers)) if known and numbers and not (read and read.label) else None,
            fanned_out=submitted,
        )
        return True

    def _write(self) -> tuple[set[str], set[int]]:
        """The numbers that the dry run read and the request names, and the records that it names besides."""
        wanted, numbers = set(self._request.record_ids), set[str]()
        for moves in _read_by(self._request.snapshot_of, self._context):
            named = [move for move in moves if move.record_id in wanted]
            wanted -= {move.record_id for move in named}
            numbers |= {move.number for move in named}
            self._chunks.add((move.taken_ms - self._settle_ms, self._to_send(move)) for move in named)
        self._chunks.close()
        return numbers, wanted

    def _to_send(self, move: RouteChange) -> RouteChange:
        """Also one that went there already: whether it still does isn't known."""
        anew = {"target": self._request.destinations, "outcome": None, "error": None, "check_after_ms": 0}
        return move.model_copy(update=anew | {"taken_ms": self._checkpoint.taken_ms})

    def _read_again(self, record_ids: Set[int]) -> None:
        """Those that another job moved since, or that the dry run didn't read."""
        choice = Choice(
            self._request.model_copy(update={"record_ids": tuple(sorted(record_ids))}), self._provider, self._context.mirror, self._rules
        )
        snapshot = SnapshotWriter(self._context, self._rules.batch_size, self._checkpoint, continues=True)
        for owned in choice:
            self._context.check_interrupts()
            parked = self._context.parked.of([one.number for one in owned])
            snapshot.add(RouteChange.of(one, self._request.destinations, parked.get(one.number)) for one in owned)
        snapshot.add(map(RouteChange.of_nobody, choice.not_found))
        snapshot.close()
        self._inactive = snapshot.inactive
