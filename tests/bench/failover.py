"""How fast a failover of an account's numbers is, against what is possible and against the official SDK.

`python -m tests.bench.failover [--numbers 10000]`, on sandboxes with 50 ms latency and a rate limit.

    ideal        P = ceil(numbers / 100) pages to list, B = ceil(numbers / batch) calls to change, requests spaced at the rate r, each
                 answered after the latency L, any number of them under way:
                     accepted  = (P + B - 1) / r + L        the first batch waits for no page but its own
                     confirmed = (P + B + P - 1) / r + L    every number is read back
                 For half of the numbers, which are known before, nothing is listed first:
                     accepted = (B - 1) / r + L         confirmed = (B + P - 1) / r + L
                 and the same with the spacing that didflow keeps, which is a little wider than 1 / r (see docs/operations.md)
    didflow      one Reroute job by selector, two worker processes, all settings but the rate limit as they are by default: from the
                 inventory, whose sweep was complete before; of all numbers, and of half of them
                 listed: the same with `read_routes`, so that all is listed first
                 planned: the run of a plan that was refreshed before, so that nothing has to be listed
    sdk_bulk     wavix-python-sdk: list page by page, `bulk_update` in a plain loop, list again
    sdk_single   the same with one number in each call; a part is measured, the rest is extrapolated
"""

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wavix import NumberDestination, Wavix

from didflow import Destination, Didflow, Reroute, Selector
from didflow.contract.states import JobState
from didflow.ledger.rate_limit import Pace
from didflow.settings import Settings
from producers.failover import Failover
from tests.bench.report import Bar, chart, table
from worker.local.stack import LocalStack
from worker.wavix.sandbox import SandboxAdmin
from worker.wavix.sandbox.options import SANDBOX_KEY

DOCS = Path(__file__).parents[2] / "docs" / "bench"
LATENCY_S = 0.05
PER_PAGE = 100
INVENTORY, HALF, LISTED, PLANNED = "didflow", "didflow, half of the numbers", "didflow, all listed first", "didflow, a plan's run"
OURS = (INVENTORY, HALF, LISTED, PLANNED)
IDEAL, IDEAL_HALF, IDEAL_SPACED = "ideal, computed", "ideal for half of the numbers, computed", "the same with our spacing, computed"
OLD, OTHER, NEW = "old@example.net", "other@example.net", "new@example.net"
#: So many single calls are measured.
SINGLE_PART = 60
#: A failover that takes longer than this has failed.
GIVE_UP_S = 240.0


@dataclass(frozen=True)
class Run:
    """What one way took, from its submit. `calls` as the provider counted them, refused ones included. `first_s`: until it was sent the
    first change."""

    name: str
    accepted_s: float
    confirmed_s: float
    calls: int
    refused: int
    note: str = ""
    load: float = 0.0
    first_s: float | None = None
    measured: str = ""


def main() -> None:
    options = _options()
    batch = Settings.model_fields["batch_size"].default
    began = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    runs = ideals(options.numbers, options.rate, batch)
    if options.only:
        names = dict(zip(("inventory", "half", "listed", "planned"), OURS, strict=True))
        new = [didflow(options.numbers, options.rate, names[one]) for one in options.only.split(",")]
    else:
        new = [didflow(options.numbers, options.rate, name) for name in OURS]
        new += [sdk_bulk(options.numbers, options.rate, batch), sdk_single(options.numbers, options.rate)]
    new = [replace(run, measured=began) for run in new]
    runs += [*new, *(run for run in _written() if options.only and run.name not in {one.name for one in (*runs, *new)})]
    report = {
        "measured": began,
        "machine": f"{os.cpu_count()} cores, Python {sys.version.split()[0]}",
        "numbers": options.numbers,
        "rate_per_s": options.rate,
        "latency_s": LATENCY_S,
        "batch": batch,
        "runs": [asdict(run) for run in runs],
    }
    print(_markdown(report, runs))
    if options.write:
        _write(report, runs)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.failover")
    parser.add_argument("--numbers", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second that the sandbox allows (%(default)s)")
    parser.add_argument("--no-write", dest="write", action="store_false", help="leave docs/bench as it is")
    parser.add_argument("--only", default="", help="some of ours: inventory,half,listed,planned. The other rows stay as they were")
    return parser.parse_args()


def _written() -> list[Run]:
    """The rows of the table as it is, with the date of each."""
    report = json.loads((DOCS / "failover.json").read_text())
    return [Run(**{"measured": report["measured"], **row}) for row in report["runs"]]


def ideals(numbers: int, rate: float, batch: int) -> list[Run]:
    """Computed, not measured."""
    pages, half = math.ceil(numbers / PER_PAGE), math.ceil(numbers // 2 / batch)
    interval_s = Pace.of(rate, 0).interval_us / 1_000_000
    return [
        _ideal(IDEAL, pages + math.ceil(numbers / batch), pages, 1 / rate),
        _ideal(IDEAL_HALF, half, pages, 1 / rate),
        _ideal(IDEAL_SPACED, half, pages, interval_s),
    ]


def _ideal(name: str, before: int, pages: int, interval_s: float) -> Run:
    """`before`: calls until all is sent; then `pages` are read back."""
    accepted_s = (before - 1) * interval_s + LATENCY_S
    return Run(name, accepted_s, accepted_s + pages * interval_s, before + pages, 0)


def didflow(numbers: int, rate: float, name: str) -> Run:
    """One of `OURS`."""
    planned, meant = name == PLANNED, numbers // 2 if name == HALF else numbers
    with _sandbox(numbers, rate, processes=2, elsewhere=numbers - meant) as (stack, admin):
        client = Didflow.from_url(stack.redis_url or "")
        _until_ready(client)
        selector, new = Selector(destination=f"sip:{OLD}"), (Destination(transport=1, destination=NEW),)
        failover = Failover(client)
        if planned:
            failover.plan("bench", selector, new, timeout_s=GIVE_UP_S)
        _until_swept(client)
        before = _counted(admin.traffic())
        load, began_s = os.getloadavg()[0], time.monotonic()
        lists = name == LISTED
        job = failover.run_plan("bench", "INC-1").job if planned else failover.away("INC-1", selector, new, read_routes=lists)
        view = client.wait(job.id, timeout_s=GIVE_UP_S)
        confirmed_s = time.monotonic() - began_s
        traffic = admin.traffic()  # Not the whole state: of 10,000 numbers it takes a tenth of a second, which would count as theirs.
        looked_s = time.monotonic() - began_s
        assert view.state is JobState.SUCCEEDED, (view.state, view.reason)
        _check(admin.state(), meant)
        accepted_s = looked_s - _last_change_ago_s(traffic) + LATENCY_S
        first_s = looked_s - float(traffic["first_came_s_ago"]["destinations"])
        calls, refused = (now - then for now, then in zip(_counted(traffic), before, strict=True))
        return Run(name, accepted_s, confirmed_s, calls, refused, note="one Reroute job", load=load, first_s=first_s)


def sdk_bulk(numbers: int, rate: float, batch: int) -> Run:
    with _sandbox(numbers, rate) as (stack, admin):
        client, load, began_s = _sdk(stack), os.getloadavg()[0], time.monotonic()
        ids = _listed(client, OLD)
        for start in range(0, len(ids), batch):
            client.numbers.bulk_update(ids=ids[start : start + batch], destinations=_route())
        accepted_s = time.monotonic() - began_s
        assert len(_listed(client, NEW)) == numbers
        confirmed_s = time.monotonic() - began_s
        traffic = admin.state()
        _check(traffic, numbers)
        return Run("SDK, bulk_update in a loop", accepted_s, confirmed_s, *_counted(traffic), load=load)


def sdk_single(numbers: int, rate: float) -> Run:
    with _sandbox(numbers, rate) as (stack, admin):
        client, load, began_s = _sdk(stack), os.getloadavg()[0], time.monotonic()
        ids = _listed(client, OLD)
        listed_s = time.monotonic() - began_s
        before = _counted(admin.state())
        # The first second's worth goes through at once: it isn't what the rest would take.
        burst, part = ids[: int(rate)], ids[int(rate) : int(rate) + SINGLE_PART]
        for one in burst:
            client.numbers.bulk_update(ids=[one], destinations=_route())
        part_s = time.monotonic()
        for one in part:
            client.numbers.bulk_update(ids=[one], destinations=_route())
        each_s = (time.monotonic() - part_s) / len(part)
        after = _counted(admin.state())
        sent = len(burst) + len(part)
        accepted_s = listed_s + each_s * numbers
        calls = 2 * before[0] + round((after[0] - before[0]) / sent * numbers)
        refused = 2 * before[1] + round((after[1] - before[1]) / sent * numbers)
        note = f"extrapolated from {len(part)} numbers"
        return Run("SDK, one number per call", accepted_s, accepted_s + listed_s, calls, refused, note=note, load=load)


@contextmanager
def _sandbox(numbers: int, rate: float, processes: int = 0, elsewhere: int = 0) -> Iterator[tuple[LocalStack, SandboxAdmin]]:
    """A sandbox that owns the numbers, so many of them `elsewhere`; with workers if requested."""
    arguments = (
        "--port",
        "0",
        "--latency-ms",
        str(LATENCY_S * 1000),
        "--rate-limit",
        str(rate),
        "--numbers-per-city",
        str(min(numbers, 9_999)),
    )
    with tempfile.TemporaryDirectory() as folder:
        environment = {"DIDFLOW_RATE_LIMIT": str(rate)}
        with LocalStack(processes, sandbox=arguments, environment=environment, log=Path(folder) / "log") as stack:
            admin = SandboxAdmin(stack.sandbox_url or "")
            for where, count in ((OLD, numbers - elsewhere), (OTHER, elsewhere)):
                seeded = admin.order("seed_owned", count=count, destinations=[{"transport": 1, "destination": where, "priority": 1}])
                assert len(seeded) == count
            yield stack, admin


def _until_ready(client: Didflow) -> None:
    """Until a worker has taken a job: a dry run of one number that isn't there."""
    probe = Reroute(numbers=("+12135550100",), destinations=(Destination(transport=1, destination=NEW),), dry_run=True)
    client.wait(client.submit(probe).id, timeout_s=GIVE_UP_S)


def _until_swept(client: Didflow) -> None:
    deadline_s = time.monotonic() + GIVE_UP_S
    while not client.inventory.state().complete:
        assert time.monotonic() < deadline_s, "the inventory wasn't swept"
        time.sleep(0.2)


def _sdk(stack: LocalStack) -> Wavix:
    return Wavix(token=SANDBOX_KEY, base_url=stack.sandbox_url or "")


def _route() -> list[NumberDestination]:
    return [NumberDestination(transport=1, destination=NEW, priority=1)]


def _listed(client: Wavix, destination: str) -> list[int]:
    """Record ids of the numbers on that destination, page after page."""
    found: list[int] = []
    page = pages = 1
    while page <= pages:
        answer: Any = client.numbers.list(page=page, per_page=PER_PAGE)
        pages = answer.pagination.total_pages
        found += [item.id for item in answer.items if any(one.destination == destination for one in item.destination)]
        page += 1
    return found


def _check(traffic: dict[str, Any], numbers: int) -> None:
    """What the provider has, not what anybody reports."""
    owned = traffic["accounts"]["default"]["owned"].values()
    moved = sum([one["destination"] for one in record["destinations"]] == [NEW] for record in owned)
    assert moved == numbers, f"{moved} of {numbers} moved"


def _counted(traffic: dict[str, Any]) -> tuple[int, int]:
    return sum(traffic["calls"].values()), traffic["statuses"].get("429", 0)


def _last_change_ago_s(traffic: dict[str, Any]) -> float:
    return float(traffic["last_came_s_ago"]["destinations"])


def _markdown(report: dict[str, Any], runs: Sequence[Run]) -> str:
    head = (
        f"{report['machine']}; {report['numbers']:,} numbers, {report['rate_per_s']:g} requests a second, "
        f"{report['latency_s'] * 1000:g} ms latency, batches of {report['batch']}.\n\n"
    )
    ideal_of = {run.name: run for run in runs}
    best = {run.name: ideal_of[IDEAL_HALF if run.name in (HALF, IDEAL_HALF, IDEAL_SPACED) else IDEAL] for run in runs}
    cells = [
        (
            f"{run.name}{f' ({run.note})' if run.note else ''}",
            f"{run.first_s * 1000:,.0f}" if run.first_s is not None else "",
            f"{run.accepted_s:,.1f}",
            f"{run.accepted_s / best[run.name].accepted_s:.2f}",
            f"{run.confirmed_s:,.1f}",
            f"{run.confirmed_s / best[run.name].confirmed_s:.2f}",
            f"{run.calls:,}",
            f"{run.refused:,}",
            f"{run.load:.1f}" if run.load else "",
            run.measured,
        )
        for run in runs
    ]
    return head + table(
        (
            "",
            "first sent, ms",
            "accepted, s",
            "… of its ideal",
            "confirmed, s",
            "… of its ideal",
            "calls",
            "of them 429",
            "load average",
            "measured",
        ),
        cells,
    )


def _write(report: dict[str, Any], runs: Sequence[Run]) -> None:
    DOCS.mkdir(parents=True, exist_ok=True)
    (DOCS / "failover.json").write_text(json.dumps(report, indent=1) + "\n")
    (DOCS / "failover.md").write_text(_markdown(report, runs))
    bars = [Bar(run.name, run.accepted_s, f"{run.accepted_s:,.1f} s", ours=run.name in OURS) for run in runs]
    title = f"{report['numbers']:,} numbers moved: seconds until the provider has accepted all"
    (DOCS / "failover.svg").write_text(chart(title, bars))


if __name__ == "__main__":
    main()
