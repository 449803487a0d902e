"""Checks of a submit that need the ledger. They are commands, so that the sync and the async client share them."""

from datetime import UTC, datetime

from didflow.client.incident_keys import incident_of
from didflow.contract.errors import InvalidRequest, WrongJob
from didflow.contract.jobs import JobView
from didflow.contract.requests import Failback, FollowDocuments, Release, Reroute, SearchAndBuy, is_past
from didflow.ledger import script_calls
from didflow.ledger.commands import Command, Commands, RedisCommand
from didflow.ledger.script_calls import Submission


def check(commands: Commands, submission: Submission, job_id: str) -> Command[str | None]:
    """Raises WrongJob, JobNotFound or InvalidRequest if this can't be submitted, as the job with that id.

    Returns the incident that it belongs to, if the job names one.
    """
    match submission.request:
        case Failback() as request:
            undone = yield from commands.get(request.job_id)
            check_undone(undone, submission)
            if not request.dry_run and (
                first := (yield from commands.run(script_calls.undo(request.job_id, job_id, submission.idempotency_key)))
            ):
                raise WrongJob(_undone_already(request.job_id, first.job_id, first.idempotency_key))
            return None if request.dry_run else incident_of(undone)
        case FollowDocuments(job_id=str() as job_id):
            check_purchase((yield from commands.get(job_id)), submission)
        case FollowDocuments(deadline=datetime() as deadline) if is_past(deadline, datetime.now(UTC)):
            yield from _check_time(commands, submission, "deadline", deadline, "nothing could be followed")
        case Reroute(deadline=datetime() as deadline) if is_past(deadline, datetime.now(UTC)):
            yield from _check_time(commands, submission, "deadline", deadline, "nothing could be sent")
        case Release() if submission.not_before is not None:
            what = "a release has its own `at`: the records are selected at submit time"
            raise InvalidRequest(f"not_before: {what}", (("not_before", what),))
        case Release(at=datetime() as at) if is_past(at, datetime.now(UTC)):
            yield from _check_time(commands, submission, "at", at, "leave it out to release now")
        case SearchAndBuy(wait_until=datetime() as until) if is_past(until, datetime.now(UTC)):
            yield from _check_time(commands, submission, "wait_until", until, "nothing could be bought")
    return None


def check_undone(view: JobView, submission: Submission) -> None:
    """Raises WrongJob if this job can't be undone by that submission."""
    if view.kind != "reroute":
        raise WrongJob(f"job {view.id} is a {view.kind.replace('_', '-')}: a failback undoes a reroute; `didflow jobs` lists them")
    if view.request is not None and view.request.dry_run:
        raise WrongJob(f"job {view.id} was a dry run and moved nothing")
    if view.account != submission.account:
        raise WrongJob(f"job {view.id} belongs to account {view.account!r}: submit the failback with that account")


def check_purchase(view: JobView, submission: Submission) -> None:
    """Raises WrongJob if this job bought nothing whose documents could be followed for that account."""
    if view.kind != "search_and_buy":
        raise WrongJob(f"job {view.id} is a {view.kind.replace('_', '-')}: name a purchase, or the numbers")
    if view.account != submission.account:
        raise WrongJob(f"job {view.id} belongs to account {view.account!r}: follow its numbers with that account")


def _undone_already(undone: str, failback: str, key: str) -> str:
    same = f"repeat its key {key!r} to get that job" if key else f"`didflow status {failback}` shows it"
    return f"job {undone} is brought back by job {failback} already: {same}"


def _check_time(commands: Commands, submission: Submission, field: str, moment: datetime, so: str) -> Command[None]:
    """By Redis's clock, which is the one that counts. A submit that is repeated later still gets its job."""
    key = submission.idempotency_key
    if key is not None and (yield RedisCommand("hget", (commands.keys.idempotency, key))):
        return
    seconds, _ = yield RedisCommand("time")
    if is_past(moment, datetime.fromtimestamp(seconds, UTC)):
        what = f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC has passed: {so}"
        raise InvalidRequest(f"{field}: {what}", ((field, what),))
