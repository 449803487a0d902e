"""Reroute and failback: choose, snapshot, move, read back."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

from didflow.contract.attempt_write import Write
from didflow.contract.destinations import same_route
from didflow.contract.errors import JobError
from didflow.contract.parked_numbers import PARKED, Parked
from didflow.contract.past_routes import PastRoute, Source
from didflow.contract.provider import OwnedNumber
from didflow.contract.requests import Failback, Reroute
from didflow.contract.results import NumberResult, Quote, Result, Totals
from didflow.contract.states import REPORTED, JobState, Outcome, WaitReason
from worker.jobs.checkpoint import read_stored
from worker.jobs.owned_numbers import find_each, find_surely, listed, shared_digits
from worker.jobs.partial_result import counted
from worker.jobs.ports.context import RerouteContext
from worker.jobs.ports.endings import Ended, Refused, Wait
from worker.jobs.ports.provider import ReroutePorts
from worker.jobs.ports.rules import Rules
from worker.jobs.release.state import ReleaseItem
from worker.jobs.reroute.dependency import follow
from worker.jobs.reroute.executor import RouteChanges
from worker.jobs.reroute.fan_out import ChunkedRouteChanges, chunks_in, result_of_chunks
from worker.jobs.reroute.guards import check_any, check_selected
from worker.jobs.reroute.inventory_snapshot import MissedNumbers, take_mirrored
from worker.jobs.reroute.parked_numbers import ParkedSelection, ask_releases
from worker.jobs.reroute.prepared_snapshot import take_prepared
from worker.jobs.reroute.record import RouteRecord, checkpoint_of
from worker.jobs.reroute.route_change import GOOD, NO_RECORD, RerouteCheckpoint, RouteChange
from worker.jobs.reroute.snapshot import SnapshotWriter
from worker.jobs.selection import NOTHING_SELECTED, Choice, Selected, check_trunks

#: How long a failback waits for the reroute that it undoes to end.
REROUTE_AGAIN_S = 1.0
#: A job of more numbers than fill this number of calls is sent in batches.
CALLS_ALONE = 3


def reroute(request: Reroute, context: RerouteContext, provider: ReroutePorts, rules: Rules) -> Ended:
    """Run one attempt of a reroute to its end."""
    if request.after is not None:
        follow(request.after, context)
    if not checkpoint_of(context).selected:
        context.check_interrupts()
        check_trunks(request, provider)
        try:
            with _nothing_left_behind(context):
                taken = take_prepared(request, context, provider, rules) or take_mirrored(request, context, provider, rules)
                if not taken and (seen := _read(request, context, provider, rules)):
                    return seen
        except Refused as refused:
            if request.after is None or refused.error.code != NOTHING_SELECTED:
                raise
            # It follows a job that moved what its selector means: to find no more is what it is for.
            return Ended(JobState.SUCCEEDED, Result(totals=Totals(requested=0, done=0)))
    if checkpoint_of(context).paged:
        missed = MissedNumbers(request, context, provider, rules) if checkpoint_of(context).mirror_age_s is not None else None
        paged = ChunkedRouteChanges(context, provider, rules, missed)
        return paged.preview() if request.dry_run else paged.ended(paged.run(canary=request.canary, deadline=request.deadline))
    record = RouteRecord(context)
    error = RouteChanges(record, context, provider, rules).run(canary=request.canary, deadline=request.deadline)
    return record.ended(error, Selected((), record.checkpoint.not_found).missing_results())


def _read(request: Reroute, context: RerouteContext, provider: ReroutePorts, rules: Rules) -> Ended | None:
    """Read the numbers that are meant and store their routes; of a dry run of few numbers, the end."""
    taken_ms, parked = context.now_ms(), ParkedSelection(request, context, provider)
    choice = Choice(request, provider, context.mirror, rules)
    owned, more = _up_to(CALLS_ALONE * rules.batch_size, iter(choice))
    if more is None:
        planned = _moves(owned, request, context) + parked.let_go({one.number: one for one in owned})
        only_parked = not planned and bool(parked.candidates())
        if not only_parked:
            check_selected(request, context, provider, [[one.number for one in planned]])
        planned += parked.asked()
        if only_parked:
            check_any(request, len(planned))
        if request.dry_run:
            return preview(planned, Selected(owned, choice.not_found).missing_results())
        _alone(context).take_snapshot(planned, taken_ms, choice.not_found)
        return None
    snapshot = SnapshotWriter(context, rules.batch_size, RerouteCheckpoint(taken_ms=taken_ms))
    for found in chain((owned,), more):
        context.check_interrupts()
        snapshot.add(_moves(found, request, context))
    snapshot.close()
    snapshot.add(parked.let_go(context.numbers(parked.candidates())))
    snapshot.close()
    check_selected(request, context, provider, (numbers for _, numbers in chunks_in(context)))
    snapshot.add(parked.asked())
    snapshot.add(map(RouteChange.of_nobody, choice.not_found))
    ChunkedRouteChanges(context, provider, rules).selected(snapshot, label=choice.label)
    return None


def _moves(owned: Sequence[OwnedNumber], request: Reroute, context: RerouteContext) -> list[RouteChange]:
    """The moves of these, with the route that each had before a release parked it."""
    parked = context.parked.of([one.number for one in owned])
    if request.back_to is None:
        return [RouteChange.of(one, request.destinations, parked.get(one.number)) for one in owned]
    then = context.mirror.routes_at([one.number for one in owned], request.back_to)
    return [back_to(then[one.number], one, parked.get(one.number)) for one in owned if then[one.number].source is not Source.NOT_OURS]


def back_to(then: PastRoute, owned: OwnedNumber, parked: Parked | None) -> RouteChange:
    """The move to where the number went at a moment. Where that isn't known, or can't be written, it is left as it is."""
    if then.destinations == tuple(map(str, owned.route)):
        return RouteChange.of(owned, owned.route, parked)  # As it is, with priorities that a history doesn't have.
    if (target := then.route()) is not None:
        return RouteChange.of(owned, target, parked)
    why = then.why or f"its route can't be set by a request: {', '.join(then.destinations or ())}"
    unknown = JobError(code="route_unknown", message=f"where its calls went then isn't known ({why}): left as it is")
    return RouteChange.of(owned, owned.route, parked).became(Outcome.FAILED, unknown)


def failback(request: Failback, context: RerouteContext, provider: ReroutePorts, rules: Rules) -> Ended:
    """Run one attempt of a failback to its end."""
    if not checkpoint_of(context).selected:
        context.check_interrupts()
        undone_ms = _check_undone(request.job_id, context)
        taken_ms = context.now_ms()
        young_s = (undone_ms - taken_ms) / 1000 + rules.settle_s
        if context.chunks.numbers(0, request.job_id) is None:
            undone = _moves_of(request.job_id, context)
            owned = find_surely(provider, undone)
            parked = context.parked.of(list(undone))
            planned = [way_back(move, owned.get(number), parked.get(number)) for number, move in sorted(undone.items())]
            _mind_an_old_list(planned, young_s)
            planned = planned if request.dry_run else ask_releases(planned, context)
            if request.dry_run:
                return preview(planned, ())
            _alone(context).take_snapshot(planned, taken_ms)
        else:
            snapshot = SnapshotWriter(context, rules.batch_size, RerouteCheckpoint(taken_ms=taken_ms))
            for planned in _ways_back(request.job_id, context, provider):
                context.check_interrupts()
                _mind_an_old_list(planned, young_s)
                snapshot.add(planned if request.dry_run else ask_releases(planned, context))
            ChunkedRouteChanges(context, provider, rules).selected(snapshot)
    if checkpoint_of(context).paged:
        paged = ChunkedRouteChanges(context, provider, rules)
        return paged.preview() if request.dry_run else paged.ended(paged.run())
    record = RouteRecord(context)
    return record.ended(RouteChanges(record, context, provider, rules).run())


def _up_to(limit: int, found: Iterator[Sequence[OwnedNumber]]) -> tuple[tuple[OwnedNumber, ...], Iterator[Sequence[OwnedNumber]] | None]:
    """All that is found; if that is more than `limit`, what was read so far and what is to come."""
    owned: list[OwnedNumber] = []
    for some in found:
        owned += some
        if len(owned) > limit:
            return tuple(owned), found
    return tuple(owned), None


def _alone(context: RerouteContext) -> RouteRecord:
    """For a job that sends its numbers itself. An attempt before may have found more of them, and begun to write pages."""
    if context.chunks.numbers(0) is not None:
        context.save(Write("snapshot_begun", clear=True, checkpoint=RerouteCheckpoint().model_dump_json()))
    return RouteRecord(context)


@contextmanager
def _nothing_left_behind(context: RerouteContext) -> Iterator[None]:
    """A job that a guard refuses moved nothing: a failback must not touch its numbers."""
    try:
        yield
    except Refused:
        if context.chunks.numbers(0) is not None:
            context.save(Write("snapshot_dropped", clear=True, checkpoint=RerouteCheckpoint().model_dump_json()))
        raise


def way_back(move: RouteChange, owned: OwnedNumber | None, parked: Parked | None = None) -> RouteChange:
    """The move that undoes `move`, or why there is none: the number is gone, was changed since, or a release has it (`parked`),
    which is to be asked."""
    target = move.before if move.unparked is None else move.unparked
    back = RouteChange(number=move.number, record_id=move.record_id, before=move.target, target=target, sms_relay_url=move.sms_relay_url)
    if owned is None or owned.record_id != move.record_id:
        return back.became(Outcome.NOT_FOUND, JobError(code="not_found", message="the number left the account since"))
    back = back.model_copy(update={"before": owned.route, "sms_relay_url": owned.sms_relay_url, "takes_calls": owned.takes_calls})
    if same_route(owned.route, target):
        return back.became(Outcome.UNCHANGED)
    if parked is not None and parked.live and parked.is_at(owned.route):
        would = parked.way_back
        if would is not None and (same_route(would, move.target) or same_route(would, target)):
            return back.became(Outcome.SUPERSEDED, PARKED)
    elif move.unparked is not None and same_route(owned.route, move.before):
        return back  # The release has ended, and left it there.
    if not same_route(owned.route, move.target):
        return back.became(
            Outcome.CHANGED_ELSEWHERE, JobError(code="changed_elsewhere", message="changed since the reroute; left as it is")
        )
    return back


def known_reroute(request: Reroute | Failback, context: RerouteContext, error: JobError) -> Result:
    """What is written of the numbers of a reroute or failback that ends from outside of its handler."""
    if context.chunks.numbers(0) is not None:
        return result_of_chunks(context, error, dry_run=request.dry_run)
    return counted([read_stored(RouteChange, text).result() for text in context.numbers().values()], GOOD, error)


def preview(planned: list[RouteChange], others: tuple[NumberResult, ...]) -> Ended:
    """A dry run's end: every number with its present and its new route."""
    would = tuple(move.result().model_copy(update={"outcome": move.outcome}) for move in planned)
    quote = Quote(numbers=would + others)
    return Ended(JobState.SUCCEEDED, Result(totals=Totals(requested=len(quote.numbers), done=0), quote=quote))


def _mind_an_old_list(planned: Sequence[RouteChange], young_s: float) -> None:
    """Raises Wait where a number is neither where the reroute sent it nor where it was before, and that may be how it was still earlier:
    for `young_s` longer a list may be older than the reroute (A3)."""
    if young_s > 0 and any(back.outcome is Outcome.CHANGED_ELSEWHERE for back in planned):
        raise Wait(WaitReason.SETTLING, young_s, "numbers have another route than the reroute set, or the list is older than the reroute")


def _check_undone(job_id: str, context: RerouteContext) -> int:
    """When it ended, on the ledger's clock. Raises Refused if that isn't a reroute, Wait until it has ended or is parked."""
    other = context.jobs.get(job_id)
    if other is None or other.kind not in ("reroute", "release") or other.account != context.account or other.dry_run:
        message = f"job {job_id} is not a reroute of this account, nor a release: a failback needs the id of one"
        raise Refused(JobError(code="not_a_reroute", message=message))
    if other.state not in REPORTED:
        raise Wait(WaitReason.DEPENDS, REROUTE_AGAIN_S, f"{other.kind} {job_id} is {other.state.value}")
    return other.ended_ms or 0


def _moves_of(job_id: str, context: RerouteContext) -> dict[str, RouteChange]:
    """The snapshot of the reroute that is undone, or how a release has parked its numbers. Raises Refused if there is none."""
    if (other := context.jobs.get(job_id)) is not None and other.kind == "release":
        return _parked_by(job_id, context)
    stored = {number: read_stored(RouteChange, text) for number, text in context.jobs.numbers_of(job_id).items()}
    newest_ms = max((move.taken_ms for move in stored.values()), default=0)
    # One that was as asked before wasn't moved: where it goes since then is no business of this reroute.
    moves = {n: move for n, move in stored.items() if move.taken_ms == newest_ms and move.outcome is not Outcome.UNCHANGED}
    if not moves:
        raise Refused(JobError(code="nothing_to_fail_back", message=f"reroute {job_id} moved nothing"))
    return moves


def _parked_by(job_id: str, context: RerouteContext) -> dict[str, RouteChange]:
    """The parking of the numbers of a release that may still be parked; with the route that each is to have by now."""
    stored = {number: read_stored(ReleaseItem, text) for number, text in context.jobs.numbers_of(job_id).items()}
    moves = {number: one.park for number, one in stored.items() if one.park is not None and one.is_left_parked}
    if not moves:
        raise Refused(JobError(code="nothing_to_fail_back", message=f"release {job_id} has left nothing parked"))
    kept = {number: one.way_back for number, one in context.parked.of(list(moves)).items() if one.release == job_id}
    return {number: move.model_copy(update={"unparked": kept.get(number)}) for number, move in moves.items()}


def _ways_back(job_id: str, context: RerouteContext, provider: ReroutePorts) -> Iterator[list[RouteChange]]:
    """The same for a large one, a few at a time: first those that the owned list shows, by the digits that they share and then the whole
    of it, because a search may find nothing; then the others, each requested by itself."""
    numbers = [number for _, listed_numbers in chunks_in(context, job_id) for number in (min(listed_numbers), max(listed_numbers))]
    shared = shared_digits(min(numbers), max(numbers))
    left = sum(len(_undone(context, job_id, listed_numbers)) for _, listed_numbers in chunks_in(context, job_id))
    for search in (shared, None) if shared else (None,):
        shown = 0
        for items in listed(provider, search):
            undone = _undone(context, job_id, [item.number for item in items])
            parked = context.parked.of([item.number for item in items])
            found = [way_back(undone[item.number], item, parked.get(item.number)) for item in items if item.number in undone]
            shown += len(found)
            yield found
        if shown >= left:
            return
    for _, listed_numbers in chunks_in(context, job_id):
        undone = _undone(context, job_id, listed_numbers)
        if missing := undone.keys() - context.numbers(listed_numbers).keys():
            owned, parked = find_each(provider, missing), context.parked.of(sorted(missing))
            yield [way_back(undone[number], owned.get(number), parked.get(number)) for number in sorted(missing)]


def _undone(context: RerouteContext, job_id: str, numbers: Sequence[str]) -> dict[str, RouteChange]:
    stored = {number: read_stored(RouteChange, text) for number, text in context.jobs.numbers_of(job_id, numbers).items()}
    return {number: move for number, move in stored.items() if move.record_id != NO_RECORD and move.outcome is not Outcome.PROTECTED}
