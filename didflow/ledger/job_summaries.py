"""The newest jobs in a few words each, for a shell that completes a job's id: fast, however large their results are."""

from dataclasses import dataclass

from didflow.contract.states import JobState
from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.keys import Keys

#: The most jobs of each state that are searched, and the most that are described.
LOOKED_THROUGH = 1000
DESCRIBED = 50


@dataclass(frozen=True)
class Brief:
    """A job without its request and its result."""

    id: str
    kind: str
    state: str
    reference: str | None
    idempotency_key: str | None


def newest(keys: Keys, prefix: str = "") -> Command[tuple[Brief, ...]]:
    """The newest jobs whose ids begin with `prefix`, newest first."""
    lists = yield tuple(RedisCommand("zrevrange", (keys.state(state), 0, LOOKED_THROUGH - 1)) for state in JobState)
    # An id begins with the time of its birth.
    ids = sorted((job_id for found in lists for job_id in found if job_id.startswith(prefix)), reverse=True)[:DESCRIBED]
    fields = ["kind", "state", "reference", "key"]
    rows = (yield tuple(RedisCommand("hmget", (keys.job(job_id), fields)) for job_id in ids)) if ids else ()
    # A reply may also be a refusal, where the key has another type.
    return tuple(_brief(job_id, *row) for job_id, row in zip(ids, rows, strict=True) if isinstance(row, list))


def _brief(job_id: str, kind: str | None, state: str | None, reference: str | None, key: str | None) -> Brief:
    return Brief(job_id, kind or "", state or "", reference or None, key or None)
