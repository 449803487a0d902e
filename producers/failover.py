"""SIP failover: move numbers to another trunk now, and back later, by the name of the incident.

    failover = Failover(Didflow.from_env())
    failover.away("INC-31", Selector(trunk_id=144), (Destination.trunk(207),), max_fraction=0.5)
    failover.back("INC-31")

With a plan, the numbers are selected in advance:

    failover.plan("evening", Selector(trunk_id=144), (Destination.trunk(207),))
    failover.run_plan("evening", "INC-32")

The incident is the idempotency key: the same command again, on any machine, is the same job.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from didflow.client.incident_keys import away_key, back_key, sweep_key
from didflow.client.request_diff import differences
from didflow.client.submission import submit_one
from didflow.client.sync.client import Didflow
from didflow.contract.actors import actor_named
from didflow.contract.destinations import Destination
from didflow.contract.errors import IdempotencyConflict, InvalidRequest, JobNotFound, WaitTimeout
from didflow.contract.failover_plans import FailoverPlan
from didflow.contract.jobs import Job, JobView
from didflow.contract.requests import Failback, Reroute, Selector, built
from didflow.contract.states import REPORTED, Outcome
from didflow.ledger.failover_plans import FailoverPlans, dry_run_of
from didflow.ledger.script_calls import Submission

#: An incident and perhaps an account, as a key.
KeyOf = Callable[[str, str | None], str]
#: Who saves a plan determines its numbers; the workers do it after this long, and then regularly.
FIRST_REFRESH_S = 60.0
#: A sweep that is cancelled is waited for this long, to know whether it moved anything.
CALLED_OFF_S = 5.0
#: A job with these outcomes only moved nothing.
_UNTOUCHED = (Outcome.UNCHANGED, Outcome.SUPERSEDED, Outcome.NOT_FOUND, Outcome.REFUSED, Outcome.PROTECTED)
#: What a run has of its own, or detected since: no difference between a plan and the job that ran it.
_FOUND_OUT = ("v", "dry_run", "numbers", "record_ids", "selector", "expected_count", "deadline", "after", "snapshot_of", "read_routes")


@dataclass(frozen=True)
class PlanRun:
    """`job` moves the plan's numbers; `sweep` follows it and moves what the plan missed. None: the plan is a list, which misses none."""

    plan: FailoverPlan
    job: Job
    sweep: Job | None


class Failover:
    """Moves of one account's numbers. They go through the emergency lane, past everything else that waits."""

    def __init__(self, didflow: Didflow, *, account: str = "default") -> None:
        self._didflow, self._account = didflow, account
        self._plans = FailoverPlans(didflow.ledger)

    def away(
        self,
        incident: str,
        who: Selector | Sequence[str],
        to: Sequence[Destination],
        *,
        expected_count: int | None = None,
        max_fraction: float | None = None,
        canary: int | None = None,
        deadline: datetime | None = None,
        read_routes: bool = False,
        dry_run: bool = False,
    ) -> Job:
        """Move the numbers that a selector finds, or a list of E.164 numbers, to these destinations.

        The guards, and `read_routes`, are those of `Reroute`.
        A dry run has a key of its own, so that the real move isn't taken for a repetition.
        Raises InvalidRequest, IdempotencyConflict (this incident moved others), ServiceUnavailable (repeat it then).
        """
        guards = {"expected_count": expected_count, "max_fraction": max_fraction, "canary": canary, "deadline": deadline}
        request = _reroute(who, to, **guards, read_routes=read_routes, dry_run=dry_run)
        if dry_run:
            key = f"failover-check:{incident}"
            return self._didflow.submit(request, idempotency_key=key, reference=incident, account=self._account)
        return self.move(incident, request)

    def move(self, incident: str, request: Reroute) -> Job:
        """The same with a request that is made already."""
        return self._submit(away_key, incident, request)

    def _submit(self, key_of: KeyOf, incident: str, request: Reroute) -> Job:
        key, _ = self._keyed(key_of, incident)
        try:
            return self._submit_as(key, incident, request)
        except IdempotencyConflict:
            now, _ = self._keyed(key_of, incident)
            if now == key:
                raise
        return self._submit_as(now, incident, request)  # Another account's move took the plain key meanwhile.

    def _submit_as(self, key: str, incident: str, request: Reroute) -> Job:
        ledger = self._didflow.ledger
        return ledger.perform(submit_one(ledger.commands, Submission(request, key, incident, self._account, incident=incident)))

    def _keyed(self, key_of: KeyOf, incident: str) -> tuple[str, JobView | None]:
        """The key of this account's job of that incident, and the job if there is one."""
        plain, own = key_of(incident, None), key_of(incident, self._account)
        first = self._with_key(plain)
        if first is not None and first.account == self._account:
            return plain, first
        mine = self._with_key(own)
        return (plain, None) if first is None and mine is None else (own, mine)

    def _with_key(self, key: str) -> JobView | None:
        found = self._didflow.find(idempotency_key=key)
        return found[0] if found else None

    def back(self, incident: str) -> Job:
        """Restore the previous route of every number of the incident. Numbers that were changed since are skipped.

        What a sweep moved comes back by a job of its own: `back_all` returns both. Raises JobNotFound if nothing was moved under
        that name, ServiceUnavailable (repeat it then).
        """
        return self.back_all(incident)[0]

    def back_all(self, incident: str) -> tuple[Job, ...]:
        """The same; returns every job that brings numbers back. A sweep that hasn't ended is cancelled first."""
        jobs = [self._bring_back(self.moved(incident), incident)]
        if (sweep := self._ended_sweep(incident)) is not None:
            jobs.append(self._bring_back(sweep, incident))
        return tuple(jobs)

    def _bring_back(self, moved: JobView, incident: str) -> Job:
        key = back_key(moved)
        return self._didflow.submit(Failback(job_id=moved.id), idempotency_key=key, reference=incident, account=self._account)

    def _ended_sweep(self, incident: str) -> JobView | None:
        """The incident's sweep if it moved something, or still may: cancelled, it ends before its next batch."""
        sweep = self.swept(incident)
        if sweep is not None and sweep.state not in REPORTED:
            self._didflow.cancel(sweep.id)
            try:
                sweep = self._didflow.wait(sweep.id, CALLED_OFF_S)
            except WaitTimeout:
                return sweep
        if sweep is None:
            return None
        tally = self._didflow.tally(sweep.id)
        return sweep if tally.selected > tally.count(*_UNTOUCHED) else None

    def moved(self, incident: str) -> JobView:
        """The move away as it stands: `.progress` while it runs, then `.result` with each number's old and new route.

        Raises JobNotFound.
        """
        _, found = self._keyed(away_key, incident)
        if found is None:
            raise JobNotFound(away_key(incident))
        return found

    def has_moved(self, incident: str) -> bool:
        """Whether this account's move of that incident was submitted."""
        return self._keyed(away_key, incident)[1] is not None

    def swept(self, incident: str) -> JobView | None:
        """The sweep that followed the run of a plan, as it stands."""
        return self._keyed(sweep_key, incident)[1]

    def plan(
        self,
        name: str,
        who: Selector | Sequence[str],
        to: Sequence[Destination],
        *,
        expected_count: int | None = None,
        max_fraction: float | None = None,
        canary: int | None = None,
        saved_by: str | None = None,
        timeout_s: float = 60.0,
    ) -> FailoverPlan:
        """Save a plan, replacing one of the same name, and select its numbers.

        `saved_by`: who says so; None: the client's actor.
        Raises InvalidRequest; WaitTimeout if that takes longer: it is kept then, and its numbers come.
        """
        guards = {"expected_count": expected_count, "max_fraction": max_fraction, "canary": canary}
        self.keep_plan(name, _reroute(who, to, **guards), saved_by)
        return self.refresh_plan(name, timeout_s)

    def keep_plan(self, name: str, request: Reroute, saved_by: str | None = None) -> None:
        """Keep a plan with a request that is made already; its numbers are to be detected."""
        actor = self._didflow.actor if saved_by is None else actor_named(saved_by)
        self._plans.save(name, self._account, request, actor, first_s=FIRST_REFRESH_S)

    def refresh_plan(self, name: str, timeout_s: float = 60.0) -> FailoverPlan:
        """Refresh a plan's numbers now. Raises PlanNotFound, WaitTimeout (they come later). Check `.trouble` of the returned plan."""
        plan = self._plans.get(name, numbers=False)
        job = self._didflow.submit(dry_run_of(plan), reference=f"plan:{name}", account=plan.account)
        self._plans.refreshing(plan, job.id)
        view = self._didflow.wait(job.id, timeout_s)
        self._plans.resolved(name, plan.version, job.id, view)
        return self._plans.get(name)

    def plans(self) -> tuple[FailoverPlan, ...]:
        """Every plan, without its numbers."""
        return self._plans.all()

    def get_plan(self, name: str) -> FailoverPlan:
        """Raises PlanNotFound."""
        return self._plans.get(name)

    def delete_plan(self, name: str) -> None:
        """Raises PlanNotFound. What it moved stays moved, and can be brought back."""
        self._plans.delete(name)

    def run_plan(self, name: str, incident: str, *, deadline: datetime | None = None, read_routes: bool = False) -> PlanRun:
        """Move the plan's numbers at once, and after them what its selector finds then.

        For a large plan nothing is read first: a failback restores the routes that the plan's last refresh read.
        Numbers that didflow itself moved since are known, and read again; changes made elsewhere aren't. `read_routes`: read
        all first.

        Repeated for the same incident it is the same jobs, even if the plan's numbers are others by now. Raises PlanNotFound,
        InvalidRequest (its numbers were never detected), IdempotencyConflict (this incident moved something else).
        """
        plan = self._plans.get(name)
        if plan.account != self._account:
            theirs = Failover(self._didflow, account=plan.account)
            return theirs.run_plan(name, incident, deadline=deadline, read_routes=read_routes)
        job = self._run_before(incident, plan) or self.move(incident, _of_plan(plan, deadline, read_routes=read_routes))
        if plan.request.selector is None:
            return PlanRun(plan, job, None)
        rest = {"after": job.id, "deadline": deadline, "canary": None}
        request = built(Reroute, dict(plan.request) | rest)
        return PlanRun(plan, job, self._submit(sweep_key, incident, request))

    def _run_before(self, incident: str, plan: FailoverPlan) -> Job | None:
        """The job that ran this plan, or one with the same destinations, for this incident. The sweep's own key tells plans apart that
        select their numbers; a plan that lists them is compared here."""
        key, found = self._keyed(away_key, incident)
        if found is None:
            return None
        before = found.request
        if not isinstance(before, Reroute):
            raise IdempotencyConflict(key, found.id)
        differ = differences(plan.request, before, leave_out=_FOUND_OUT)
        if not before.record_ids:
            differ = (*differ, "numbers: those of a plan asked, those of a failover without a plan there")
        elif plan.request.selector is None and set(before.record_ids) != set(plan.numbers.values()):
            differ = (*differ, f"numbers: those of plan {plan.name} asked, others there")
        if differ:
            raise IdempotencyConflict(key, found.id, "; ".join(differ))
        return Job(found.id, False, found.state)


def _reroute(who: Selector | Sequence[str], to: Sequence[Destination], **more: Any) -> Reroute:
    chosen = {"selector": who} if isinstance(who, Selector) else {"numbers": tuple(who)}
    return built(Reroute, chosen | {"destinations": tuple(to)} | more)


def _of_plan(plan: FailoverPlan, deadline: datetime | None, *, read_routes: bool) -> Reroute:
    if not plan.numbers:
        what = f"the numbers of plan {plan.name} aren't known yet ({plan.trouble or 'a refresh is running'}): refresh it, or"
        raise InvalidRequest(f"{what} run the failover without the plan", (("plan", f"{what} run the failover without the plan"),))
    # The count was expected of what was detected; a number that has gone since must not keep the others here.
    named = {"record_ids": tuple(plan.numbers.values()), "numbers": (), "selector": None, "expected_count": None, "deadline": deadline}
    return built(Reroute, dict(plan.request) | named | {"snapshot_of": None if read_routes or plan.request.read_routes else plan.snapshot})
