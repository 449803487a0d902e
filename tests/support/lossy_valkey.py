"""A Valkey that dies and comes back without the last that it had written, as after a power loss with a disk that lied."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import cast

from didflow.contract.jobs import Job, JobView
from didflow.contract.states import REPORTED
from didflow.ledger.connection import connect
from didflow.ledger.gate import Gate
from didflow.ledger.ledger import Ledger
from tests.support.cluster import until
from tests.support.inline_worker import InlineWorker
from worker.attempt.fault_points import watched_ledger
from worker.jobs.ports.provider import Provider
from worker.local.embedded_valkey import EmbeddedValkey
from worker.reconcile.gatekeeper import Gatekeeper
from worker.wavix.sandbox import SandboxAdmin


class LosingValkey:
    """A real server on a folder that is kept. `size` is how much of its append-only file is on the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.server = EmbeddedValkey(folder).start()

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def _file(self) -> Path:
        return max(self._folder.glob("appendonlydir/*.incr.aof"), key=lambda path: path.stat().st_mtime)

    @property
    def size(self) -> int:
        return self._file.stat().st_size

    def die(self, *, keep: int | None = None) -> None:
        """kill -9, and cut the file after `keep` bytes."""
        assert self.server.pid is not None
        os.kill(self.server.pid, signal.SIGKILL)
        while not self.server.died:
            os.sched_yield()
        if keep is not None:
            os.truncate(self._file, keep)

    def die_before(self, words: bytes) -> None:
        """kill -9, and cut the file before the last write that holds these words. One write is one transaction."""
        written = self._file.read_bytes()
        self.die(keep=written.rindex(b"*1\r\n$5\r\nMULTI", 0, written.rindex(words)))

    def restart(self) -> None:
        self.server.start()

    def stop(self) -> None:
        self.server.stop()


class Plot:
    """An inline worker on such a server: it remembers how long the file was before each write, and continues after a loss."""

    def __init__(self, valkey: LosingValkey, sandbox: SandboxAdmin, namespace: str, **changes: object) -> None:
        self.valkey = valkey
        self.sizes: list[tuple[str, int]] = []
        self.client = connect(valkey.url)
        self.ledger = Ledger(self.client, namespace)
        self.inline = InlineWorker(watched_ledger(self.ledger, self._reached), sandbox, **changes)
        self.keeper = Gatekeeper(
            self.ledger, "default", cast("Provider", self.inline.client), settle_s=self.inline.settings.settle_seconds, worker="plot"
        )

    def _reached(self, point: str) -> None:
        if point.startswith("before:"):
            self.sizes.append((point.removeprefix("before:"), self.valkey.size))

    @property
    def gate(self) -> Gate:
        return Gate(self.ledger)

    def go_on(self, job: Job, met: Callable[[], object], within_s: float = 60.0) -> JobView:
        """Sweep, look at the gate, run the job whenever it may, until it is so."""

        def tried() -> object:
            self.ledger.sweep(max_crashes=5)
            self.keeper.look()
            self.inline.attempt(job)
            return met()

        until(lambda: met() or tried(), within_s, "what the job was to come to")
        return self.ledger.get(job.id)

    def own(self, count: int) -> list[str]:
        """Numbers that are ours and of which a person said that no job bought them."""
        numbers = self.inline.own(count)
        self.gate.accept("default", {f"+{number}": int(record["record_id"]) for number, record in self.inline.sandbox.owned().items()})
        return numbers

    def finish(self, job: Job) -> JobView:
        return self.go_on(job, lambda: self.ledger.get(job.id).state in REPORTED)

    def job(self, job_id: str) -> Job:
        return Job(job_id, False, self.ledger.get(job_id).state)

    def close(self) -> None:
        self.inline.close()
        self.client.close()
