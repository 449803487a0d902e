"""A reroute that depends on another one: it waits for its end, and moves nothing if that one was stopped by a guard."""

from didflow.contract.errors import JobError
from didflow.contract.states import REPORTED, JobState, WaitReason
from worker.jobs.ports.context import RerouteContext
from worker.jobs.ports.endings import Refused, Wait

#: How long it waits before it checks again.
LOOK_AGAIN_S = 0.5
#: A job that ended with one of these left numbers alone on purpose: a job that follows it would route them all the same.
_HELD = frozenset({"canary_failed", "deadline_passed", "cancelled"})


def follow(job_id: str, context: RerouteContext) -> None:
    """Return if that job is done. Raises Wait until it has ended, Refused if this one mustn't continue from there."""
    first = context.jobs.get(job_id)
    if first is None or first.account != context.account:
        raise Refused(JobError(code="first_missing", message=f"there is no job {job_id} of this account to follow: nothing was changed"))
    if first.state not in REPORTED:
        raise Wait(WaitReason.DEPENDS, LOOK_AGAIN_S, f"job {job_id}, which goes first, is {first.state.value}")
    done = first.state is JobState.SUCCEEDED or (first.state is JobState.PARTIAL and first.error_code not in _HELD)
    if not done:
        message = f"job {job_id}, which ran first, is {first.state.value} ({first.error_code}): this job changed nothing"
        raise Refused(JobError(code="first_failed", message=message))
