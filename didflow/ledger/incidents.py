"""Which jobs belong to which incident. Submits list them; older jobs are found by their keys, once."""

from collections.abc import Callable

from didflow.ledger.commands import Command, Commands, RedisCommand
from didflow.ledger.script_calls import Call

#: Keys that are checked with one command, and names that are listed at most to find similar ones.
TOGETHER = 1000


def names(commands: Commands, limit: int) -> Command[tuple[str, ...]]:
    """The newest incidents, newest first."""
    found: list[str] = yield RedisCommand("zrevrange", (commands.keys.incidents, 0, limit - 1))
    return tuple(found)


def jobs_of(commands: Commands, name: str) -> Command[tuple[str, ...]]:
    """The ids of an incident's jobs, oldest first; none for an incident that isn't known."""
    found: list[str] = yield RedisCommand("zrange", (commands.keys.incident(name), 0, -1))
    return tuple(found)


def undone_by(commands: Commands, job_ids: tuple[str, ...]) -> Command[dict[str, str]]:
    """The failback that has each of these reroutes now; none for those that nothing brings back."""
    failbacks = (yield tuple(RedisCommand("hget", (commands.keys.job(job_id), "undone_by")) for job_id in job_ids)) if job_ids else []
    return {job_id: failback for job_id, failback in zip(job_ids, failbacks, strict=True) if failback}


def list_older(commands: Commands, incident_in: Callable[[str], str | None]) -> Command[None]:
    """List the jobs that were submitted before incidents were listed, by their idempotency keys. Does it once for a namespace."""
    if (yield RedisCommand("get", (commands.keys.incidents_listed,))):
        return
    cursor = 0
    while True:
        cursor, some = yield RedisCommand("hscan", (commands.keys.idempotency,), {"cursor": cursor, "match": "fail*", "count": TOGETHER})
        pairs = [text for key, job_id in some.items() if (name := incident_in(key)) for text in (name, job_id)]
        if pairs:
            yield from commands.run(Call("incident_list", tuple(pairs), int))
        if int(cursor) == 0:
            break
    yield RedisCommand("set", (commands.keys.incidents_listed, "1"))
