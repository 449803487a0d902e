"""What a submit checks that the request alone can't tell."""

from worker.contract.errors import WrongJob
from worker.contract.jobs import JobView
from worker.contract.requests import Failback
from worker.ledger.calls import Submission


def undone_job(submission: Submission) -> str | None:
    """The job that a failback undoes, to be looked up first; None for other requests."""
    return submission.request.job_id if isinstance(submission.request, Failback) else None


def check_undone(view: JobView, submission: Submission) -> None:
    """Raises WrongJob if this job can't be undone by that submission."""
    if view.kind != "reroute":
        raise WrongJob(f"job {view.id} is a {view.kind.replace('_', '-')}: a failback undoes a reroute; `didflow jobs` lists them")
    if view.request is not None and view.request.dry_run:
        raise WrongJob(f"job {view.id} was a dry run and moved nothing")
    if view.account != submission.account:
        raise WrongJob(f"job {view.id} belongs to account {view.account!r}: submit the failback with that account")
