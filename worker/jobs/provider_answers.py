"""What every job makes of the answers that are neither yes nor no."""

from didflow.contract.errors import JobError
from didflow.contract.provider import Barred, NotNow, NotNowReason
from didflow.contract.states import WaitReason
from worker.jobs.ports.endings import AccountBarred, AttemptFailed, Wait

#: How long a job waits where the provider doesn't say.
RATE_LIMITED_S = 1.0
DOWN_S = 5.0


def waiting_for(answer: NotNow | Barred) -> Wait | AccountBarred | AttemptFailed:
    """What such an answer asks for: a wait or a pause of the account, which aren't counted; or a failed attempt, where the key may not do
    what this job needs and others don't."""
    match answer:
        case Barred(status, message, right) if right:
            why = f"the key may not {right} (the provider said {status} {message}): give it that right, or use another account"
            return AttemptFailed(JobError(code="not_permitted", message=why, retryable=True))
        case Barred(status, message):
            return AccountBarred(status, message)
        case NotNow(NotNowReason.RATE_LIMITED, retry_after_s):
            return Wait(WaitReason.RATE_LIMITED, retry_after_s or RATE_LIMITED_S)
        case NotNow(reason, retry_after_s, words=words):
            return Wait(WaitReason.PROVIDER_DOWN, retry_after_s or DOWN_S, words or reason.value)
