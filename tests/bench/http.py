"""`didflow serve` under load, beside a bare FastAPI app that does one XADD on the same server.

`python -m tests.bench.http [--parts submits listeners webhooks memory] [--rounds 3] [--requests 100000] [--no-write]`. One process serves;
no worker runs. Rounds are interleaved.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from didflow.contract.api_keys import ApiKey, ApiScope, new_key_id
from didflow.ledger import api_keys
from didflow.ledger.connection import connect
from didflow.ledger.ledger import Ledger
from producers.webhooks.deliverer import AT_ONCE
from tests.bench.child import started
from tests.bench.contenders.contender import URL_VARIABLE
from tests.bench.http_load import Load, closed_loop, connections, open_loop
from tests.bench.report import table
from tests.bench.webhook_sink import webhooks
from worker.local.embedded_valkey import EmbeddedValkey

DOCS = Path(__file__).parents[2] / "docs" / "bench"
CONNECTIONS, WARM_S, MEASURE_S = 16, 1.5, 6.0
LISTENERS = 1_000
PARTS = ("submits", "listeners", "webhooks", "memory")
BARE, OURS = "bare FastAPI + XADD", "didflow serve"
BODY = json.dumps(
    {
        "request": {"country": "US", "city": "LOS ANGELES, CA", "quantity": 2, "max_monthly_usd": "2.50", "policy": "all_or_nothing"},
        "reference": "customer-4711",
    }
).encode()


class Server:
    """A process that serves, and what it takes."""

    def __init__(self, url: str, pid: int, secret: str = "") -> None:
        self.url, self._pid, self._secret = url, pid, secret
        self._run = uuid.uuid4().hex[:8]

    def order(self, number: int) -> bytes:
        """A submit with a key of its own."""
        return self._request("POST", "/v1/jobs/search-and-buy", BODY, f"Idempotency-Key: {self._run}-{number}\r\n")

    def repeat(self, number: int) -> bytes:
        """A submit of one of a hundred keys: after the first of each, the ledger doesn't grow."""
        return self.order(number % 100)

    def next_run(self) -> None:
        self._run = uuid.uuid4().hex[:8]

    def listen(self) -> bytes:
        return self._request("GET", "/v1/events", b"", "")

    @property
    def resident_mb(self) -> float:
        """Of the process, as the kernel counts it."""
        lines = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024

    @property
    def processor_s(self) -> float:
        """What the process has used so far. On a busy machine it says more than a rate does."""
        used = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, used)) / os.sysconf("SC_CLK_TCK")

    def _request(self, method: str, path: str, body: bytes, more: str) -> bytes:
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self._secret}\r\n{more}"
        return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.http")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what is measured; the rest stays as it was written")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=100_000, help="of the part that looks at memory")
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args()
    file = DOCS / "http.json"
    found = json.loads(file.read_text()) if file.exists() and not options.no_write else {}
    found |= asyncio.run(measured(options.parts, options.rounds, options.requests))
    text = _markdown(found)
    print(text)
    if not options.no_write:
        file.write_text(json.dumps(found, indent=1) + "\n")
        (DOCS / "http.md").write_text(text)


async def measured(parts: Collection[str], rounds: int, requests: int) -> dict[str, Any]:
    """What each part found, with when and under which load."""
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        redis = stack.enter_context(EmbeddedValkey(None))
        servers = {BARE: stack.enter_context(bare(redis.url)), OURS: stack.enter_context(ours(redis.url))}
        measures: dict[str, Callable[[], Awaitable[dict[str, Any]]]] = {
            "submits": lambda: _submits(servers, rounds),
            "listeners": lambda: _listeners(servers[OURS]),
            "webhooks": lambda: _webhooks(redis.url, rounds),
            "memory": lambda: _memory(servers[OURS], requests),
        }
        for part in parts:
            machine = {"cores": os.cpu_count(), "python": sys.version.split()[0], "load": round(os.getloadavg()[0], 1)}
            found[part] = {"measured": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", **machine, **await measures[part]()}
    return found


async def _submits(servers: Mapping[str, Server], rounds: int) -> dict[str, Any]:
    samples: dict[str, list[Load]] = {name: [] for name in servers}
    processor_ms: dict[str, list[float]] = {name: [] for name in servers}
    for number in range(rounds):
        for name in sorted(servers, reverse=bool(number % 2)):
            load, used_ms = await _most(servers[name])
            samples[name].append(load)
            processor_ms[name].append(used_ms)
            print(f"{name:20} {load.per_s:6.0f}/s, p50 {load.percentile_ms(0.5):.1f} ms, {used_ms:.2f} ms of processor", flush=True)
    rates = {name: statistics.median(load.per_s for load in loads) for name, loads in samples.items()}
    half = [await _at(servers[OURS], rates[OURS] / 2) for _ in range(rounds)]
    return {
        "rates": {name: round(rate) for name, rate in rates.items()},
        "rounds": {name: [round(load.per_s) for load in loads] for name, loads in samples.items()},
        "processor_ms": {name: round(statistics.median(used), 3) for name, used in processor_ms.items()},
        "half_per_s": round(rates[OURS] / 2),
        "half_p50_ms": [round(load.percentile_ms(0.5), 1) for load in half],
        "half_p99_ms": [round(load.percentile_ms(0.99), 1) for load in half],
    }


async def _webhooks(redis_url: str, rounds: int) -> dict[str, Any]:
    return {"rounds": [round(await webhooks(redis_url)) for _ in range(rounds)]}


async def _most(server: Server) -> tuple[Load, float]:
    """As many submits as it takes from clients that never pause, and the processor time of each."""
    async with connections(server.url, CONNECTIONS) as opened:
        for seconds in (WARM_S, MEASURE_S):
            server.next_run()
            before_s = server.processor_s
            load = await closed_loop(opened, server.order, seconds=seconds)
    return load, (server.processor_s - before_s) * 1000 / len(load.latencies_ms)


async def _at(server: Server, per_s: float) -> Load:
    server.next_run()
    async with connections(server.url, CONNECTIONS) as opened:
        return await open_loop(opened, server.order, per_s=per_s, seconds=2 * MEASURE_S)


async def _listeners(server: Server) -> dict[str, Any]:
    """What a thousand listeners take, and how long an event takes to all of them."""
    before_mb = server.resident_mb
    async with connections(server.url, LISTENERS) as opened, connections(server.url, 1) as (other,):
        for one in opened:
            one.writer.write(server.listen())
        for one in opened:
            head = await one.reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"a listener was answered {head!r} {await one.reader.read(1000)!r}")
            await one.reader.readuntil(b"id: ")
            await one.reader.readuntil(b"\n\n")
        server.next_run()
        began_s = asyncio.get_running_loop().time()
        await other.ask(server.order(0))
        await asyncio.gather(*(one.reader.readuntil(b"didflow.job.queued.v1") for one in opened))
        took_ms = (asyncio.get_running_loop().time() - began_s) * 1000
        return {"mb": round(server.resident_mb), "mb_before": round(before_mb), "heard_by_all_ms": round(took_ms)}


async def _memory(server: Server, requests: int) -> dict[str, Any]:
    """Submits that are repeated, and the process's memory after each tenth of them."""
    server.next_run()
    found = {}
    async with connections(server.url, CONNECTIONS) as opened:
        for part in range(1, 11):
            await closed_loop(opened, server.repeat, seconds=600, most=requests // 10)
            found[f"{requests // 10 * part}"] = round(server.resident_mb, 1)
    return {"mb_after": found}


@contextmanager
def bare(redis_url: str) -> Iterator[Server]:
    with started("tests.bench.contenders.bare_http", [], {URL_VARIABLE: redis_url}) as (url, pid):
        yield Server(url, pid)


@contextmanager
def ours(redis_url: str) -> Iterator[Server]:
    namespace = f"bench-{uuid.uuid4().hex[:6]}"
    ledger = Ledger(connect(redis_url), namespace)
    key = ApiKey(id=new_key_id(), name="bench", scopes=frozenset({ApiScope.BUY, ApiScope.READ}), rate_per_s=10_000)
    secret = ledger.perform(api_keys.create(ledger.commands, key))
    with started("producers.cli", ["serve", "--port", "0"], {"DIDFLOW_REDIS_URL": redis_url, "DIDFLOW_NAMESPACE": namespace}) as (
        url,
        pid,
    ):
        yield Server(url, pid, secret)


def _markdown(found: Mapping[str, Any]) -> str:
    rows: list[tuple[str, str, str, str]] = []
    for part in PARTS:
        if part in found:
            rows += [(*row, str(found[part]["load"])) for row in _ROWS[part](found[part])]
    first = next(iter(found.values()))
    when = ", ".join(f"{part} {one['measured']}" for part, one in found.items())
    head = f"{first['cores']} cores, Python {first['python']}; Valkey with AOF always. Medians of the rounds. Measured: {when}."
    return f"{head}\n\n" + table(("what", "measured", "goal", "load average"), rows)


Rows = list[tuple[str, str, str]]


def _of_submits(one: Mapping[str, Any]) -> Rows:
    rates, half = one["rates"], one["half_per_s"]
    rounds = {name: ", ".join(f"{rate:,}" for rate in found) for name, found in one["rounds"].items()}
    return [
        *((f"submits a second, {name} (rounds: {rounds[name]})", f"{rates[name]:,}", "") for name in (BARE, OURS)),
        *((f"processor time of a submit, {name}", f"{one['processor_ms'][name]:.2f} ms", "") for name in (BARE, OURS)),
        ("ratio", f"{rates[OURS] / rates[BARE]:.2f}", "0.6"),
        (f"at {half:,} submits a second: p50", f"{statistics.median(one['half_p50_ms']):.1f} ms", "10 ms"),
        (f"at {half:,} submits a second: p99", f"{statistics.median(one['half_p99_ms']):.1f} ms", "40 ms"),
    ]


def _of_listeners(one: Mapping[str, Any]) -> Rows:
    return [
        (f"memory with {LISTENERS:,} listeners (before them {one['mb_before']} MB)", f"{one['mb']} MB", "200 MB"),
        (f"an event, from its submit to all {LISTENERS:,}", f"{one['heard_by_all_ms']} ms", ""),
    ]


def _of_webhooks(one: Mapping[str, Any]) -> Rows:
    rounds = ", ".join(f"{rate:,}" for rate in one["rounds"])
    return [(f"webhooks a second, {AT_ONCE} at once (rounds: {rounds})", f"{statistics.median(one['rounds']):,}", "300")]


def _of_memory(one: Mapping[str, Any]) -> Rows:
    (first, began_mb), *_, (last, ended_mb) = one["mb_after"].items()
    return [(f"memory after {int(first):,} and {int(last):,} submits", f"{began_mb:.0f} and {ended_mb:.0f} MB", "flat")]


_ROWS: dict[str, Callable[[Mapping[str, Any]], Rows]] = {
    "submits": _of_submits,
    "listeners": _of_listeners,
    "webhooks": _of_webhooks,
    "memory": _of_memory,
}


if __name__ == "__main__":
    main()
