"""Measures one queue, in the environment of that queue: `python -m tests.bench.measure NAME`; prints one JSON object.

Bounded in count and in time: how many jobs are submitted follows from how fast the first ones were.
"""

import contextlib
import importlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.bench.contenders.contender import Contender

#: Jobs that warm everything up, in bursts, for so long.
WARM_BURST = 50
WARM_S = 1.5
#: A burst takes about this long, with this many jobs at most.
BURST_S = 2.5
BURST_JOBS = (100, 3000)
#: How often a job is submitted to idle workers, how long they have been idle then, and how often its result is looked up.
IDLE_JOBS = 80
IDLE_S = (0.01, 0.04)
LOOK_EVERY_S = 0.0002
#: What takes longer than this has failed.
GIVE_UP_S = 30.0


def main() -> None:
    contender: Contender = importlib.import_module(f"tests.bench.contenders.{sys.argv[1]}_jobs").Contender()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("asked to stop"))
    log = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(os.devnull)
    with _workers(contender, log):
        contender.submit_one()
        _until(contender, 1, every_s=0.01)
        rate = _warm(contender)
        idle_ms = [_idle(contender) for _ in range(IDLE_JOBS)]
        many = _burst(contender, rate, contender.submit_many)
        one_by_one = _burst(contender, rate, partial(_one_by_one, contender))
    print(json.dumps({"idle_ms": idle_ms, "many": many, "one_by_one": one_by_one}))


@contextlib.contextmanager
def _workers(contender: Contender, log: Path) -> Iterator[None]:
    """Its worker processes, and all that they start, for as long as the block runs."""
    with log.open("ab") as out:
        children = [
            subprocess.Popen([sys.executable, *command], stdout=out, stderr=out, start_new_session=True) for command in contender.workers()
        ]
        try:
            yield
        finally:
            for child in children:
                child.terminate()
            for child in children:
                try:
                    child.wait(5)
                except subprocess.TimeoutExpired:
                    os.killpg(child.pid, signal.SIGKILL)  # Its own session: this child and its children only.
                    child.wait()


def _until(contender: Contender, count: int, *, every_s: float) -> None:
    deadline_s = time.monotonic() + GIVE_UP_S
    while contender.ended() < count:
        if time.monotonic() > deadline_s:
            sys.exit(f"only {contender.ended()} of {count} results after {GIVE_UP_S:g} s")
        time.sleep(every_s)


def _warm(contender: Contender) -> float:
    """Bursts until all is warm; the rate of the last one, jobs a second."""
    end_s, rate = time.monotonic() + WARM_S, 0.0
    while time.monotonic() < end_s:
        rate = _timed(contender, WARM_BURST, contender.submit_many)["jobs_per_s"]
    return rate


def _burst(contender: Contender, rate: float, submit: Callable[[int], object]) -> dict[str, float]:
    least, most = BURST_JOBS
    return _timed(contender, min(most, max(least, int(rate * BURST_S))), submit)


def _one_by_one(contender: Contender, count: int) -> None:
    for _ in range(count):
        contender.submit_one()


def _timed(contender: Contender, count: int, submit: Callable[[int], object]) -> dict[str, float]:
    """From before the first submit to the last result."""
    target = contender.ended() + count
    began_s = time.perf_counter()
    submit(count)
    submitted_s = time.perf_counter() - began_s
    _until(contender, target, every_s=0.005)
    took_s = time.perf_counter() - began_s
    return {"jobs": count, "submit_s": submitted_s, "took_s": took_s, "jobs_per_s": count / took_s}


def _idle(contender: Contender) -> float:
    """From before the submit until the result is in Redis, ms. The workers had nothing to do."""
    time.sleep(random.uniform(*IDLE_S))
    target = contender.ended() + 1
    began_s = time.perf_counter()
    contender.submit_one()
    _until(contender, target, every_s=LOOK_EVERY_S)
    return (time.perf_counter() - began_s) * 1000


if __name__ == "__main__":
    main()
