"""Keeps the numbers of failover plans fresh. In every worker process, correct however many run."""

import time

import structlog

from didflow.contract.errors import InvalidRequest, JobNotFound, PlanNotFound
from didflow.contract.jobs import JobView
from didflow.contract.states import REPORTED
from didflow.ledger.failover_plans import FailoverPlans
from didflow.ledger.ledger import Ledger

LOOK_EVERY_S = 1.0

log = structlog.stdlib.get_logger("didflow.plans")


class PlanRefresher:
    """Submits a dry run for each plan that is due, with a key per plan and due time; stores the results of ended dry runs."""

    def __init__(self, ledger: Ledger, *, every_s: float) -> None:
        self._ledger, self._plans, self._every_s = ledger, FailoverPlans(ledger), every_s
        self._looked_s = float("-inf")

    def look(self) -> None:
        """At most once a second. Raises ServiceUnavailable: the next look does it."""
        if time.monotonic() - self._looked_s < LOOK_EVERY_S:
            return
        self._looked_s = time.monotonic()
        for name, slot_ms in self._plans.due():
            try:
                self._refresh(name, slot_ms)
            except PlanNotFound:
                self._plans.forget(name)
            except (ValueError, InvalidRequest) as error:
                log.error("plan.unreadable", plan=name, error=type(error).__name__)
                self._plans.postpone(name, slot_ms, self._every_s)
        for job_id, (name, version) in self._plans.open_jobs().items():
            view = self._view(job_id)
            if view is None or view.state in REPORTED:
                self._plans.resolved(name, version, job_id, view)
                log.info("plan.refreshed", plan=name, state=view.state.value if view else "gone")

    def _refresh(self, name: str, slot_ms: int) -> None:
        plan = self._plans.get(name, numbers=False)
        before = self._view(plan.job) if plan.job else None
        # While one waits for the provider, no others are submitted.
        job_id = before.id if before is not None and before.state not in REPORTED else self._plans.submit_refresh(plan, slot_ms).id
        self._plans.refreshing(plan, job_id, slot_ms=slot_ms, every_s=self._every_s)

    def _view(self, job_id: str) -> JobView | None:
        try:
            return self._ledger.get(job_id)
        except JobNotFound:
            return None
