"""`python -m worker.local.rehearsal`: a stack for the rehearsal of a failover, on a sandbox that has copies of an account's numbers.

It reads one JSON line from stdin: ``numbers`` (as `copy_owned` takes them), ``rate_per_s``, ``latency_ms``, ``trunks``, ``settings``
(variables for the workers). It writes ``{"redis_url": …}`` when all runs; then, for each line that it reads, the sandbox's traffic as a
JSON line. It ends when stdin does. Nothing leaves this machine: no setting, key or file of the caller's reaches the workers.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from worker.local.stack import LocalStack
from worker.wavix.sandbox.admin import SandboxAdmin

#: Numbers that one request copies.
TOGETHER = 2000


def main() -> None:
    wanted: dict[str, Any] = json.loads(sys.stdin.readline())
    for name in [name for name in os.environ if name.startswith(("DIDFLOW_", "WAVIX_"))]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="didflow-rehearsal-") as folder:
        os.chdir(folder)  # A .env in the caller's folder may name real accounts.
        arguments = ["--port", "0", "--numbers-per-city", "1", "--rate-limit", str(wanted["rate_per_s"])]
        arguments += ["--latency-ms", str(wanted["latency_ms"]), *(part for one in wanted["trunks"] for part in ("--trunk", str(one)))]
        stack = LocalStack(2, state_dir=Path(folder) / "state", sandbox=arguments, environment=wanted["settings"], log=Path(folder) / "log")
        stack.processes, processes = 0, stack.processes
        with stack:
            admin = SandboxAdmin(stack.sandbox_url or "")
            numbers = wanted["numbers"]
            for start in range(0, len(numbers), TOGETHER):
                admin.order("copy_owned", records=numbers[start : start + TOGETHER])
            stack.processes = processes
            stack.start_workers()
            _say({"redis_url": stack.redis_url})
            for _ in sys.stdin:
                state = admin.state()
                _say({name: state[name] for name in ("calls", "statuses", "first_came_s_ago", "last_came_s_ago")})


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
