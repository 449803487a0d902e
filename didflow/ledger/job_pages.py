"""Jobs page by page, newest first. A page begins behind the last job of the one before, so new jobs don't move it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from didflow.contract.states import JobState, Lane
from didflow.ledger.commands import Command, Commands, RedisCommand
from didflow.ledger.script_calls import Call
from didflow.ledger.views import moment, whole

#: Jobs that are read for one page at most: a filter may leave few of them.
READ_AT_MOST = 2_000
#: Jobs that are read with one pipeline.
READ_TOGETHER = 200
_FIELDS = (
    *("kind", "state", "reason", "account", "reference", "key", "lane", "priority", "attempt", "progress"),
    *("created_ms", "started_ms", "finished_ms", "due_ms", "actor", "decided_by", "incident"),
)


@dataclass(frozen=True)
class JobLine:
    """A job in a list: without its request and its result, which may be large."""

    id: str
    kind: str
    state: JobState
    reason: str | None
    account: str
    reference: str | None
    idempotency_key: str | None
    lane: Lane
    priority: int
    attempt: int
    progress: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    due_at: datetime | None
    actor: str | None
    decided_by: str | None
    incident: str | None


@dataclass(frozen=True, order=True)
class Place:
    """Where a list has come: the moment of a job's submit, ms, and its id."""

    submitted_ms: int
    job_id: str


#: Before all jobs, since a list goes from the newest to the oldest.
BEGINNING = Place(2**53 - 1, "")


@dataclass(frozen=True)
class JobPage:
    """`rest`: where the next page begins; None: there is none. A page may have fewer jobs than were asked for, and a rest."""

    jobs: tuple[JobLine, ...]
    rest: Place | None


def jobs_page(
    commands: Commands,
    *,
    wanted: Callable[[JobLine], bool],
    state: JobState | None = None,
    reference: str | None = None,
    after: Place = BEGINNING,
    limit: int = 100,
    read_at_most: int = READ_AT_MOST,
) -> Command[JobPage]:
    """The newest jobs behind that place that are `wanted`, of a reference or of a state, if they are given.

    `read_at_most`: after this many jobs were read, the page ends with what was found.
    """
    keys = (
        (commands.keys.reference(reference),)
        if reference is not None
        else tuple(commands.keys.state(one) for one in ((state,) if state else JobState))
    )
    found: list[JobLine] = []
    read = 0
    while read < read_at_most:
        places = yield from _places(keys, after, READ_TOGETHER)
        read += len(places)
        lines = yield from _lines(commands, places)
        for place in places:
            after = place
            line = lines.get(place.job_id)
            if line is not None and state in (None, line.state) and wanted(line):
                found.append(line)
            if len(found) == limit:
                return JobPage(tuple(found), after)
        if len(places) < READ_TOGETHER:
            return JobPage(tuple(found), None)
    return JobPage(tuple(found), after)


def job_lines(commands: Commands, job_ids: Sequence[str]) -> Command[tuple[JobLine, ...]]:
    """These jobs, in that order; without those that aren't kept."""
    lines = yield from _lines(commands, [Place(0, job_id) for job_id in job_ids])
    return tuple(lines[job_id] for job_id in job_ids if job_id in lines)


def dry_runs(commands: Commands, *lists: Sequence[JobLine]) -> Command[frozenset[str]]:
    """The ids of those that are dry runs. For the jobs of one page."""
    ids = tuple(dict.fromkeys(line.id for lines in lists for line in lines))
    return (yield from commands.run(Call("dry_runs", ids, frozenset[str]))) if ids else frozenset()


def _places(keys: tuple[str, ...], after: Place, count: int) -> Command[list[Place]]:
    """The next places of these lists together."""
    found: set[Place] = set()
    for key in keys:
        found |= set((yield from _in_one(key, after, count)))
    return sorted(found, reverse=True)[:count]


def _in_one(key: str, after: Place, count: int) -> Command[list[Place]]:
    found: list[Place] = []
    start = 0
    while len(found) < count:
        options = {"start": start, "num": count, "withscores": True}
        rows = yield RedisCommand("zrevrangebyscore", (key, after.submitted_ms, "-inf"), options)
        # Jobs of the same millisecond stand in the order of their ids.
        found += [place for job_id, score in rows if (place := Place(int(float(score)), job_id)) < after]
        if len(rows) < count:
            break
        start += count
    return found


def _lines(commands: Commands, places: list[Place]) -> Command[dict[str, JobLine]]:
    rows = (yield tuple(RedisCommand("hmget", (commands.keys.job(place.job_id), *_FIELDS)) for place in places)) if places else ()
    # A reply may also be a refusal, where the key has another type.
    found = ((place.job_id, dict(zip(_FIELDS, row, strict=True))) for place, row in zip(places, rows, strict=True) if isinstance(row, list))
    return {job_id: line for job_id, fields in found if (line := _line(job_id, fields)) is not None}


def _line(job_id: str, fields: dict[str, str | None]) -> JobLine | None:
    state = next((state for state in JobState if state == fields["state"]), None)
    if state is None:
        return None
    return JobLine(
        id=job_id,
        kind=fields["kind"] or "",
        state=state,
        reason=fields["reason"] or None,
        account=fields["account"] or "",
        reference=fields["reference"] or None,
        idempotency_key=fields["key"] or None,
        lane=next((lane for lane in Lane if lane == fields["lane"]), Lane.BULK),
        priority=whole(fields["priority"], 5),
        attempt=whole(fields["attempt"]),
        progress=fields["progress"] or None,
        created_at=moment(fields["created_ms"]) or datetime.fromtimestamp(0, UTC),
        started_at=moment(fields["started_ms"]),
        finished_at=moment(fields["finished_ms"]),
        due_at=moment(fields["due_ms"]),
        actor=fields["actor"] or None,
        decided_by=fields["decided_by"] or None,
        incident=fields["incident"] or None,
    )
