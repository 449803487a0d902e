"""What a consumer hands to the threads that run jobs: a Dramatiq message that names a job, and in its proxy the claim on that job.

The claim is made before, when messages are taken off the queue: by `JobRunner.take` and the script `jobs/take.lua`.
"""

from typing import Any, Protocol

import dramatiq

from didflow.contract.job_kinds import KINDS
from didflow.contract.states import Lane
from didflow.ledger.ledger import Claim

#: The actor of jobs whose kind this version doesn't know. They are parked, and not left to their lease.
UNKNOWN_KIND = "unknown_kind"


class Claimed(Protocol):
    """A job that was taken."""

    @property
    def claim(self) -> Claim: ...


class ClaimedMessage(dramatiq.MessageProxy):
    """The message holds the job's id alone and can be encoded; the claim never leaves this process. `begun`: its actor has run."""

    def __init__(self, claimed: Any, lane: Lane) -> None:
        claim: Claim = claimed.claim
        message: dramatiq.Message[None] = dramatiq.Message(
            queue_name=lane.value,
            actor_name=actor_name(claim.fields.get("kind", "")),
            args=(claim.job_id,),
            kwargs={},
            options={},
            message_id=f"{claim.job_id}:{claim.token}",
        )
        super().__init__(message)
        self.claimed = claimed
        self.begun = False


def actor_name(kind: str) -> str:
    """The actor of the jobs of a kind has the kind's name."""
    return kind if kind in KINDS else UNKNOWN_KIND
