"""A failover plan, rehearsed on this machine: against a sandbox with copies of the account's numbers, at its rate and latency.

Nothing reaches the provider, and nothing is written to the ledger. The rehearsal has a Redis, workers and a sandbox of its own
(`worker.local.rehearsal`), which go with it.
"""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from didflow.client.sync.client import Didflow
from didflow.client.sync.inventory import Inventory
from didflow.contract.destinations import SeenDestination
from didflow.contract.errors import InvalidRequest, ServiceUnavailable
from didflow.contract.failover_plans import FailoverPlan
from didflow.contract.inventory import InventoryNumber
from didflow.contract.jobs import JobView
from didflow.contract.states import JobState
from didflow.ledger.metrics import Measures, measures
from didflow.module_command import module_command
from producers.failover import Failover

MODULE = "worker.local.rehearsal"
#: Where nothing was measured yet.
USUAL_LATENCY_S, USUAL_RATE_PER_S = 0.1, 10.0
INCIDENT = "rehearsal"
#: Longer than its parts take to end.
END_WITHIN_S = 120
#: Settings of the account's workers that decide how a failover runs.
_SETTINGS = ("DIDFLOW_BATCH_SIZE", "DIDFLOW_SETTLE_SECONDS", "DIDFLOW_EMERGENCY_SHARE", "DIDFLOW_HTTP_TIMEOUT", "DIDFLOW_LIST_PAGES")


@dataclass(frozen=True)
class Leg:
    """One way, there or back. Seconds from the submit; `accepted_s` None: nothing was sent. `error`: why it stopped, such as a guard."""

    state: JobState
    numbers: int
    done: int
    first_s: float | None
    accepted_s: float | None
    confirmed_s: float
    error: str = ""


@dataclass(frozen=True)
class Rehearsed:
    """What the plan would do to the account as the inventory shows it.

    copied        numbers of the account that the sandbox had; `inventory_age_s`: how old the inventory was
    away, back    the failover, and its failback; None: nothing was moved that could come back
    left          numbers that weren't where they began after the failback
    """

    plan: str
    copied: int
    inventory_age_s: float
    rate_per_s: float
    latency_s: float
    away: Leg
    back: Leg | None
    left: int = 0


def rehearse(
    didflow: Didflow, name: str, *, rate_per_s: float | None = None, latency_s: float | None = None, timeout_s: float = 600.0
) -> Rehearsed:
    """Run a saved plan against copies of the account's numbers, and bring them back. `rate_per_s`, `latency_s`: instead of those that the
    workers have and measured. Raises PlanNotFound, InvalidRequest without a complete inventory, ServiceUnavailable, WaitTimeout."""
    plan = Failover(didflow).get_plan(name)
    inventory = Inventory(didflow, account=plan.account)
    state = inventory.state()
    if state.age_s is None:
        what = f"the inventory of account {plan.account!r} was never complete: wait for a worker's first sweep (`didflow numbers`)"
        raise InvalidRequest(f"plan: {what}", (("plan", what),))
    numbers = [_copied(one) for one in inventory.numbers() if one.missing_since is None]
    known = didflow.ledger.perform(measures(didflow.ledger.commands))
    rate = rate_per_s or _rate(known, plan.account)
    latency = latency_s if latency_s is not None else _latency(known)
    trunks = sorted({one["trunk_id"] for number in numbers for one in number["destinations"] if one["trunk_id"] is not None})
    trunks += [one.trunk_id for one in plan.request.destinations if one.trunk_id is not None and one.trunk_id not in trunks]
    wanted = {"numbers": numbers, "rate_per_s": rate, "latency_ms": latency * 1000, "trunks": trunks, "settings": _settings(known, rate)}
    with _stack(wanted) as stack:
        away, back, left = _there_and_back(stack, plan, {one["number"]: one["destinations"] for one in numbers}, timeout_s)
    return Rehearsed(name, len(numbers), state.age_s, rate, latency, away, back, left)


def _there_and_back(
    stack: "_Stack", plan: FailoverPlan, before: Mapping[str, Sequence[Mapping[str, Any]]], timeout_s: float
) -> tuple[Leg, Leg | None, int]:
    didflow = Didflow.from_url(stack.redis_url)
    try:
        failover, inventory = Failover(didflow), Inventory(didflow)
        deadline_s = time.monotonic() + timeout_s
        while not inventory.state().complete:
            if time.monotonic() > deadline_s:
                raise ServiceUnavailable("the rehearsal's workers didn't read the copies in time: repeat it, or raise --timeout")
            time.sleep(0.2)
        failover.keep_plan(plan.name, plan.request)
        refreshed = failover.refresh_plan(plan.name, timeout_s)
        if not refreshed.numbers:
            return Leg(JobState.FAILED, 0, 0, None, None, 0.0, refreshed.trouble or "the plan selects no number"), None, 0
        began_s = time.monotonic()
        ran = failover.run_plan(plan.name, INCIDENT)
        away = stack.leg(didflow.wait(ran.job.id, timeout_s), began_s)
        if ran.sweep is not None:
            didflow.wait(ran.sweep.id, timeout_s)
        if not away.done:
            return away, None, 0
        began_s = time.monotonic()
        jobs = failover.back_all(INCIDENT)
        views = [didflow.wait(job.id, timeout_s) for job in jobs]
        back = stack.leg(views[0], began_s)
        left = sum(_texts(before.get(one.number.lstrip("+"), ())) != [str(d) for d in one.route] for one in inventory.numbers())
        return away, back, left
    finally:
        didflow.close()


@dataclass
class _Stack:
    redis_url: str
    child: "subprocess.Popen[str]"

    def traffic(self) -> dict[str, Any]:
        return _asked(self.child, "\n")

    def leg(self, view: JobView, began_s: float) -> Leg:
        confirmed_s = time.monotonic() - began_s
        traffic = self.traffic()
        now_s = time.monotonic() - began_s
        first, last = (_since(traffic, name, now_s) for name in ("first_came_s_ago", "last_came_s_ago"))
        result = view.result
        totals = result.totals if result else None
        error = result.error.message if result and result.error else ""
        requested, done = (totals.requested, totals.done) if totals else (0, 0)
        return Leg(view.state, requested, done, first, last, confirmed_s, error)


def _since(traffic: Mapping[str, Any], name: str, now_s: float) -> float | None:
    """When that change of routes came, seconds after the leg's beginning; None if it came before."""
    ago_s = traffic[name].get("destinations")
    return now_s - ago_s if ago_s is not None and ago_s <= now_s else None


@contextmanager
def _stack(wanted: Mapping[str, Any]) -> Iterator[_Stack]:
    # A session of its own: Ctrl-C is for this process, which ends the rehearsal by closing its stdin.
    child = subprocess.Popen(module_command(MODULE), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        started = _asked(child, json.dumps(wanted) + "\n")
        yield _Stack(started["redis_url"], child)
    finally:
        if child.stdin is not None:
            with suppress(BrokenPipeError):
                child.stdin.close()
        try:
            child.wait(END_WITHIN_S)
        except subprocess.TimeoutExpired:
            child.kill()  # Its Redis, sandbox and workers end with their parent.
            child.wait()
        if child.stdout is not None:
            child.stdout.close()


def _asked(child: "subprocess.Popen[str]", text: str) -> dict[str, Any]:
    if child.stdin is None or child.stdout is None:
        raise ServiceUnavailable("the rehearsal didn't start")
    with suppress(BrokenPipeError):  # Then it has ended, and says nothing.
        child.stdin.write(text)
        child.stdin.flush()
    line = child.stdout.readline()
    if not line:
        raise ServiceUnavailable("the rehearsal's Redis, sandbox or workers don't start: is `didflow[local]` installed?")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _copied(one: InventoryNumber) -> dict[str, Any]:
    return {
        "number": one.number.lstrip("+"),
        "record_id": one.record_id,
        "destinations": [
            {"transport": int(d.transport), "destination": d.destination, "priority": d.priority, "trunk_id": d.trunk_id} for d in one.route
        ],
        "label": one.label,
        "sms_relay_url": one.sms_relay_url,
        "country": one.country_iso_code,
        "city": one.city,
        "active": one.is_active,
        "monthly_usd": str(one.monthly_usd),
    }


def _texts(destinations: Sequence[Mapping[str, Any]]) -> list[str]:
    return [str(SeenDestination.model_validate(one)) for one in destinations]


def _rate(known: Measures, account: str) -> float:
    found = known.accounts.get(account)
    return (found.rate_per_s if found else None) or USUAL_RATE_PER_S


def _latency(known: Measures) -> float:
    """The mean of all requests that the workers counted."""
    took = known.calls.took.values()
    count = sum(histogram.cumulative()[-1][1] for histogram in took)
    return sum(histogram.sum_s for histogram in took) / count if count else USUAL_LATENCY_S


def _settings(known: Measures, rate_per_s: float) -> dict[str, str]:
    """Those of the account's workers, and the rate that is in force now."""
    rate = Decimal(str(rate_per_s)).normalize()
    return {name: value for name, value in known.settings.items() if name in _SETTINGS} | {"DIDFLOW_RATE_LIMIT": f"{rate:f}"}
