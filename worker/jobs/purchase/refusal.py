"""What a job does after a checkout that was refused. What the checkout did is looked up first: the words of a refusal prove nothing."""

from didflow.contract.errors import JobError
from didflow.contract.provider import Answer, Barred, No, NotNow, Unclear, Yes
from didflow.contract.states import WaitReason
from didflow.delays import doubling_s
from worker.jobs.ports.endings import AttemptFailed, Wait
from worker.jobs.provider_answers import RATE_LIMITED_S
from worker.jobs.purchase.state import Checkout, PurchaseCheckpoint, Refusal

#: A person has to top up, so looking often is no use.
FUNDS_AGAIN_S = 60.0
#: Each further checkout that is refused for lack of funds doubles the pause up to this: each one leaves numbers reserved for a day.
FUNDS_AGAIN_MAX_S = 3600.0
#: The same for checkouts that are answered with 429 or 503.
LIMITED_AGAIN_MAX_S = 300.0
#: Numbers that another party bought first are replaced at once; after this many rounds in a row that bought nothing, after a backoff.
UNAVAILABLE_ROUNDS = 5


def what_is_known(answer: Answer[None]) -> tuple[Checkout, str]:
    """What the answer to a checkout says of it, and the words for the job's story."""
    match answer:
        case Yes():
            return Checkout.YES, ""
        case NotNow(answered=False, reason=reason):
            return Checkout.NOT_SENT, reason.value
        case NotNow(reason=reason):
            return Checkout.REFUSED, reason.value
        case No(code=code, message=message):
            return Checkout.REFUSED, f"{code}: {message}"
        case Barred(status=status, message=message):
            return Checkout.REFUSED, f"{status}: {message}"
        case Unclear(reason=reason):
            return Checkout.UNCLEAR, reason


def refusal_of(answer: Answer[None]) -> Refusal | None:
    """What is to be kept of the answer until the checkout is settled; None if it was no refusal."""
    match answer:
        case No(code="insufficient_funds" as code, message=message):
            return Refusal(about="funds", code=code, message=message)
        case No(code="some_unavailable" as code, message=message, numbers=numbers) if numbers:
            return Refusal(about="unavailable", code=code, message=message)
        case No(code=code, message=message):
            return Refusal(about="other", code=code, message=message)
        case Barred(status=status, message=message):
            return Refusal(about="other", code="forbidden", message=f"{status} {message}")
        case NotNow(reason=reason, retry_after_s=after_s):
            return Refusal(about="not_now", code=reason.value, message=reason.value, after_s=after_s)
        case Yes() | Unclear():
            return None


def is_put_off(refusal: Refusal | None) -> bool:
    """Whether such a checkout doesn't count towards the most that a job tries."""
    return refusal is not None and refusal.about in ("funds", "not_now")


def next_step(refusal: Refusal, checkpoint: PurchaseCheckpoint) -> Wait | AttemptFailed | None:
    """What the job does once the checkout is settled; None: it continues at once."""
    match refusal.about:
        case "funds":
            return Wait(WaitReason.FUNDS, doubling_s(FUNDS_AGAIN_S, FUNDS_AGAIN_MAX_S, checkpoint.refusals), refusal.message)
        case "not_now":
            reason = WaitReason.RATE_LIMITED if refusal.code == "rate_limited" else WaitReason.PROVIDER_DOWN
            pause_s = doubling_s(RATE_LIMITED_S, LIMITED_AGAIN_MAX_S, checkpoint.refusals)
            return Wait(reason, max(refusal.after_s or 0.0, pause_s), refusal.message)
        case "unavailable" if checkpoint.refusals < UNAVAILABLE_ROUNDS:
            return None
        case "other" if checkpoint.refusals == 0:  # It bought something all the same.
            return None
    message = f"the provider refused the checkout: {refusal.message}"
    return AttemptFailed(JobError(code=f"checkout_{refusal.code}", message=message, retryable=True))
