"""When the numbers of open releases will be released: read from the releases' records."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from didflow.contract.departures import Departure, Departures, Standing
from didflow.contract.job_kinds import gives_back
from didflow.contract.jobs import JobView
from didflow.contract.release_timing import renews_ms
from didflow.contract.requests import Release
from didflow.contract.states import JobState, Outcome
from didflow.ledger.commands import Command, Commands, RedisCommand
from didflow.ledger.views import job_view, moment

#: States of jobs that may yet release something.
OPEN = tuple(state for state in JobState if not state.is_terminal)
#: Jobs that are checked with one pipeline.
TOGETHER = 500
_GONE = (Outcome.RELEASED, Outcome.ALREADY_RELEASED)
_LAST = datetime.max.replace(tzinfo=UTC)


def departures_of(commands: Commands, view: JobView) -> Command[Departures | None]:
    """The numbers of a release and when they go. None for another kind of job, a dry run, and one that has ended."""
    if not isinstance(view.request, Release) or view.request.dry_run or view.state.is_terminal:
        return None
    memo_text, saved = yield (
        RedisCommand("hget", (commands.keys.job(view.id), "memo")),
        RedisCommand("hvals", (commands.keys.numbers(view.id),)),
    )
    checkpoint = _object(memo_text)
    known = [one for text in saved if (one := _object(text)).get("number")]
    return departures(view, view.request, checkpoint, known)


def departures(view: JobView, request: Release, checkpoint: Mapping[str, Any], saved: list[Mapping[str, Any]]) -> Departures:
    """The same from what the release saved: its memo, and each number as JSON."""
    seen, called_off = bool(checkpoint.get("selected")), view.cancel_requested
    begins = _moment(checkpoint.get("from_ms")) or max(request.at or view.created_at, view.created_at)
    if seen:
        numbers = [_departure(one, request, begins, called_off=called_off) for one in saved]
    else:
        stay = Departure("", Standing.STAYS, None, "called off") if called_off else None
        goes_at = None if stay else _later(begins, request.grace)
        standing, why = (stay.standing, stay.why) if stay else (Standing.COUNTS_DOWN, None)
        numbers = [Departure(number, standing, goes_at, why) for number in request.numbers]
    numbers.sort(key=lambda one: (one.goes_at or _LAST, one.number))
    first = min((one.goes_at for one in numbers if one.goes_at), default=None)
    if first is None and not seen and not called_off:  # Record ids, or a selector: the numbers weren't read yet.
        first = _later(begins, request.grace)
    parked = view.state is JobState.NEEDS_REVIEW
    return Departures(
        job=view.id,
        reference=view.reference,
        account=view.account,
        state=view.state.value,
        reason=view.reason,
        goes_at=None if parked else first,
        no_sooner=request.before_renewal is not None and not seen,
        seen=seen,
        numbers=tuple(numbers),
    )


def open_releases(commands: Commands) -> Command[tuple[JobView, ...]]:
    """Every release that hasn't ended. Looks at the kind of each open job, some hundred with one pipeline."""
    lists = yield tuple(RedisCommand("zrange", (commands.keys.state(state), 0, -1)) for state in OPEN)
    ids = list(dict.fromkeys(job_id for found in lists for job_id in found))
    releases: list[str] = []
    for some in _pieces(ids):
        kinds = yield tuple(RedisCommand("hget", (commands.keys.job(job_id), "kind")) for job_id in some)
        releases += [job_id for job_id, kind in zip(some, kinds, strict=True) if kind is not None and gives_back(kind)]
    views: list[JobView] = []
    for job_id in releases:
        views += yield from _kept(commands, job_id)
    return tuple(views)


def _kept(commands: Commands, job_id: str) -> Command[list[JobView]]:
    fields = yield RedisCommand("hgetall", (commands.keys.job(job_id),))
    return [job_view(job_id, fields)] if fields else []


def upcoming(commands: Commands, within: timedelta, account: str | None) -> Command[tuple[Departures, ...]]:
    """The open releases with a number that goes within this time, or of which that isn't known; those that go first come first.

    A parked job is among them: it may yet continue.
    """
    seconds, _ = yield RedisCommand("time")
    end = _later(datetime.fromtimestamp(seconds, UTC), within)
    found: list[Departures] = []
    for view in (yield from open_releases(commands)):
        one = yield from departures_of(commands, view)
        if one is not None and account in (None, one.account) and (one.goes_at is None or one.goes_at <= end):
            found.append(one)
    return tuple(sorted(found, key=lambda one: (one.goes_at or _LAST, one.job)))


def _departure(saved: Mapping[str, Any], request: Release, begins: datetime, *, called_off: bool) -> Departure:
    number, outcome, error = str(saved["number"]), saved.get("outcome"), _object(saved.get("error"))
    why = error.get("message")
    if outcome is not None:
        gone = outcome in _GONE
        kept = Standing.PROTECTED if outcome == Outcome.PROTECTED else Standing.STAYS
        return Departure(number, Standing.GONE if gone else kept, None, None if gone else why or outcome)
    if saved.get("sent"):
        return Departure(number, Standing.GOING)
    if saved.get("stop") or called_off:
        return Departure(number, Standing.STAYS, None, why or "called off")
    if saved.get("lent"):
        return Departure(number, Standing.HANDED_OUT, None, f"lent to purchase {saved['lent']}")
    is_parked = _object(saved.get("park")).get("outcome") == Outcome.CONFIRMED
    return Departure(number, Standing.PARKED if is_parked else Standing.COUNTS_DOWN, _goes_at(saved, request, begins))


def _goes_at(saved: Mapping[str, Any], request: Release, begins: datetime) -> datetime:
    """As the release itself works it out."""
    due = _later(begins, request.grace)
    try:
        paid_until = datetime.fromisoformat(str(saved.get("paid_until")))
        renews = _moment(renews_ms(paid_until))
    except (ValueError, OverflowError):
        return due
    if request.before_renewal is None or renews is None:
        return due
    return max(due, renews - request.before_renewal)


def _later(begins: datetime, span: timedelta) -> datetime:
    try:
        return begins + span
    except OverflowError:
        return _LAST


def _moment(ms: object) -> datetime | None:
    return moment(str(ms)) if isinstance(ms, int) and ms > 0 else None


def _object(value: object) -> Mapping[str, Any]:
    """A JSON object, as text or as it is; empty for what is none."""
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _pieces(ids: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), TOGETHER):
        yield ids[start : start + TOGETHER]
