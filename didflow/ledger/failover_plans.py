"""Failover plans in the ledger: saved by a person, their numbers detected by dry runs, again and again."""

import json
import uuid
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from didflow.contract.errors import PlanNotFound
from didflow.contract.failover_plans import FailoverPlan
from didflow.contract.jobs import Job, JobView
from didflow.contract.requests import Reroute
from didflow.contract.states import Lane
from didflow.ledger.client import LedgerClient
from didflow.ledger.commands import RedisCommand
from didflow.ledger.connection import translated
from didflow.ledger.script_calls import Call, Submission
from didflow.ledger.views import moment

#: All of a plan but its numbers.
_FIELDS = ("version", "spec", "saved_by", "saved_ms", "count", "resolved_ms", "snapshot", "job", "trouble", "trouble_ms")
#: A dry run whose numbers were stored is kept this long, and until a newer one exists. It is as large as the account's list.
KEEP_MS = 600_000


class _OpenPlan(BaseModel):
    """As `scripts/plans/plan_refreshing.lua` writes it: the plan whose numbers a dry run determines."""

    name: str
    version: str


class FailoverPlans:
    """The plans of one namespace."""

    def __init__(self, ledger: LedgerClient) -> None:
        self._ledger, self._keys = ledger, ledger.keys

    def save(self, name: str, account: str, request: Reroute, saved_by: str, *, first_s: float) -> None:
        """Save a plan, replacing one of the same name. A worker refreshes its numbers after `first_s`, if it wasn't done before."""
        spec = json.dumps({"account": account, "request": request.model_dump(mode="json", exclude_defaults=True)})
        self._run("plan_save", name, uuid.uuid4().hex[:12], spec, saved_by, int(first_s * 1000), KEEP_MS)

    def get(self, name: str, *, numbers: bool = True) -> FailoverPlan:
        """Raises PlanNotFound."""
        names = (*_FIELDS, "numbers") if numbers else _FIELDS
        fields = dict(zip(names, self._send(RedisCommand("hmget", (self._keys.plan(name), *names))), strict=True))
        if fields["spec"] is None:
            raise PlanNotFound(name)
        return _plan(name, fields)

    def all(self) -> tuple[FailoverPlan, ...]:
        """Every plan by name, without its numbers."""
        names = sorted(self._send(RedisCommand("zrange", (self._keys.plans, 0, -1))))
        rows = self._send(tuple(RedisCommand("hmget", (self._keys.plan(name), *_FIELDS)) for name in names)) if names else ()
        told = (dict(zip(_FIELDS, row, strict=True)) for row in rows)
        return tuple(_plan(name, fields) for name, fields in zip(names, told, strict=True) if fields["spec"] is not None)

    def delete(self, name: str) -> None:
        """Raises PlanNotFound."""
        if self._run("plan_delete", name, KEEP_MS, self._ledger.commands.actor) == "gone":
            raise PlanNotFound(name)

    def due(self) -> list[tuple[str, int]]:
        """Plans whose refresh is due, and since when, ms."""
        found = self._send(
            RedisCommand("zrangebyscore", (self._keys.plans, "-inf", self._ledger.now_ms()), {"start": 0, "num": 20, "withscores": True})
        )
        return [(name, int(since_ms)) for name, since_ms in found]

    def forget(self, name: str) -> None:
        """Drop a due time that has no plan."""
        self._run("plan_refreshing", name, "", "", "", 0)

    def postpone(self, name: str, slot_ms: int, every_s: float) -> None:
        """Skip a plan that this version can't read; it is reported without numbers."""
        version = self._send(RedisCommand("hget", (self._keys.plan(name), "version")))
        self._run("plan_refreshing", name, version or "", slot_ms, "", int(every_s * 1000))

    def refreshing(self, plan: FailoverPlan, job_id: str, *, slot_ms: int | None = None, every_s: float = 0.0) -> None:
        """That job determines the plan's numbers. `slot_ms`: the due time for which it was submitted, after
        which the next one comes in `every_s`; None: a person did."""
        self._run("plan_refreshing", plan.name, plan.version, "" if slot_ms is None else slot_ms, job_id, int(every_s * 1000))

    def open_jobs(self) -> dict[str, tuple[str, str]]:
        """Dry runs whose numbers weren't stored yet: plan and its version by job."""
        found = self._send(RedisCommand("hgetall", (self._keys.plans_open,)))
        opened = {job_id: _OpenPlan.model_validate_json(text) for job_id, text in found.items()}
        return {job_id: (plan.name, plan.version) for job_id, plan in opened.items()}

    def resolved(self, name: str, version: str, job_id: str, view: JobView | None) -> None:
        """Store the numbers of an ended dry run; `view` is None if it is no longer kept."""
        found = self._listed(view) if view is not None else None
        if found is None or view is None:
            trouble = view.error.message if view is not None and view.error else f"job {job_id} told no numbers"
            self._run("plan_resolved", name, version, job_id, 0, 0, "", trouble, KEEP_MS, "")
            return
        began = view.started_at or view.created_at
        taken_ms = int(began.timestamp() * 1000)
        pages = "1" if self._ledger.perform(self._ledger.commands.pages(job_id)) else ""
        self._run("plan_resolved", name, version, job_id, taken_ms, len(found), json.dumps(found), "", KEEP_MS, pages)

    def _listed(self, view: JobView) -> dict[str, int] | None:
        """Number -> record id of what a dry run would move or leave as it is; None if it ended without telling."""
        if view.result is None or view.result.quote is None:
            return None
        commands = self._ledger.commands
        found = list(view.result.quote.numbers)
        if view.result.summary is not None:  # Too many for a result: they are on pages.
            pages = range(view.result.summary.pages)
            found = [number for page in pages for number in self._ledger.perform(commands.numbers_on(view.id, page)) or ()]
        return {number.number: number.record_id for number in found if number.record_id is not None}

    def submit_refresh(self, plan: FailoverPlan, slot_ms: int) -> Job:
        """The dry run of a plan for one due time; any worker may submit it. It uses the bulk lane, so it doesn't delay an emergency."""
        key = f"plan-refresh:{plan.name}:{plan.version}:{slot_ms}"
        return self._ledger.submit(Submission(dry_run_of(plan), key, f"plan:{plan.name}", plan.account, lane=Lane.BULK))

    def _run(self, script: str, *args: str | int) -> Any:
        return self._ledger.run(Call(script, args, lambda reply: reply))

    def _send(self, step: RedisCommand | tuple[RedisCommand, ...]) -> Any:
        with translated():
            return self._ledger.send(step)


def dry_run_of(plan: FailoverPlan) -> Reroute:
    """The job that determines a plan's numbers; the plan's guards hold for it."""
    return plan.request.model_copy(update={"dry_run": True, "canary": None})


def _plan(name: str, fields: Mapping[str, str | None]) -> FailoverPlan:
    spec = json.loads(fields["spec"] or "")
    return FailoverPlan.model_validate(
        {
            "name": name,
            **spec,
            "version": fields["version"],
            "saved_by": fields["saved_by"] or "",
            "saved_at": moment(fields["saved_ms"]),
            "numbers": json.loads(fields.get("numbers") or "{}"),
            "count": int(fields["count"] or 0),
            "resolved_at": moment(fields["resolved_ms"]),
            "snapshot": fields["snapshot"] or None,
            "job": fields["job"] or None,
            "trouble": fields["trouble"] or None,
            "trouble_at": moment(fields["trouble_ms"]) if fields["trouble"] else None,
        }
    )
