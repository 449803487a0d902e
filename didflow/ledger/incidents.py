"""Which jobs belong to which incident. Submits list them; those of before incidents were listed are found by their keys, once."""

from collections.abc import Callable

from didflow.ledger.commands import Ask, Plan, Plans
from didflow.ledger.script_calls import Call

#: Keys that are looked at with one command, and names that are listed at most to find similar ones.
TOGETHER = 1000


def names(plans: Plans, limit: int) -> Plan[tuple[str, ...]]:
    """The newest incidents, newest first."""
    found: list[str] = yield Ask("zrevrange", (plans.keys.incidents, 0, limit - 1))
    return tuple(found)


def jobs_of(plans: Plans, name: str) -> Plan[tuple[str, ...]]:
    """The ids of an incident's jobs, oldest first; none for an incident that isn't known."""
    found: list[str] = yield Ask("zrange", (plans.keys.incident(name), 0, -1))
    return tuple(found)


def undone_by(plans: Plans, job_ids: tuple[str, ...]) -> Plan[dict[str, str]]:
    """The failback that has each of these reroutes now; none for those that nothing brings back."""
    texts = (yield tuple(Ask("hget", (plans.keys.job(job_id), "undone_by")) for job_id in job_ids)) if job_ids else []
    found = {job_id: (text or "").split("|", 2) for job_id, text in zip(job_ids, texts, strict=True)}
    return {job_id: parts[1] for job_id, parts in found.items() if len(parts) == 3}


def list_older(plans: Plans, incident_in: Callable[[str], str | None]) -> Plan[None]:
    """List the jobs that were submitted before incidents were listed, by their idempotency keys. Does it once for a namespace."""
    if (yield Ask("get", (plans.keys.incidents_listed,))):
        return
    cursor = 0
    while True:
        cursor, some = yield Ask("hscan", (plans.keys.idempotency,), {"cursor": cursor, "match": "fail*", "count": TOGETHER})
        pairs = [text for key, job_id in some.items() if (name := incident_in(key)) for text in (name, job_id)]
        if pairs:
            yield from plans.run(Call("incident_list", tuple(pairs), int))
        if int(cursor) == 0:
            break
    yield Ask("set", (plans.keys.incidents_listed, "1"))
