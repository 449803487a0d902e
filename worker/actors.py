"""One Dramatiq actor for each kind of job, so that logs, metrics and middleware show what runs."""

from typing import Any

import dramatiq
from dramatiq.middleware import CurrentMessage

from didflow.contract.job_kinds import KINDS
from didflow.contract.states import Lane
from worker.broker.claimed_message import UNKNOWN_KIND, ClaimedMessage
from worker.broker.consumer import Jobs


def declare_actors(broker: dramatiq.Broker, jobs: Jobs) -> "dict[str, dramatiq.Actor[Any, Any]]":
    """The actors by kind. Each runs one attempt of the job that a consumer has claimed; its `send` takes a job's id and nudges it."""

    def run(job_id: str) -> None:
        message: object = CurrentMessage.get_current_message()
        if not isinstance(message, ClaimedMessage) or message.claimed.claim.job_id != job_id:
            raise RuntimeError("an actor runs what a worker has claimed: submit a job, or nudge one with `send(job_id)`")
        message.begun = True
        jobs.attempt(message.claimed)

    lanes = {name: kind.lane for name, kind in KINDS.items()} | {UNKNOWN_KIND: Lane.BULK}
    return {name: dramatiq.actor(broker=broker, actor_name=name, queue_name=lane.value)(run) for name, lane in lanes.items()}
