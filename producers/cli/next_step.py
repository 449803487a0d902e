"""What each state means, and what to do."""

from didflow.contract.job_kinds import buys
from didflow.contract.jobs import JobView
from didflow.contract.states import JobState, Outcome, WaitReason

_WAITING = {
    WaitReason.RATE_LIMITED: "the provider limits the rate; the job resumes by itself",
    WaitReason.PROVIDER_DOWN: "the provider can't be reached or fails; the job resumes by itself, and no attempt is lost",
    WaitReason.ACCOUNT_PAUSED: "the provider refuses the account's key: correct it and restart the workers; the job resumes by itself",
    WaitReason.FUNDS: "the balance doesn't cover the purchase: top it up; the job resumes by itself",
    WaitReason.SPEND_LIMIT: "a spend limit is reached: `didflow explain` says which, `didflow spend` what uses it; it resumes by itself",
    WaitReason.STOCK: "too few numbers match now; the job searches again until its deadline. `didflow cancel` ends it now",
    WaitReason.SETTLING: "an answer was unclear; the job checks what happened before it repeats anything",
    WaitReason.DEPENDS: "another job must end first",
    WaitReason.GRACE: "its time hasn't come; until then `didflow cancel` brings everything back",
    WaitReason.DAILY_CAP: "the daily limit of releases is reached; the rest follows the next day (UTC)",
    WaitReason.RECONCILING: "Redis restarted: no money moves until it is known that nothing was lost; if it lasts: `didflow reconcile`",
    WaitReason.FROZEN: "purchases and releases are frozen: `didflow doctor` says by whom and why; `didflow unfreeze` lets the job continue",
    WaitReason.DOCUMENTS: "numbers wait for documents or their review: `didflow explain` says which; the job resumes by itself",
    WaitReason.NEWER_VERSION: "a newer version of didflow ran it: a worker of that version continues it; if none runs, start one",
    WaitReason.RETRY: "an attempt failed; the next one starts by itself",
}

_NEW = "A new job with a new key (--key; field idempotency_key)"
_STATES = {
    JobState.SCHEDULED: "it starts at its time; `didflow cancel` cancels it",
    JobState.QUEUED: "a worker will take it; if none does: `didflow doctor`",
    JobState.RUNNING: "a worker is at it",
    JobState.NEEDS_REVIEW: "what happened isn't known: `didflow retry` checks again, `didflow resolve` ends the job with what you found",
    JobState.SUCCEEDED: "all that was asked is done",
    JobState.PARTIAL: f"part of the request is done; each number has its outcome. {_NEW} can request the rest",
    JobState.FAILED: f"nothing was done; the error says why. {_NEW} can try again",
    JobState.CANCELLED: "cancelled before it took effect",
    JobState.EXPIRED: "its deadline passed before it took effect",
}


_DRY_RUNS = {
    JobState.SUCCEEDED: "the dry run is done; nothing was changed",
    JobState.PARTIAL: "the dry run is done: only a part can be done; nothing was changed",
    JobState.FAILED: "the dry run failed; the error says why. Nothing was changed",
    JobState.CANCELLED: "the dry run was cancelled; nothing was changed",
    JobState.EXPIRED: "the deadline passed before the dry run was done; nothing was changed",
}


def advice_on(view: JobView) -> str:
    """A sentence for a person about this job."""
    if is_dry_run(view) and view.state in _DRY_RUNS:
        return _DRY_RUNS[view.state]
    return advice(view.state, view.reason)


def is_dry_run(view: JobView) -> bool:
    return view.request is not None and view.request.dry_run


def advice(state: JobState, reason: str | None) -> str:
    """A sentence for a person about a job in this state."""
    if state is JobState.WAITING:
        known = {one.value: text for one, text in _WAITING.items()}
        return known.get(reason or "", "it resumes by itself")
    return _STATES[state]


_PARKED = {
    "too_many_crashes": "read the logs of the workers that died, fix the cause, then `didflow retry`",
    "unreadable_request": "start workers of the version that wrote it, then `didflow retry`",
    "unreadable_progress": "start workers of the version that wrote it, then `didflow retry`",
    "internal_error": "read the worker's log and report the error; then `didflow retry`",
}


def to_settle(view: JobView) -> str:
    """What would settle a parked job."""
    code = view.error.code if view.error else ""
    retry = f"`didflow retry {view.id}`"
    if code in _PARKED:
        return _PARKED[code].replace("`didflow retry`", retry)
    open_ones = [number.number for number in view.result.numbers if number.outcome is Outcome.UNCLEAR] if view.result else []
    if not open_ones:
        return f"{retry} checks again; `didflow explain {view.id}` shows every step"
    shown = " ".join(open_ones[:10]) + (f" and {len(open_ones) - 10} more" if len(open_ones) > 10 else "")
    word = "bought" if buys(view.kind) else "released"
    ends = f"`didflow resolve {view.id} --{word} NUMBER`, once for each that was, or `--not-{word}`"
    return f"{retry} checks again; otherwise find out which of these were {word}: {shown}; and then {ends}"
