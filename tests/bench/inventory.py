"""The inventory of an account with 100,000 numbers: memory, a page, totals, the longest script, and a sweep's share of the rate.

`python -m tests.bench.inventory [--numbers 100000] [--no-write]`. A thread writes to the same Redis as jobs do, all the while. The server
rewrites its AOF only for the line that says so: then its child shares the memory, and each page that is written to first is copied.
"""

import argparse
import json
import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import redis

from didflow.client.sync.client import Didflow
from didflow.client.sync.inventory import Inventory
from didflow.contract.destinations import SeenDestination
from didflow.contract.inventory import InventoryFilter
from didflow.contract.provider import OwnedNumber
from didflow.contract.requests import SearchAndBuy
from didflow.ledger.connection import connect
from didflow.ledger.inventory_changes import SweepTimes, merged
from didflow.ledger.inventory_rows import Row
from didflow.ledger.inventory_sweeps import Changed, InventorySweeps, Kept, SweepTurn
from didflow.ledger.ledger import Ledger
from didflow.ledger.script_calls import Submission
from didflow.ledger.script_loader import load_script, script_paths
from tests.bench.report import table
from worker.local.embedded_valkey import EmbeddedValkey

DOCS = Path(__file__).parents[2] / "docs" / "bench"
ROUNDS = 15
CITIES, TRUNKS = 400, 12
FILTERS = {
    "all, by number": (InventoryFilter(), "number"),
    "one city of 400": (InventoryFilter(country="US", city="CITY 123"), "number"),
    "one label (3 numbers)": (InventoryFilter(label="customer 4711"), "number"),
    "one trunk of 12": (InventoryFilter(trunk_id=105), "number"),
    "renews within 7 days, dearest first": (InventoryFilter(renewal_within=timedelta(days=7)), "-monthly_usd"),
}


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--numbers", type=int, default=100_000)
    options.add_argument("--no-write", dest="write", action="store_false", help="leave docs/bench as it is")
    given = options.parse_args()
    count: int = given.numbers
    with EmbeddedValkey(None) as server:
        found = measured(server.url, count)
    rows = [(name, value) for name, value in found.items()]
    text = table(("what", "measured"), rows) if rows else ""
    print(text)
    if not given.write:
        return
    (DOCS / "inventory.json").write_text(
        json.dumps({"at": f"{datetime.now(UTC):%Y-%m-%d %H:%M}", "numbers": count, **found}, indent=1) + "\n"
    )
    (DOCS / "inventory.md").write_text(text)


def measured(url: str, count: int) -> dict[str, str]:
    """What each line of the table says."""
    client = connect(url)
    client.config_set("slowlog-log-slower-than", 1000)
    client.config_set("slowlog-max-len", 10_000)
    client.config_set("auto-aof-rewrite-percentage", 0)
    ledger = Ledger(client, f"bench-{uuid.uuid4().hex[:6]}")
    before = used_memory(client)
    client.slowlog_reset()
    filled_s = fill(ledger, count)
    mirror_mb = (used_memory(client) - before) / 1e6
    inventory = Inventory(Didflow(client, ledger.keys.namespace))
    found = {"numbers": f"{inventory.state().numbers:,}", "mirror in Redis": f"{mirror_mb:.1f} MB (goal: 60)"}
    with jobs_running(url, ledger.keys.namespace):
        for name, (wanted, sort) in FILTERS.items():
            page = lambda wanted=wanted, sort=sort: inventory.page(matching=wanted, sort=sort)  # noqa: E731
            found[f"page of 100: {name}"] = f"{spread(page)} (goal: 50)"
        found["totals of all"] = f"{spread(inventory.totals)} (goal: 200)"
        found["totals of one city"] = f"{spread(lambda: inventory.totals(matching=FILTERS['one city of 400'][0]))} (goal: 200)"
        again_s = sweep_again(ledger, count)
        # A script that the kernel interrupts, or that waits for memory, counts whole: the next ones say what a script takes.
        found["longest script"] = f"{longest(client)} (goal: 10)"
        client.bgrewriteaof()
        sweep_again(ledger, count)
        found["longest script, while the AOF is rewritten"] = f"{longest(client)} (goal: 10)"
    found["first sweep, ledger's part"] = f"{filled_s:.1f} s"
    found["sweep without news, ledger's part"] = (
        f"{again_s:.1f} s; {-(-count // 100)} requests, at a tenth of 10 a second {count // 100 / 60:.0f} min"
    )
    client.close()
    return found


def longest(client: redis.Redis) -> str:
    """By SLOWLOG since the call before: the longest ones with their names, ms."""
    names = {load_script(name).sha1: name for name in script_paths()}
    slow = [(one["duration"] / 1000, bytes(one["command"]).split()) for one in client.slowlog_get(10_000)]
    client.slowlog_reset()
    scripts = sorted(((took_ms, names.get(words[1].decode(), "?")) for took_ms, words in slow if words[0] == b"EVALSHA"), reverse=True)
    return ", ".join(f"{took_ms:.1f} ms ({name})" for took_ms, name in scripts[:3]) or "under 1 ms"


def numbers(count: int) -> Iterator[OwnedNumber]:
    draw = Random(1)
    now = datetime(2026, 11, 30, tzinfo=UTC)
    fees = [Decimal(text) for text in ("0.35", "1.00", "2.50", "12.00")]
    for place in range(count):
        trunk = 100 + draw.randrange(TRUNKS)
        yield OwnedNumber(
            record_id=47_000_001 + place,
            number=f"+1213{place:07}",
            status="active" if place % 20 else "inactive",
            added=now - timedelta(days=draw.randrange(700)),
            paid_until=now + timedelta(days=draw.randrange(31)),
            setup_usd=Decimal("1.00"),
            monthly_usd=draw.choice(fees),
            route=(SeenDestination(transport=5, destination=f"3{trunk:04}", trunk_id=trunk),),
            label=f"customer {place // 3}",
            sms_enabled=place % 3 == 0,
            seconds=draw.randrange(2) * draw.randrange(10_000),
            channels=4,
            city=f"CITY {draw.randrange(CITIES)}",
            country_iso_code="US",
        )


def fill(ledger: Ledger, count: int) -> float:
    """As a first sweep writes it; returns how long that took without the provider, s."""
    sweeps, began_s = InventorySweeps(ledger), time.monotonic()
    turn = sweeps.begin("default", "bench")
    assert isinstance(turn, SweepTurn)
    times = SweepTimes(turn.began_ms, 0, None)
    page: list[Changed] = []
    for owned in numbers(count):
        page.append(Changed(Kept("", None), merged(None, owned, times)))
        if len(page) == 100:
            assert sweeps.write(turn, (), page, read_ms=turn.began_ms, settle_ms=0) == []
            page = []
    assert sweeps.write(turn, (), page, read_ms=turn.began_ms, settle_ms=0) == []
    sweeps.end(turn, complete=True, pause_s=0.0, trouble="", settle_ms=0, first="{}")
    return time.monotonic() - began_s


def sweep_again(ledger: Ledger, count: int) -> float:
    """As a sweep that finds everything as it was."""
    sweeps, began_s = InventorySweeps(ledger), time.monotonic()
    turn = sweeps.begin("default", "again")
    assert isinstance(turn, SweepTurn)
    times = SweepTimes(turn.began_ms, 0, turn.complete_ms)
    every = list(numbers(count))
    for start in range(0, count, 100):
        some = every[start : start + 100]
        kept = sweeps.kept("default", [one.number for one in some])
        rows: list[Row] = []
        for one in some:
            row = kept[one.number].row
            assert row is not None
            assert merged(row, one, times).is_as(row)
            rows.append(row)
        assert sweeps.write(turn, rows, (), read_ms=turn.began_ms, settle_ms=0) == []
    assert sweeps.unseen(turn) == []
    sweeps.end(turn, complete=True, pause_s=0.0, trouble="", settle_ms=0, first="{}")
    return time.monotonic() - began_s


@contextmanager
def jobs_running(url: str, namespace: str) -> Iterator[None]:
    """Jobs are submitted and claimed on the same server."""
    stop = threading.Event()

    def work() -> None:
        ledger = Ledger(connect(url), namespace)
        while not stop.wait(0.005):
            job = ledger.submit(Submission(SearchAndBuy(country="US")))
            ledger.claim(job.id, uuid.uuid4().hex, lease_ms=60_000)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def spread(ask: Callable[[], object]) -> str:
    """Median, shortest and longest, ms: on a busy machine the shortest says most."""
    ask()
    taken = []
    for _ in range(ROUNDS):
        began_s = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - began_s) * 1000)
    return f"{statistics.median(taken):.0f} ms, {min(taken):.0f} to {max(taken):.0f}"


def used_memory(client: redis.Redis) -> int:
    info: Any = client.info("memory")
    return int(info["used_memory"])


if __name__ == "__main__":
    main()
