"""What a job costs when its own steps cost nothing: didflow beside bare Dramatiq and other queues, on one server.

`python -m tests.bench.overhead [--rounds 3] [--only didflow,dramatiq]`. Rounds are interleaved, each in another order, so that a
busy moment of the machine hits all alike; medians and ratios are taken within the run.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import redis

from tests.bench.contenders.contender import URL_VARIABLE
from tests.bench.report import Bar, chart, table
from worker.local.embedded_valkey import EmbeddedValkey

DOCS = Path(__file__).parents[2] / "docs" / "bench"
#: Name, what it is called in the table, the package whose version is shown.
CONTENDERS = {
    "didflow": ("didflow", "didflow"),
    "dramatiq": ("bare Dramatiq + XADD", "dramatiq"),
    "rq": ("RQ, SimpleWorker", "rq"),
    "rq_forking": ("RQ, default Worker", "rq"),
    "celery": ("Celery", "celery"),
    "taskiq": ("taskiq, stream broker", "taskiq"),
    "huey": ("huey", "huey"),
    "arq": ("arq", "arq"),
    "saq": ("SAQ", "saq"),
}
#: These need a redis-py that is older than didflow's.
OTHER_PYTHON = {name: Path(".venv-bench-arq/bin/python") for name in ("arq", "saq")}
#: A round isn't begun that would end later than this.
MOST_S = 420.0
#: One measurement that takes longer has failed. So even a round in which all of them fail ends within the time.
MEASURE_WITHIN_S = 38.0

Sample = dict[str, Any]


def main() -> None:
    options = _options()
    names = options.only.split(",") if options.only else list(CONTENDERS)
    samples: dict[str, list[Sample]] = defaultdict(list)
    began_s, began = time.monotonic(), datetime.now(UTC)
    with EmbeddedValkey(None) as server:
        client = redis.Redis.from_url(server.url)
        client.config_set("auto-aof-rewrite-percentage", "0")  # It would hit whichever worker runs just then.
        longest_s = 0.0
        for number in range(options.rounds):
            if time.monotonic() - began_s + longest_s > MOST_S:
                print(f"no time for round {number + 1}")
                break
            round_s = time.monotonic()
            for name in random.sample(names, len(names)):
                client.flushall()
                if sample := _measure(name, server.url):
                    samples[name].append(sample)
                    _say(name, sample)
            longest_s = max(longest_s, time.monotonic() - round_s)
        versions = {"Valkey": str(client.info("server").get("valkey_version", "?"))}
    report = _report(samples, versions, began)
    print(_markdown(report))
    if not options.only:
        _write(report)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.overhead")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="comma list of " + ", ".join(CONTENDERS) + "; then nothing is written to docs/bench")
    return parser.parse_args()


def _measure(name: str, url: str) -> Sample | None:
    """One measurement in the environment of that queue; None if it failed, which is reported."""
    python = OTHER_PYTHON.get(name, Path(sys.executable))
    load = os.getloadavg()[0]
    command = [str(python), "-m", "tests.bench.measure", name]
    with subprocess.Popen(
        command, env={**os.environ, URL_VARIABLE: url}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as measuring:
        try:
            said, trouble = measuring.communicate(timeout=MEASURE_WITHIN_S)
        except subprocess.TimeoutExpired:
            measuring.terminate()  # It ends its workers first.
            said, trouble = measuring.communicate()
    if measuring.returncode:
        print(f"{name} failed ({measuring.returncode}): {trouble.strip()[-2000:]}", file=sys.stderr)
        return None
    return {**json.loads(said), "load": load}


def _say(name: str, sample: Sample) -> None:
    many, one = sample["many"]["jobs_per_s"], sample["one_by_one"]["jobs_per_s"]
    print(f"{name:11} {many:6.0f}/s many, {one:6.0f}/s one by one, p50 {statistics.median(sample['idle_ms']):.1f} ms", flush=True)


def _report(samples: dict[str, list[Sample]], versions: dict[str, str], began: datetime) -> dict[str, Any]:
    """Medians over the rounds, and all that they were taken from."""
    rows = {}
    for name, rounds in samples.items():
        idle = sorted(ms for one in rounds for ms in one["idle_ms"])
        rows[name] = {
            "name": CONTENDERS[name][0],
            "version": _version(name),
            "rounds": len(rounds),
            "many_per_s": statistics.median(one["many"]["jobs_per_s"] for one in rounds),
            "one_by_one_per_s": statistics.median(one["one_by_one"]["jobs_per_s"] for one in rounds),
            "idle_p50_ms": statistics.median(idle),
            "idle_p99_ms": idle[min(len(idle) - 1, int(len(idle) * 0.99))],
        }
    for row in rows.values():
        row["to_didflow"] = row["many_per_s"] / rows["didflow"]["many_per_s"] if "didflow" in rows else None
    loads = [one["load"] for rounds in samples.values() for one in rounds]
    return {
        "measured": began.strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} cores, Python {sys.version.split()[0]}",
        "load_average": {"least": min(loads, default=0.0), "median": statistics.median(loads or [0.0]), "most": max(loads, default=0.0)},
        "versions": versions,
        "rows": rows,
        "samples": samples,
    }


def _version(name: str) -> str:
    python = OTHER_PYTHON.get(name)
    package = CONTENDERS[name][1]
    if python is None:
        return metadata.version(package)
    asked = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([str(python), "-c", asked], capture_output=True, text=True, check=True).stdout.strip()


def _markdown(report: dict[str, Any]) -> str:
    rows = sorted(report["rows"].values(), key=lambda row: -row["many_per_s"])
    load = report["load_average"]
    head = (
        f"Measured {report['measured']}; {report['machine']}; Valkey {report['versions']['Valkey']}, AOF always; load average "
        f"{load['median']:.1f} ({load['least']:.1f} to {load['most']:.1f}). {_rounds(rows)}.\n\n"
    )
    cells = [
        (
            f"{row['name']} {row['version']}",
            f"{row['many_per_s']:,.0f}",
            f"{row['one_by_one_per_s']:,.0f}",
            f"{1 / row['to_didflow']:.2f}" if row["to_didflow"] else "",
            f"{row['idle_p50_ms']:.1f}",
            f"{row['idle_p99_ms']:.1f}",
        )
        for row in rows
    ]
    return head + table(
        ("queue", "jobs/s, many at once", "jobs/s, one by one", "didflow is … × it (many)", "idle p50, ms", "idle p99, ms"), cells
    )


def _rounds(rows: list[dict[str, Any]]) -> str:
    most = max(row["rounds"] for row in rows)
    return f"Medians of {most} rounds" if most > 1 else "One round, no median"


def _write(report: dict[str, Any]) -> None:
    DOCS.mkdir(parents=True, exist_ok=True)
    (DOCS / "overhead.json").write_text(json.dumps(report, indent=1) + "\n")
    (DOCS / "overhead.md").write_text(_markdown(report))
    rows = sorted(report["rows"].values(), key=lambda row: -row["many_per_s"])
    bars = [Bar(row["name"], row["many_per_s"], f"{row['many_per_s']:,.0f}", ours=row["name"] == "didflow") for row in rows]
    title = f"A job that does nothing: jobs a second, submit to stored result (load average {report['load_average']['median']:.1f})"
    (DOCS / "overhead.svg").write_text(chart(title, bars))


if __name__ == "__main__":
    main()
