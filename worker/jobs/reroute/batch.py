"""A batch: one page of a large job's numbers, sent by whoever takes it. What it writes is its parent's, which tells of it."""

from didflow.contract.results import Result, Totals
from didflow.contract.states import JobState
from worker.jobs.checkpoint import read_stored
from worker.jobs.ports import Ended, JobPage, Provider, Rules
from worker.jobs.reroute.executor import Moves
from worker.jobs.reroute.route_change import MoveBatch, MoveMemo


def send_batch(request: MoveBatch, page: JobPage, provider: Provider, rules: Rules) -> Ended:
    """Run one attempt of a batch to its end."""
    memo = read_stored(MoveMemo, page.memo) if page.memo else MoveMemo(selected=True, taken_ms=request.taken_ms)
    moves = Moves(page, provider, rules, memo=memo, only=page.page_of_numbers(request.page) or ())
    stopped = moves.send(request.deadline)
    sent = sum(move.outcome is not None for move in moves.moves.values())
    result = Result(totals=Totals(requested=len(moves.moves), done=sent), error=stopped)
    return Ended(JobState.FAILED if stopped else JobState.SUCCEEDED, result)
