"""How an attempt ends, or is interrupted: what a job's code raises, and what it returns."""

from dataclasses import dataclass

from didflow.contract.errors import JobError
from didflow.contract.results import Result
from didflow.contract.spending import LimitReached
from didflow.contract.states import JobState, WaitReason


class LostLease(Exception):
    """A newer attempt has taken over. Stop at once and write nothing."""


class NumbersTaken(Exception):
    """Another job has reserved these numbers; nothing was written."""

    def __init__(self, numbers: tuple[str, ...]) -> None:
        super().__init__(", ".join(numbers))
        self.numbers = numbers


class WantedElsewhere(Exception):
    """Another job has requested routes of these numbers, which this one was about to be done with; nothing was written."""

    def __init__(self, numbers: tuple[str, ...]) -> None:
        super().__init__(", ".join(numbers))
        self.numbers = numbers


class SpendLimitReached(Exception):
    """A limit leaves too little for what was to be held; nothing was written."""

    def __init__(self, reached: LimitReached) -> None:
        super().__init__(str(reached.limit))
        self.reached = reached


class HandBack(Exception):
    """This process is stopping; another one continues from what is written."""


class CancelRequested(Exception):
    """The job was cancelled."""


class Wait(Exception):
    """Nothing can be done now: continue after `after_s`. Doesn't count as an attempt."""

    def __init__(self, reason: WaitReason, after_s: float, message: str = "") -> None:
        super().__init__(message or reason.value)
        self.reason = reason
        self.after_s = after_s
        self.message = message


class AttemptFailed(Exception):
    """This attempt failed, and no outage is the cause: try again after a backoff, and count it.

    If it was the last one allowed, the job ends with `so_far`, or is parked where what was asked is `in_doubt`.
    """

    def __init__(self, error: JobError, so_far: Result | None = None, *, in_doubt: bool = False) -> None:
        super().__init__(error.message)
        self.error = error
        self.so_far = so_far
        self.in_doubt = in_doubt


class AccountBarred(Exception):
    """The provider refuses the key or the account: the account pauses, its jobs wait."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class NeedsReview(Exception):
    """What happened can't be detected within the settle limit. `result` is what is known so far."""

    def __init__(self, error: JobError, result: Result) -> None:
        super().__init__(error.message)
        self.error = error
        self.result = result


class Refused(Exception):
    """The job can't be done as asked; it ends as failed with this error."""

    def __init__(self, error: JobError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(frozen=True)
class Ended:
    """The end of a job: a terminal state and what it came to."""

    state: JobState
    result: Result
