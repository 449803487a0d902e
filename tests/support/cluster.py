"""A whole didflow for a test: supervised worker processes, a Valkey and a sandbox of their own, all real, all killable."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from didflow import Didflow, Job, JobView
from didflow.client.sync.deliveries import Delivery
from didflow.contract.requests import Request
from didflow.fault_orders import VARIABLE
from didflow.ledger.connection import connect
from didflow.ledger.keys import Keys
from didflow.ledger.ledger import Ledger
from tests.support.forked_stack import ForkedStack
from worker.local.stack import LocalStack
from worker.wavix.sandbox import SandboxAdmin

NAMESPACE = "plant"
#: Short, so that a test sees a take-over; the sandbox's lists don't lag unless a test says so.
ENVIRONMENT = {
    "DIDFLOW_NAMESPACE": NAMESPACE,
    "DIDFLOW_LEASE_SECONDS": "2",
    "DIDFLOW_SETTLE_SECONDS": "1",
    "DIDFLOW_HTTP_TIMEOUT": "2",
    "DIDFLOW_PROBE_SECONDS": "0.3",
    "DIDFLOW_RATE_LIMIT": "200",
    "DIDFLOW_LOG_FORMAT": "json",
    "DIDFLOW_LOG_LEVEL": "debug",
}


#: A test that waits longer than this has failed. It has nothing to do with how long something should take: the machine may be busy.
GIVEN_UP_AFTER_S = 60.0
#: After the first looks, which come sooner: each of them asks a server, and other tests need the processor.
LOOKS_EVERY_S = 0.06


def until(met: Callable[[], object], within_s: float = GIVEN_UP_AFTER_S, what: str = "it") -> None:
    """Look until it is so. Fails after `within_s`."""
    deadline_s, pause_s = time.monotonic() + within_s, 0.01
    while not met():
        assert time.monotonic() < deadline_s, f"{what} didn't come within {within_s} s"
        time.sleep(pause_s)
        pause_s = min(LOOKS_EVERY_S, pause_s * 1.5)


@dataclass
class Cluster:
    """The parts, and how to hurt them."""

    stack: LocalStack
    sandbox: SandboxAdmin
    ledger: Ledger
    didflow: Didflow
    log: Path
    #: How much of the provider's ledger a test before this one left.
    charged_before: int = 0

    def workers(self) -> dict[int, str]:
        """Worker processes that signed on and live, by pid."""
        found = {int(worker.split(":")[1]): worker for worker in self.ledger.workers()}
        return {pid: worker for pid, worker in found.items() if lives(pid)}

    def submit(self, request: Request, key: str | None = None) -> Job:
        return self.didflow.submit(request, idempotency_key=key)

    def owner_pid(self, job: Job) -> int | None:
        """The process that holds the job's lease."""
        owner = self.ledger.client.hget(Keys(NAMESPACE).job(job.id), "owner")
        return int(str(owner).split(":")[1]) if owner else None

    def kill_owner(self, job: Job, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to the process that runs the job; returns its pid."""
        pid = self.owner_pid(job)
        assert pid in self.workers()
        os.kill(pid, number)
        return pid

    def wait(self, job: Job, within_s: float = GIVEN_UP_AFTER_S) -> JobView:
        return self.didflow.wait(job.id, within_s)

    def results_of(self, job: Job) -> list[Delivery]:
        """Every entry of the results stream about that job."""
        everything = self.didflow.results("test", "test", block_s=0.05, give_up_idle=True)
        return [delivery for delivery in everything if delivery.event.subject == job.id]

    def charged(self) -> list[str]:
        """Numbers that the provider charged this test for, as often as it did."""
        return sorted(f"+{entry['number']}" for entry in self.sandbox.ledger()[self.charged_before :])


def lives(pid: int) -> bool:
    """Whether that process runs (a zombie in the system's sense doesn't)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def cluster(
    folder: Path,
    *,
    processes: int = 2,
    redis_url: str | None = None,
    orders: Path | None = None,
    sandbox: Sequence[str] = (),
    interpreters: bool = False,
    **environment: str,
) -> Iterator[Cluster]:
    """A running plant, with all its worker processes signed on.

    `orders`: the folder of their fault points; `sandbox`: more of its arguments; `environment`: settings. `interpreters`: each process
    is started as in production, instead of forked.
    """
    log = folder / "workers.log"
    kind = LocalStack if interpreters else ForkedStack
    stack = kind(
        processes=processes,
        threads=4,
        redis_url=redis_url,
        sandbox=("--port", "0", "--latency-ms", "5", *sandbox),
        environment=ENVIRONMENT | environment | ({VARIABLE: str(orders)} if orders else {}),
        log=log,
    )
    with stack:
        client = connect(stack.redis_url or "")
        ledger = Ledger(client, NAMESPACE)
        running = Cluster(stack, SandboxAdmin(stack.sandbox_url or ""), ledger, Didflow(client, NAMESPACE), log)
        until(lambda: len(running.workers()) == processes, what=f"{processes} workers")
        yield running
        client.close()
