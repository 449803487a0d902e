"""Findings about parked jobs that a second person is to confirm. A finding holds until the job looks again."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from didflow.ledger.commands import Command, Commands, RedisCommand
from didflow.ledger.keys import Keys
from didflow.ledger.records import read_record
from didflow.ledger.replies import ResolveReply
from didflow.ledger.script_calls import keep_finding

#: How long a finding waits for a second person.
VALID_MS = 24 * 3_600_000


class AwaitedFinding(BaseModel):
    """What a person found, of the job with this token: the open numbers that took effect (E.164, sorted), and why."""

    model_config = ConfigDict(frozen=True)

    actor: str
    token: int
    took_effect: tuple[str, ...]
    reason: str = ""
    at_ms: Annotated[int, Field(ge=0)]


def await_second(commands: Commands, job_id: str, found: AwaitedFinding, detail: str) -> Command[ResolveReply]:
    """Keep the finding, in place of an earlier one. Raises JobNotFound."""
    return (yield from commands.run(keep_finding(job_id, found.token, found.model_dump_json(), VALID_MS, found.actor, detail)))


def awaited_finding(keys: Keys, job_id: str) -> Command[AwaitedFinding | None]:
    """The finding that waits; None: there is none, or it can't be read."""
    text = yield RedisCommand("get", (keys.awaited_finding(job_id),))
    return read_record(AwaitedFinding, text) if isinstance(text, str) else None
