"""What a queue is limited by: processor time of its workers, its client and the server, and how long the server's event loop is busy.

`python -m tests.bench.limits [--only didflow,huey] [--jobs 2500] [--backlog 20000]`. Linux only: it reads `/proc`. The measured process is
this module again, in the environment of its queue.
"""

import argparse
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from tests.bench import measure
from tests.bench.contenders.contender import URL_VARIABLE, Contender, server_url

NAMES = ("didflow", "huey", "saq", "taskiq", "dramatiq")
#: saq needs a redis-py that is older than didflow's.
OTHER_PYTHON = {"saq": Path(".venv-bench-arq/bin/python")}
#: One measurement that takes longer has failed.
MEASURE_WITHIN_S = 100.0
HEAD = "queue, mode: jobs/s; us of a job: wall, client, workers, server, loop busy (of it commands); loops a job; AOF bytes a job; load"

Moment = dict[str, float]


def main() -> None:
    options = _options()
    if options.queue:
        _measure(options.queue, options.jobs, options.backlog)
        return
    from worker.local.embedded_valkey import EmbeddedValkey  # Not in the environments of other queues.

    print(HEAD, flush=True)
    with EmbeddedValkey(None) as server:
        client = redis.Redis.from_url(server.url)
        client.config_set("auto-aof-rewrite-percentage", "0")
        for name in options.only.split(","):
            client.flushall()
            python = str(OTHER_PYTHON.get(name, Path(sys.executable)))
            sizes = ["--jobs", str(options.jobs), "--backlog", str(options.backlog)]
            command = [python, "-m", "tests.bench.limits", "--queue", name, *sizes]
            subprocess.run(command, env={**os.environ, URL_VARIABLE: server.url}, check=False, timeout=MEASURE_WITHIN_S)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.limits")
    parser.add_argument("--only", default=",".join(NAMES), help="comma list of queues")
    parser.add_argument("--jobs", type=int, default=2500, help="how many are submitted at once; 0: none")
    parser.add_argument("--backlog", type=int, default=2500, help="how many are there before the workers begin; 0: none")
    parser.add_argument("--queue", help="measure this one here, on the server that runs")
    return parser.parse_args()


def _measure(name: str, jobs: int, backlog: int) -> None:
    contender: Contender = importlib.import_module(f"tests.bench.contenders.{name}_jobs").Contender()
    with measure._workers(contender, Path(os.devnull)):
        contender.submit_one()
        measure._until(contender, 1, every_s=0.01)
        measure._warm(contender)
        workers = [pid for pid in _descendants(os.getpid()) if b"sandbox" not in Path(f"/proc/{pid}/cmdline").read_bytes()]
        if jobs:
            _report(f"{name}, many at once", jobs, workers, lambda: _submitted_and_ended(contender, jobs))
        if backlog:
            with _stopped(workers):
                target = contender.ended() + backlog
                contender.submit_many(backlog)
            _report(f"{name}, a backlog of {backlog}", backlog, workers, lambda: measure._until(contender, target, every_s=0.02))


def _submitted_and_ended(contender: Contender, count: int) -> None:
    target = contender.ended() + count
    contender.submit_many(count)
    measure._until(contender, target, every_s=0.005)


@contextmanager
def _stopped(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _report(what: str, count: int, workers: list[int], act: Callable[[], None]) -> None:
    client = redis.Redis.from_url(server_url())
    before = _moment(client, workers)
    act()
    after = _moment(client, workers)
    took = {name: (after[name] - before[name]) / count for name in before}
    parts = ", ".join(f"{took[name] * 1e6:.0f}" for name in ("wall_s", "client_s", "workers_s", "server_s"))
    loop = f"{took['busy_s'] * 1e6:.0f} ({took['commands_s'] * 1e6:.0f})"
    rest = f"{took['loops']:.2f}; {took['aof_bytes']:.0f}; {os.getloadavg()[0]:.1f}"
    print(f"{what}: {1 / took['wall_s']:.0f}; {parts}, {loop}; {rest}", flush=True)


def _moment(client: redis.Redis, workers: list[int]) -> Moment:
    info: dict[str, Any] = client.info("everything")
    return {
        "wall_s": time.perf_counter(),
        "client_s": _processor_s(os.getpid()),
        "workers_s": sum(map(_processor_s, workers)),
        "server_s": _processor_s(int(info["process_id"])),
        "busy_s": info["eventloop_duration_sum"] / 1e6,
        "commands_s": info["eventloop_duration_cmd_sum"] / 1e6,
        "loops": info["eventloop_cycles"],
        "aof_bytes": info["aof_current_size"],
    }


def _processor_s(pid: int) -> float:
    """Of all its threads that live."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def _descendants(pid: int) -> list[int]:
    children = [int(child) for thread in Path(f"/proc/{pid}/task").iterdir() for child in (thread / "children").read_text().split()]
    return [one for child in children for one in (child, *_descendants(child))]


if __name__ == "__main__":
    main()
