"""Churn: give a leaving customer's numbers back, and never the wrong one. Look first, then release exactly what was seen.

    churn = Churn(Didflow.from_env())
    check = churn.check("contract-88", ["+12135550100"])    # nothing happens yet
    churn.approve("contract-88", check.id)                   # releases the records that the check showed

The release names record ids, not numbers: one that was given back and bought anew between the two steps has a new
record id and stays.
"""

from collections.abc import Iterable, Sequence

from producers.client import Didflow
from worker.contract.errors import InvalidRequest, WrongJob
from worker.contract.jobs import Job, JobView
from worker.contract.requests import Release
from worker.contract.results import NumberResult


class Churn:
    """Releases of one account, in two steps."""

    def __init__(self, didflow: Didflow, *, account: str = "default", protected_labels: Iterable[str] = ()) -> None:
        self._didflow, self._account = didflow, account
        self._protected_labels = tuple(protected_labels)

    def check(self, case: str, numbers: Sequence[str], *, timeout_s: float = 60.0) -> JobView:
        """What a release of these E.164 numbers would do, number by number, in `.result.quote`; waits for it.

        Each check is a new look. Raises InvalidRequest, WaitTimeout, ServiceUnavailable.
        """
        request = Release(numbers=tuple(numbers), protected_labels=self._protected_labels, dry_run=True)
        job = self._didflow.submit(request, reference=case, account=self._account)
        return self._didflow.wait(job.id, timeout_s)

    def approve(self, case: str, check_id: str) -> Job:
        """Release, for good, the records that this check showed and no others; once per case, however often it is called.

        Raises WrongJob if that job isn't a check of this case; InvalidRequest if it showed nothing to release; JobNotFound;
        IdempotencyConflict if the case has released other records; ServiceUnavailable (repeat it then).
        """
        going = [number for number in self._seen(case, check_id) if number.outcome is None and number.record_id is not None]
        if not going:
            raise InvalidRequest(f"check {check_id} found nothing to release: `didflow status {check_id}` shows each number")
        request = Release(
            record_ids=tuple(number.record_id for number in going if number.record_id), protected_labels=self._protected_labels
        )
        return self._didflow.submit(request, idempotency_key=f"churn:{case}", reference=case, account=self._account)

    def call_off(self, case: str) -> JobView | None:
        """Stop the case's release: what has not gone yet stays. Returns the job as it is then, None if there is none."""
        found = self._didflow.find(idempotency_key=f"churn:{case}")
        return self._didflow.cancel(found[0].id) if found else None

    def _seen(self, case: str, check_id: str) -> tuple[NumberResult, ...]:
        view = self._didflow.get(check_id)
        is_check = isinstance(view.request, Release) and view.request.dry_run and view.account == self._account
        if not is_check or view.reference != case:
            raise WrongJob(f"job {check_id} is not a check of case {case!r}: make one with `check`")
        if view.result is None or view.result.quote is None:
            raise WrongJob(f"check {check_id} is {view.state.value} and shows nothing: make a new one with `check`")
        return view.result.quote.numbers
