"""What every job makes of the answers that are neither yes nor no."""

from worker.contract.provider import Barred, NotNow, NotNowReason
from worker.contract.states import WaitReason
from worker.jobs.ports import AccountBarred, Wait

#: How long a job waits where the provider doesn't say.
RATE_LIMITED_S = 1.0
DOWN_S = 5.0


def waiting_for(answer: NotNow | Barred) -> Wait | AccountBarred:
    """The wait, or the pause of the account, that such an answer asks for. Nothing happened, so nothing is counted."""
    match answer:
        case Barred(status, message):
            return AccountBarred(status, message)
        case NotNow(NotNowReason.RATE_LIMITED, retry_after_s):
            return Wait(WaitReason.RATE_LIMITED, retry_after_s or RATE_LIMITED_S)
        case NotNow(reason, retry_after_s):
            return Wait(WaitReason.PROVIDER_DOWN, retry_after_s or DOWN_S, reason.value)
