"""A dry run of a churn CSV: each line is evaluated as if the earlier lines had taken effect, and nothing is submitted."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from didflow.contract.job_kinds import kind_of
from didflow.contract.jobs import JobView
from didflow.contract.requests import Release
from didflow.contract.states import JobState


class Rehearsal:
    """The releases that earlier lines would have submitted, and those that they would have cancelled."""

    def __init__(self) -> None:
        self._would: list[JobView] = []
        self._called_off: set[str] = set()

    def of(self, reference: str, known: Sequence[JobView]) -> list[JobView]:
        """The jobs of a reference as they would be, newest first."""
        planned = [view for view in reversed(self._would) if view.reference == reference]
        return [self._as_it_would_be(view) for view in (*planned, *known)]

    def with_key(self, key: str) -> JobView | None:
        """What an earlier line would have submitted under this key."""
        return next((view for view in self._would if view.idempotency_key == key), None)

    def submit(self, line: int, request: Release, key: str, reference: str, account: str) -> None:
        """The job that a line would submit; it is named after the line."""
        self._would.append(_planned(f"line {line}", request, key, reference, account))

    def call_off(self, job_ids: Sequence[str]) -> None:
        """The jobs that a line would cancel."""
        self._called_off |= set(job_ids)

    def _as_it_would_be(self, view: JobView) -> JobView:
        if view.id not in self._called_off or view.state.is_terminal:
            return view
        begun = view.phase is not None or view.state in (JobState.RUNNING, JobState.NEEDS_REVIEW)
        return replace(view, cancel_requested=True) if begun else replace(view, state=JobState.CANCELLED)


def _planned(name: str, request: Release, key: str, reference: str, account: str) -> JobView:
    return JobView(
        id=name,
        kind=request.kind,
        state=JobState.QUEUED,
        reason=None,
        account=account,
        reference=reference,
        idempotency_key=key,
        lane=kind_of(request).lane,
        priority=5,
        attempt=0,
        phase=None,
        progress=None,
        created_at=datetime.now(UTC),
        started_at=None,
        finished_at=None,
        due_at=None,
        cancel_requested=False,
        request=request,
        result=None,
        error=None,
    )
