"""Reroute and failback: choose, snapshot, move, read back."""

from worker.contract.destinations import same_route
from worker.contract.errors import JobError
from worker.contract.provider import OwnedNumber
from worker.contract.requests import Failback, Reroute
from worker.contract.results import NumberResult, Quote, Result, Totals
from worker.contract.states import REPORTED, JobState, Outcome, WaitReason
from worker.jobs.move import Move
from worker.jobs.moves import Moves
from worker.jobs.owned import find_owned
from worker.jobs.ports import Ended, JobPage, Provider, Refused, Rules, Wait
from worker.jobs.selection import Selected, check_fraction, check_trunks, select
from worker.jobs.stored import read_stored

#: How long a failback waits for the reroute that it undoes to end.
REROUTE_AGAIN_S = 1.0


def reroute(request: Reroute, page: JobPage, provider: Provider, rules: Rules) -> Ended:
    """Run one attempt of a reroute to its end."""
    moves = Moves(page, provider, rules)
    if not moves.memo.selected:
        page.pause_point()
        check_trunks(request, provider)
        taken_ms = page.now_ms()
        selected = select(request, provider)
        check_fraction(selected, request.max_fraction, provider)
        planned = [Move.of(owned, request.destinations) for owned in selected.owned]
        if request.dry_run:
            return preview(planned, selected.missing_results())
        moves.take_snapshot(planned, taken_ms, selected.not_found)
    error = moves.run(canary=request.canary, deadline=request.deadline)
    return moves.ended(error, Selected((), moves.memo.not_found).missing_results())


def failback(request: Failback, page: JobPage, provider: Provider, rules: Rules) -> Ended:
    """Run one attempt of a failback to its end."""
    moves = Moves(page, provider, rules)
    if not moves.memo.selected:
        page.pause_point()
        undone = _moves_of(request.job_id, page)
        taken_ms = page.now_ms()
        owned = find_owned(provider, undone)
        planned = [way_back(move, owned.get(number)) for number, move in sorted(undone.items())]
        if request.dry_run:
            return preview(planned, ())
        moves.take_snapshot(planned, taken_ms)
    return moves.ended(moves.run())


def way_back(move: Move, owned: OwnedNumber | None) -> Move:
    """The move that undoes `move`, or why there is none: the number went, or somebody else changed it since."""
    back = Move(number=move.number, record_id=move.record_id, before=move.target, target=move.before, sms_relay_url=move.sms_relay_url)
    if owned is None or owned.record_id != move.record_id:
        return back.became(Outcome.NOT_FOUND, JobError(code="not_found", message="the number left the account since"))
    back = back.model_copy(update={"before": owned.route, "sms_relay_url": owned.sms_relay_url})
    if same_route(owned.route, move.before):
        return back.became(Outcome.UNCHANGED)
    if not same_route(owned.route, move.target):
        return back.became(
            Outcome.CHANGED_ELSEWHERE, JobError(code="changed_elsewhere", message="changed since the reroute; left as it is")
        )
    return back


def preview(planned: list[Move], others: tuple[NumberResult, ...]) -> Ended:
    """A dry run's end: every number with its present and its new route."""
    would = tuple(move.result().model_copy(update={"outcome": move.outcome}) for move in planned)
    quote = Quote(numbers=would + others)
    return Ended(JobState.SUCCEEDED, Result(totals=Totals(requested=len(quote.numbers), done=0), quote=quote))


def _moves_of(job_id: str, page: JobPage) -> dict[str, Move]:
    """The snapshot of the reroute that is undone. Raises Refused if there is none, Wait until that job has ended or is parked."""
    other = page.other_job(job_id)
    if other is None or other.kind != "reroute" or other.account != page.account or other.dry_run:
        message = f"job {job_id} is not a reroute of this account: a failback needs the id of one"
        raise Refused(JobError(code="not_a_reroute", message=message))
    if other.state not in REPORTED:
        raise Wait(WaitReason.DEPENDS, REROUTE_AGAIN_S, f"reroute {job_id} is {other.state.value}")
    stored = {number: read_stored(Move, text) for number, text in page.numbers_of(job_id).items()}
    newest_ms = max((move.taken_ms for move in stored.values()), default=0)
    # One that was as asked before wasn't moved: where it goes since then is no business of this reroute.
    moves = {n: move for n, move in stored.items() if move.taken_ms == newest_ms and move.outcome is not Outcome.UNCHANGED}
    if not moves:
        raise Refused(JobError(code="nothing_to_fail_back", message=f"reroute {job_id} moved nothing"))
    return moves
