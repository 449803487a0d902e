"""A person's finding ends a parked job, as it was when the person read it."""

from collections.abc import Collection
from decimal import Decimal

from didflow.client.sync.client import Didflow
from didflow.contract.errors import WrongJob
from didflow.contract.jobs import JobView
from producers.http.access import Caller
from producers.http.problems import Refused
from producers.http.representation import matches
from producers.http.services import Services


async def end(services: Services, caller: Caller, view: JobView, took_effect: Collection[str], *, if_match: str | None) -> JobView:
    """The ended job. `if_match`: the ETag of the job as the person read it.

    Raises Refused (412) if the job changed since; SecondPersonNeeded if the finding was kept; WrongJob, InvalidRequest.
    """
    limit_usd = services.review.second_person_usd
    return await services.blocked(caller, lambda didflow: _ended(didflow, view, took_effect, if_match, limit_usd))


def _ended(didflow: Didflow, view: JobView, took_effect: Collection[str], if_match: str | None, limit_usd: Decimal | None) -> JobView:
    """In a thread: a release of very many numbers takes long to compare, to decide and to read."""
    if if_match is not None and not matches(view, if_match):
        raise _changed(view.id)
    try:
        return didflow.resolve(view.id, took_effect, seen=view, second_person_usd=limit_usd)
    except WrongJob:
        if if_match is not None and didflow.get(view.id) != view:
            raise _changed(view.id) from None
        raise


def _changed(job_id: str) -> Refused:
    return Refused(412, "job_changed", f"job {job_id} has changed since you read it: read it and its steps again, then decide")
