"""The jobs of an incident in all accounts, cancelling them, and their failbacks: the commands that both forms of `Incidents` share."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches

from didflow.client.incident_keys import away_key, back_key, incident_in, rest_key, sweep_key
from didflow.client.submission import submit_one
from didflow.contract.errors import IncidentNotFound, JobNotFound
from didflow.contract.incidents import FailedBack, Incident, IncidentJob, IncidentState, Part
from didflow.contract.jobs import JobView
from didflow.contract.progress import Tally
from didflow.contract.requests import Failback, Reroute
from didflow.contract.states import REPORTED, JobState, Outcome
from didflow.ledger import script_calls
from didflow.ledger.commands import Command, Commands, RedisCommand
from didflow.ledger.incidents import TOGETHER, jobs_of, list_older, names, undone_by
from didflow.ledger.progress import tally
from didflow.ledger.script_calls import Submission

#: Another party has them now, or no one; or a guard allowed no more.
_LEFT_ALONE = (Outcome.SUPERSEDED, Outcome.CHANGED_ELSEWHERE, Outcome.NOT_FOUND, Outcome.PROTECTED)
_FAILED = (Outcome.REFUSED, Outcome.FAILED, Outcome.UNCLEAR)
#: Errors of numbers that were never sent, because their job stopped before.
_NOT_SENT = frozenset({"cancelled", "deadline_passed", "canary_failed"})
#: A job with these outcomes only has nothing to bring back.
_UNTOUCHED = (Outcome.UNCHANGED, Outcome.SUPERSEDED, Outcome.NOT_FOUND, Outcome.REFUSED, Outcome.PROTECTED)


@dataclass(frozen=True)
class WayBack:
    """What a failback of an incident does about one of its jobs.

    numbers   that the job has moved until now
    failback  the job that brings them back; None: it isn't submitted yet, or there is nothing to bring back
    is_new    whether this call submitted it, or would
    calls_off the job hasn't ended and is cancelled first
    """

    job: str
    account: str
    numbers: int
    failback: str | None
    is_new: bool
    calls_off: bool
    after: str | None = None


def all_incidents(commands: Commands, limit: int) -> Command[tuple[Incident, ...]]:
    """The newest incidents, newest first."""
    yield from list_older(commands, incident_in)
    found = []
    for name in (yield from names(commands, limit)):
        if jobs := (yield from _jobs(commands, name)):
            found.append((yield from _whole(commands, name, jobs)))
    return tuple(found)


def incident_named(commands: Commands, name: str) -> Command[Incident]:
    """Raises IncidentNotFound, which names similar ones."""
    return (yield from _whole(commands, name, (yield from _known(commands, name))))


def cancel_incident(commands: Commands, name: str) -> Command[Incident]:
    """Cancel all of its jobs that haven't ended. Raises IncidentNotFound."""
    for view, _ in (yield from _known(commands, name)):
        if not view.state.is_terminal:
            yield from commands.run(script_calls.cancel(view.id, commands.actor))
    return (yield from incident_named(commands, name))


def fail_back(commands: Commands, name: str, *, dry_run: bool) -> Command[tuple[WayBack, ...]]:
    """Bring back what its jobs have moved, or say what would be done. Raises IncidentNotFound."""
    ways = []
    for view, part in (yield from _known(commands, name)):
        if part == "failback":
            continue
        goes_on = view.state not in REPORTED
        if goes_on and not dry_run:
            yield from commands.run(script_calls.cancel(view.id, commands.actor))
            view = yield from commands.get(view.id)
        counts = yield from tally(commands.keys, view.id)
        if view.state.is_terminal and counts.selected <= counts.count(*_UNTOUCHED):
            continue  # It moved nothing.
        ways.append((yield from _way_back(commands, name, view, counts, calls_off=goes_on, dry_run=dry_run)))
    return tuple(ways)


def _way_back(commands: Commands, name: str, view: JobView, counts: Tally, *, calls_off: bool, dry_run: bool) -> Command[WayBack]:
    known = (yield from undone_by(commands, (view.id,))).get(view.id)
    key, after = back_key(view), None
    if known is not None and (before := (yield from _kept(commands, known))) is not None:
        back = yield from _counted(commands, before, "failback", datetime.now(UTC))
        if not before.state.is_terminal or back.is_done_with:
            return WayBack(view.id, view.account, counts.accepted, known, False, calls_off)
        key, after = rest_key(known), known
    if dry_run:
        return WayBack(view.id, view.account, counts.accepted, None, True, calls_off, after)
    submission = Submission(Failback(job_id=view.id), key, name, view.account, incident=name)
    job = yield from submit_one(commands, submission)
    return WayBack(view.id, view.account, counts.accepted, job.id, job.is_new, calls_off, after)


def _known(commands: Commands, name: str) -> Command[list[tuple[JobView, Part]]]:
    """The incident's jobs, oldest first. Raises IncidentNotFound."""
    if not (jobs := (yield from _jobs(commands, name))):
        yield from list_older(commands, incident_in)
        jobs = yield from _jobs(commands, name)
    if not jobs:
        others = yield from names(commands, TOGETHER)
        raise IncidentNotFound(name, tuple(get_close_matches(name, others, n=3)))
    return jobs


def _jobs(commands: Commands, name: str) -> Command[list[tuple[JobView, Part]]]:
    ids = yield from jobs_of(commands, name)
    if not ids:  # A producer that doesn't list them may have submitted it.
        found = yield tuple(RedisCommand("hget", (commands.keys.idempotency, key)) for key in (away_key(name), sweep_key(name)))
        ids = tuple(job_id for job_id in found if job_id)
    backs = yield from undone_by(commands, ids)
    views = []
    for job_id in dict.fromkeys((*ids, *backs.values())):
        if (view := (yield from _kept(commands, job_id))) is not None and (part := _part(view)) is not None:
            views.append((view, part))
    return sorted(views, key=lambda one: (one[0].created_at, one[0].id))


def _kept(commands: Commands, job_id: str) -> Command[JobView | None]:
    try:
        return (yield from commands.get(job_id))
    except JobNotFound:
        return None


def _part(view: JobView) -> Part | None:
    match view.request:
        case Reroute(dry_run=False, after=after):
            return "move" if after is None else "sweep"
        case Failback(dry_run=False):
            return "failback"
    return None


def _whole(commands: Commands, name: str, jobs: Sequence[tuple[JobView, Part]]) -> Command[Incident]:
    seconds, _ = yield RedisCommand("time")
    now = datetime.fromtimestamp(seconds, UTC)
    counted = []
    for view, part in jobs:
        counted.append((yield from _counted(commands, view, part, now)))
    return whole(name, counted)


def _counted(commands: Commands, view: JobView, part: Part, now: datetime) -> Command[IncidentJob]:
    return counted(view, part, (yield from tally(commands.keys, view.id)), now)


def counted(view: JobView, part: Part, counts: Tally, now: datetime) -> IncidentJob:
    """A job in numbers. Of one that has ended with each number in its result, the result says it."""
    outcomes = Counter[Outcome | None]({None: counts.to_send})
    outcomes.update(counts.outcomes)
    if view.result is not None and view.result.numbers:
        outcomes = Counter[Outcome | None](
            None if number.outcome is Outcome.FAILED and number.error and number.error.code in _NOT_SENT else number.outcome
            for number in view.result.numbers
        )

    def count(*which: Outcome | None) -> int:
        return sum(outcomes.get(outcome, 0) for outcome in which)

    took_s = max(1.0, (now - view.started_at).total_seconds()) if view.started_at else 0.0
    goes_on = view.state not in REPORTED
    return IncidentJob(
        id=view.id,
        part=part,
        undoes=view.request.job_id if isinstance(view.request, Failback) else None,
        account=view.account,
        state=view.state,
        reason=view.reason,
        actor=view.actor,
        submitted=view.created_at,
        numbers=sum(outcomes.values()),
        moved=count(Outcome.CONFIRMED, Outcome.ACCEPTED),
        unchanged=count(Outcome.UNCHANGED),
        left_alone=count(*_LEFT_ALONE),
        failed=count(*_FAILED),
        left=count(None),
        batches=counts.batches,
        batches_running=counts.batches_running,
        rate_per_s=round(counts.decided / took_s, 2) if goes_on and took_s else 0.0,
        called_off=view.cancel_requested,
        error=view.error.code if view.error else None,
    )


def whole(name: str, jobs: Sequence[IncidentJob]) -> Incident:
    """The incident of these jobs, of which there is at least one."""
    moves, backs = [job for job in jobs if job.part != "failback"], [job for job in jobs if job.part == "failback"]
    moved = sum(job.moved for job in moves)
    failed, numbers = sum(job.failed + job.left_alone for job in moves), sum(job.numbers for job in moves)
    going = [job for job in jobs if job.goes_on]
    left, rate = sum(job.left for job in going), sum(job.rate_per_s for job in going)
    return Incident(
        name=name,
        began=min(job.submitted for job in jobs),
        state=_state(moves, backs, moved, not_moved=failed + sum(job.left for job in moves)),
        failed_back=_failed_back(moves, backs),
        numbers=numbers,
        moved=moved,
        failed=failed,
        left=left,
        back=sum(max((back.moved + back.unchanged for back in backs if back.undoes == job.id), default=0) for job in moves),
        rate_per_s=round(rate, 2),
        left_s=round(left / rate, 1) if left and rate else None,
        jobs=tuple(jobs),
    )


def _state(moves: Sequence[IncidentJob], backs: Sequence[IncidentJob], moved: int, *, not_moved: int) -> IncidentState:
    if any(job.goes_on for job in backs):
        return IncidentState.BRINGING_BACK
    if any(job.goes_on for job in moves):
        return IncidentState.MOVING
    if any(job.state is JobState.NEEDS_REVIEW for job in (*moves, *backs)):
        return IncidentState.NEEDS_REVIEW
    if not moved:
        return IncidentState.MOVED if not not_moved and any(job.unchanged for job in moves) else IncidentState.NOTHING_MOVED
    return IncidentState.PARTLY_MOVED if not_moved else IncidentState.MOVED


def _failed_back(moves: Sequence[IncidentJob], backs: Sequence[IncidentJob]) -> FailedBack:
    if not backs:
        return "no"
    if any(job.goes_on for job in backs):
        return "running"
    newest = {job.undoes: job for job in backs}
    touched = [job for job in moves if job.moved]
    if touched and all(job.id in newest and newest[job.id].is_done_with for job in touched):
        return "yes"
    return "partly" if any(job.moved or job.unchanged for job in backs) else "no"
