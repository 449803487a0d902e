"""How soon an emergency job starts while onboarding jobs wait and every money thread is busy: `python -m tests.bench.lanes`.

Real worker processes, a Valkey with AOF on every write, a sandbox with latency. Times are of Redis's clock, from the job itself.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice

from rich.console import Console
from rich.table import Table

from didflow import Destination, Didflow, JobView, Reroute, SearchAndBuy, Submission
from didflow.contract.states import JobState
from didflow.ledger.connection import connect
from didflow.ledger.ledger import Ledger
from worker.local.stack import LocalStack
from worker.wavix.sandbox import SandboxAdmin

NAMESPACE = "lanes"
PLACES = (Destination.sip("one@example.net"), Destination.sip("other@example.net"))
#: Long enough for any failover of one number; a job that takes longer is a finding and not a slow machine.
END_WITHIN_S = 60.0


@dataclass(frozen=True)
class Setting:
    """What is measured under. The latency is the provider's; `apply_late_s` lets each job wait and be nudged by the sweeper."""

    waiting: int = 50_000
    emergencies: int = 200
    processes: int = 2
    threads: int = 8
    latency_ms: int = 50
    rate_limit: int = 100
    apply_late_s: float = 0.2


@dataclass
class Measured:
    """In ms: from submit to the first step of a worker, and to the read-back route. `busy`: money threads at work, at each submit."""

    setting: Setting
    started_ms: list[float] = field(default_factory=list)
    confirmed_ms: list[float] = field(default_factory=list)
    busy: list[int] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)


def measure(setting: Setting, say: Callable[[str], None] = lambda _: None) -> Measured:
    """Fill the queue, keep the money threads busy, and submit emergencies one after another, so that each finds an idle thread."""
    environment = {
        "DIDFLOW_NAMESPACE": NAMESPACE,
        "DIDFLOW_RATE_LIMIT": str(setting.rate_limit),
        "DIDFLOW_SETTLE_SECONDS": "2",
        "DIDFLOW_LOG_LEVEL": "error",
    }
    sandbox = ("--port", "0", "--latency-ms", str(setting.latency_ms), "--numbers-per-city", "4000")
    with LocalStack(processes=0, threads=setting.threads, sandbox=sandbox, environment=environment) as stack:
        stack.processes = setting.processes
        client = connect(stack.redis_url or "")
        didflow, ledger, admin = Didflow(client, NAMESPACE), Ledger(client, NAMESPACE), SandboxAdmin(stack.sandbox_url or "")
        admin.order("set_balance", usd="1000000")
        ours = [f"+{number}" for number in admin.order("seed_owned", count=20)]
        admin.order("reconfigure", apply_late_s=setting.apply_late_s)
        began_s = time.monotonic()
        jobs = didflow.submit_many(_onboarding(setting.waiting))
        say(f"{len(jobs)} onboarding jobs submitted in {time.monotonic() - began_s:.0f} s")
        stack.start_workers()
        threads = setting.processes * setting.threads
        _until(lambda: len(ledger.workers()) == setting.processes and ledger.counts()[JobState.RUNNING] >= threads)
        found = Measured(setting)
        for number, place in islice(zip(cycle(ours), _places(len(ours)), strict=False), setting.emergencies):
            counts = ledger.counts()
            found.busy.append(counts[JobState.RUNNING])
            found.waiting.append(counts[JobState.QUEUED])
            job = didflow.submit(Reroute(numbers=(number,), destinations=(place,)))
            _take(found, didflow.wait(job.id, END_WITHIN_S))
        client.close()
        return found


def _onboarding(count: int) -> Iterator[Submission]:
    request = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), policy="best_effort")
    return (Submission(request, idempotency_key=f"order-{place}", reference=f"customer-{place % 997}") for place in range(count))


def _places(count: int) -> Iterator[Destination]:
    """Every number goes to the first place, then every number to the other: each job has something to do."""
    return (place for place in cycle(PLACES) for _ in range(count))


def _take(found: Measured, view: JobView) -> None:
    assert view.state is JobState.SUCCEEDED, (view.state, view.error)
    assert view.started_at is not None
    assert view.finished_at is not None
    found.started_ms.append((view.started_at - view.created_at).total_seconds() * 1000)
    found.confirmed_ms.append((view.finished_at - view.created_at).total_seconds() * 1000)


def _until(met: Callable[[], bool], within_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not met():
        assert time.monotonic() < deadline_s, "the workers don't get busy"
        time.sleep(0.05)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of them doesn't exceed."""
    return sorted(values)[max(0, round(share * len(values)) - 1)]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.lanes", description=__doc__)
    for name, default in vars(Setting()).items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(default), default=default, help="(%(default)s)")
    console = Console(highlight=False)
    load_before = os.getloadavg()[0]
    found = measure(Setting(**vars(parser.parse_args())), console.print)
    setting = found.setting
    table = Table("ms from submit to", "p50", "p99", "max", box=None, pad_edge=False)
    for name, values in (("start", found.started_ms), ("confirmed", found.confirmed_ms)):
        table.add_row(name, *(f"{value:.0f}" for value in (percentile(values, 0.5), percentile(values, 0.99), max(values))))
    console.print(table)
    money = setting.processes * setting.threads
    console.print(
        f"{len(found.started_ms)} emergency jobs; {min(found.waiting)} to {max(found.waiting)} onboarding jobs were waiting meanwhile"
    )
    at_work = f"{percentile(found.busy, 0.5):.0f} (median), {min(found.busy)} (least)"
    console.print(f"jobs at work at a submit: {at_work}, with {money} money threads; rate limit {setting.rate_limit}/s")
    console.print(f"{os.cpu_count()} cores, load {load_before:.1f} before and {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
