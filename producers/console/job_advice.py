"""What a job's state means, and what to do, in the words of the console: its buttons and screens instead of commands."""

from didflow.contract.jobs import JobView
from didflow.contract.states import JobState, WaitReason
from producers.cli.next_step import advice_on as advice_for_shells
from producers.cli.next_step import is_dry_run

_WAITING: dict[str, str] = {
    WaitReason.SPEND_LIMIT: "a spend limit is reached: the steps below say which, the screen Spend what uses it; the job resumes by itself",
    WaitReason.STOCK: "too few numbers match now; the job searches again until its deadline. Cancel ends it now",
    WaitReason.GRACE: "its time hasn't come; until then Cancel brings everything back",
    WaitReason.RECONCILING: (
        "Redis restarted: no money moves until it is known that nothing was lost. Accounts and gate shows what is still open"
    ),
    WaitReason.FROZEN: "purchases and releases are frozen, as the top of this page says. The job continues when the freeze is lifted",
    WaitReason.DOCUMENTS: "numbers wait for documents or their review: the steps below say which; the job resumes by itself",
}
_NEW = "A new job with a new idempotency key can"
_STATES = {
    JobState.SCHEDULED: "it starts at its time; until then Cancel ends it",
    JobState.QUEUED: "a worker will take it; if none does, Overview says why",
    JobState.PARTIAL: f"part of the request is done; each number has its outcome. {_NEW} request the rest",
    JobState.FAILED: f"nothing was done; the error says why. {_NEW} try again",
}
_PARKED = {
    "too_many_crashes": "read the logs of the workers that died, and fix the cause. Then Retry continues the job",
    "unreadable_request": "start workers of the version that wrote it. Then Retry continues the job",
    "unreadable_progress": "start workers of the version that wrote it. Then Retry continues the job",
    "internal_error": "read the worker's log and report the error. Then Retry continues the job",
}


def advice(view: JobView) -> str:
    """A sentence for a person."""
    if view.state is JobState.NEEDS_REVIEW:
        code = view.error.code if view.error else ""
        return _PARKED.get(code, "what happened isn't known: Retry checks again, and with the evidence you can decide what happened")
    if view.state is JobState.WAITING and view.reason in _WAITING:
        return _WAITING[view.reason]
    if is_dry_run(view) and view.state.is_terminal:
        return advice_for_shells(view)
    return _STATES.get(view.state) or advice_for_shells(view)
