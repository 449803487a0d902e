"""Load over HTTP: connections that are kept, with as little work for each request as possible, so that the server is the slower one."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

#: One request with its number.
Render = Callable[[int], bytes]


@dataclass
class Connection:
    """A kept connection. One request at a time."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body. Only answers with a Content-Length are understood."""
        self.writer.write(request)
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        return int(head[9:12]), await self.reader.readexactly(length)


@dataclass
class Load:
    """What was measured: how many were answered in how long, and each one's latency in ms."""

    took_s: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def per_s(self) -> float:
        return len(self.latencies_ms) / self.took_s

    def percentile_ms(self, part: float) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


@asynccontextmanager
async def connections(url: str, count: int) -> AsyncIterator[list[Connection]]:
    host, _, port = url.removeprefix("http://").partition(":")
    opened = [Connection(*await asyncio.open_connection(host, int(port))) for _ in range(count)]
    try:
        yield opened
    finally:
        for one in opened:
            one.writer.close()


async def closed_loop(opened: list[Connection], render: Render, *, seconds: float, most: int | None = None) -> Load:
    """Each connection asks again as soon as it has its answer, for a time, or for a number of requests in all."""
    load, numbers = Load(), itertools.count()
    began_s = time.perf_counter()

    async def run(connection: Connection) -> None:
        while (now_s := time.perf_counter()) - began_s < seconds and (number := next(numbers)) < (most or number + 1):
            await _one(connection, render(number), load, now_s)

    await asyncio.gather(*map(run, opened))
    load.took_s = time.perf_counter() - began_s
    return load


async def open_loop(opened: list[Connection], render: Render, *, per_s: float, seconds: float) -> Load:
    """Requests come at their times, however slow the answers are: a latency counts from when the request was due."""
    load, free = Load(), asyncio.Queue[Connection]()
    for one in opened:
        free.put_nowait(one)
    began_s = time.perf_counter()

    async def run(number: int, due_s: float) -> None:
        connection = await free.get()
        await _one(connection, render(number), load, due_s)
        free.put_nowait(connection)

    running = set[asyncio.Task[None]]()
    for number in range(int(per_s * seconds)):
        due_s = began_s + number / per_s
        if (early_s := due_s - time.perf_counter()) > 0:
            await asyncio.sleep(early_s)
        running.add(asyncio.create_task(run(number, due_s)))
    await asyncio.gather(*running)
    load.took_s = time.perf_counter() - began_s
    return load


async def _one(connection: Connection, request: bytes, load: Load, since_s: float) -> None:
    status, body = await connection.ask(request)
    if status not in (200, 202):
        raise RuntimeError(f"answered {status}: {body[:300]!r}")
    load.latencies_ms.append((time.perf_counter() - since_s) * 1000)
