"""A batch: one chunk of a large job's numbers, sent by any worker. It writes into the record of its parent, which reports the numbers."""

from didflow.contract.results import Result, Totals
from didflow.contract.states import JobState
from worker.jobs.checkpoint import read_stored
from worker.jobs.ports.context import RerouteContext
from worker.jobs.ports.endings import Ended
from worker.jobs.ports.provider import ReroutePorts
from worker.jobs.ports.rules import Rules
from worker.jobs.reroute.executor import RouteChanges
from worker.jobs.reroute.record import RouteRecord
from worker.jobs.reroute.route_change import RerouteCheckpoint, RouteChangeBatch


def send_batch(request: RouteChangeBatch, context: RerouteContext, provider: ReroutePorts, rules: Rules) -> Ended:
    """Run one attempt of a batch to its end."""
    checkpoint = (
        read_stored(RerouteCheckpoint, context.checkpoint)
        if context.checkpoint
        else RerouteCheckpoint(selected=True, taken_ms=request.taken_ms)
    )
    record = RouteRecord(context, checkpoint=checkpoint, only=context.chunks.numbers(request.page) or ())
    stopped = RouteChanges(record, context, provider, rules).send(request.deadline)
    sent = sum(change.outcome is not None for change in record.changes.values())
    result = Result(totals=Totals(requested=len(record.changes), done=sent), error=stopped)
    return Ended(JobState.FAILED if stopped else JobState.SUCCEEDED, result)
