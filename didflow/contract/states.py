"""The states of a job and the outcomes of a number. Public: others match on these words."""

from enum import StrEnum


class JobState(StrEnum):
    """Where a job is. `scheduled → queued → running → ` one of the terminal ones; from running also waiting and needs_review."""

    SCHEDULED = "scheduled"  #: its time has not come yet
    QUEUED = "queued"  #: due; a worker will take it
    RUNNING = "running"  #: a worker holds its lease
    WAITING = "waiting"  #: nothing can be done now (rate, funds, account, settling, outage); the reason says which; continues by itself
    NEEDS_REVIEW = "needs_review"  #: what happened can't be detected; a person must look. Not terminal, but reported as a result
    SUCCEEDED = "succeeded"  #: all that was asked
    PARTIAL = "partial"  #: some of what was asked, as the policy allows or as fate had it
    FAILED = "failed"  #: nothing of what was asked; the error says why
    CANCELLED = "cancelled"  #: cancelled before it took effect
    EXPIRED = "expired"  #: its deadline passed first

    @property
    def is_terminal(self) -> bool:
        """No further state follows."""
        return self in TERMINAL


TERMINAL = frozenset({JobState.SUCCEEDED, JobState.PARTIAL, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED})

#: States that end a producer's wait: the terminal ones, and the one that only a person ends.
REPORTED = TERMINAL | {JobState.NEEDS_REVIEW}


class WaitReason(StrEnum):
    """Why a job waits. Each ends without a person, but `account_paused`, `funds` and `frozen`, which name what to do, and, seldom,
    `reconciling`."""

    RATE_LIMITED = "rate_limited"  #: the provider said 429, or the rate limit is used up for now
    PROVIDER_DOWN = "provider_down"  #: unreachable, or failing reads
    ACCOUNT_PAUSED = "account_paused"  #: the provider refused the key or the account
    FUNDS = "funds"  #: the balance doesn't cover the purchase
    SPEND_LIMIT = "spend_limit"  #: a limit of the account or the reference is reached; time, or a checkout that is abandoned, frees it
    STOCK = "stock"  #: a standing order: too few numbers fit now; it checks again until its time is over
    SETTLING = "settling"  #: an answer was unclear; the job waits until the provider's lists must show it
    DEPENDS = "depends"  #: another job must end first
    GRACE = "grace"  #: a release counts down: its time hasn't come, and `cancel` still brings everything back
    DAILY_CAP = "daily_cap"  #: the account has given back as many numbers today as it may; the rest goes tomorrow (UTC)
    DOCUMENTS = "documents"  #: numbers wait for documents, or for the provider's review of them
    RECONCILING = "reconciling"  #: Redis restarted and may have lost its last writes; no money moves until that is looked into
    FROZEN = "frozen"  #: a person stopped purchases and releases (`didflow freeze`); it goes on once that is lifted
    NEWER_VERSION = "newer_version"  #: a newer version of didflow wrote it or ran it: one of its workers takes it
    RETRY = "retry"  #: an attempt failed; the next comes after a backoff


class Outcome(StrEnum):
    """What became of one number."""

    BOUGHT = "bought"
    BOUGHT_INACTIVE = "bought_inactive"  #: ours and paid, but can't receive calls before documents are approved
    REUSED = "reused"  #: was ours and waited in the pool: assigned, nothing was bought
    ACTIVATED = "activated"  #: its documents are approved: it takes calls
    ACCEPTED = "accepted"  #: the provider said yes to the change; not yet seen in its list
    CONFIRMED = "confirmed"  #: read back as asked
    UNCHANGED = "unchanged"  #: was already as asked
    SUPERSEDED = "superseded"  #: a newer request for this number goes first
    CHANGED_ELSEWHERE = "changed_elsewhere"  #: changed elsewhere meanwhile; not changed
    RELEASED = "released"
    ALREADY_RELEASED = "already_released"  #: that record was gone before we asked
    PROTECTED = "protected"  #: a guard forbids it
    IN_USE = "in_use"  #: calls came in while its release counted down: it stays, with the route it had
    REFUSED = "refused"  #: the provider said no
    NOT_FOUND = "not_found"  #: not a number of this account
    FAILED = "failed"
    UNCLEAR = "unclear"  #: can't be detected; see needs_review


#: Outcomes of a purchase's number that is ours.
OURS = frozenset({Outcome.BOUGHT, Outcome.BOUGHT_INACTIVE, Outcome.REUSED})


class Lane(StrEnum):
    """The queue a job goes through. A lane has its own threads, so a full lane doesn't hold up another."""

    EMERGENCY = "emergency"
    MONEY = "money"
    BULK = "bulk"
