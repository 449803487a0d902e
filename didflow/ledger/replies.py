"""The scripts' replies, as types: each script's reply is parsed in one place, and a new value fails the type check."""

from dataclasses import dataclass
from enum import StrEnum

from didflow.contract.freezes import Freeze
from didflow.contract.spending import LimitReached
from didflow.contract.states import JobState


@dataclass(frozen=True)
class ClaimRefused:
    """A job that wasn't claimed. `why`: its state, the reason that it waits for, or ``gone``, ``early``, ``alone``, ``newer_version``."""

    job_id: str
    why: str


@dataclass(frozen=True)
class Saved:
    """All of the write took effect."""


@dataclass(frozen=True)
class LeaseLost:
    """A newer attempt has the job. Nothing was written."""


@dataclass(frozen=True)
class GateClosed:
    """No money may move yet: the ledger may have lost its last writes. Nothing was written."""


@dataclass(frozen=True)
class Frozen:
    """A freeze stops purchases and releases of the account. Nothing was written."""

    freeze: Freeze


@dataclass(frozen=True)
class JobCancelled:
    """The job was cancelled, and the write was for a job that isn't. Nothing was written."""


@dataclass(frozen=True)
class NumbersReserved:
    """Other jobs have reserved these numbers. Nothing was written."""

    numbers: tuple[str, ...]


@dataclass(frozen=True)
class RoutesWanted:
    """Other jobs have requested routes of these numbers. Nothing was written."""

    numbers: tuple[str, ...]


#: What came of a write. A spend limit that was reached means that nothing was written.
SaveReply = Saved | LeaseLost | GateClosed | Frozen | JobCancelled | NumbersReserved | RoutesWanted | LimitReached


class Applied(StrEnum):
    """How far a large write is applied."""

    MORE = "more"  #: parts are left
    DONE = "done"
    LOST = "lost"  #: a newer attempt has the job


class LeaseState(StrEnum):
    """What a heartbeat learns of a lease."""

    HELD = "ok"
    LOST = "lost"  #: a newer attempt has the job
    CANCELLED = "cancel"  #: held, and the job was cancelled


class BatchesSubmitted(StrEnum):
    """What came of submitting a job's batches."""

    SUBMITTED = "ok"
    LOST = "lost"  #: a newer attempt has the job
    CANCELLED = "cancelled"  #: the job was cancelled; no batch began


class Vouched(StrEnum):
    """What came of a process's word that the server lost none of its writes."""

    OPENED = "opened"  #: it was the last word needed: the gate is open now
    OPEN = "open"  #: the gate was open already
    WAITING = "waiting"  #: for the word of other processes
    LOST = "lost"  #: the server misses something
    LATE = "late"  #: no help: the process began after the restart


@dataclass(frozen=True)
class ReleaseQuota:
    """The records that may be released today (UTC), and in how many ms the next day begins."""

    may_go: frozenset[int]
    next_day_ms: int


@dataclass(frozen=True)
class Unchanged:
    """The job is in a state in which this isn't possible. Nothing was written. `state` is None if the record is damaged."""

    state: JobState | None

    def __str__(self) -> str:
        """The state, for a message."""
        return self.state.value if self.state else "unreadable"


@dataclass(frozen=True)
class Cancelled:
    """The job has ended as cancelled."""


@dataclass(frozen=True)
class CancelRequested:
    """A worker ends the job at its next safe point."""


@dataclass(frozen=True)
class Requeued:
    """The parked job resumes from its last checkpoint."""


@dataclass(frozen=True)
class Resolved:
    """The parked job has ended with the finding."""


@dataclass(frozen=True)
class ParkedAgain:
    """The job was retried and parked again after the person read it: the finding is outdated. Nothing was written."""


@dataclass(frozen=True)
class NumberGiven:
    """The purchase keeps the number."""


@dataclass(frozen=True)
class DecidedBefore:
    """A person decided otherwise first. `job_id`: the purchase that has the number or will have it; '': it was accepted as no job's."""

    job_id: str


@dataclass(frozen=True)
class KeepsAll:
    """The purchase keeps as many numbers as were ordered."""

    kept: int


@dataclass(frozen=True)
class ReservedFor:
    """Another job has reserved the number ('': one whose reservation can't be read)."""

    job_id: str


CancelReply = Cancelled | CancelRequested | Unchanged
RetryReply = Requeued | Unchanged
ResolveReply = Resolved | ParkedAgain | Unchanged
GiveReply = NumberGiven | DecidedBefore | KeepsAll | ReservedFor | Unchanged


class PutBack(StrEnum):
    """What came of returning a dead letter to its consumer group. Unless it is done, the letter stays."""

    DONE = "ok"
    GONE = "gone"  #: there is no such letter
    NO_GROUP = "no_group"
    TRIMMED = "trimmed"  #: its stream doesn't have it any more
