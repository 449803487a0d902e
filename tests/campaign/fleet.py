"""Worker processes that can be killed, frozen and replaced: `worker.process.worker_process`, forked from a parent that has it.

Forking instead of starting an interpreter makes a new worker cost a tenth of a second, so that a minute is enough for many deaths.
"""

import os
import random
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Self

from didflow.contract.requests import REQUEST_VERSION
from didflow.ledger import witness
from didflow.ledger.ledger import Ledger
from didflow.parent_process import PARENT_VARIABLE
from tests.campaign.mutants import mutate
from tests.support.forking import FORKING
from worker.process import isolated, worker_process
from worker.process.names import NAME_VARIABLE, PREDECESSOR_VARIABLE
from worker.wavix import answers

LOOK_EVERY_S = 0.05
#: As short as the leases here, in all workers: who was frozen or killed can't be a witness for so long, and many are.
SILENCE_S = 2.0
#: A second SIGTERM comes after this long, where one is sent.
SECOND_TERM_S = 0.3
#: Names the file in which the processes that run one job alone write their ids, so that none outlives the campaign.
PIDS_VARIABLE = "CAMPAIGN_PIDS"


def enter(environment: Mapping[str, str], log: Path) -> None:
    """Make a forked process one of its own: its session, its output in `log`, its environment; it ends with its parent."""
    os.setsid()
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.update(environment)
    os.environ[PARENT_VARIABLE] = str(os.getppid())


def work(environment: Mapping[str, str], log: Path, skew_s: float, mutant: str | None, version: int) -> None:
    """What `python -m worker.process.worker_process` does, with a wrong clock and, to test the tests, a wrong protocol."""
    enter(environment, log)
    os.environ[PIDS_VARIABLE] = str(log.with_suffix(".pids"))
    become(skew_s, mutant, version)
    isolated.COMMAND = [sys.executable, "-m", "tests.campaign.alone", str(skew_s), mutant or "", str(version)]
    worker_process.main()


def become(skew_s: float, mutant: str | None, version: int) -> None:
    """What makes this process one of the fleet."""
    skew_clocks(skew_s)
    witness.SILENCE_S = SILENCE_S
    Ledger.version = version
    if mutant:
        mutate(mutant)


def skew_clocks(skew_s: float) -> None:
    """Let every wall clock that Python code reads in this process be wrong by this much."""
    right = time.time
    time.time = lambda: right() + skew_s

    class Skewed(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz or UTC) + timedelta(seconds=skew_s)

    vars(answers)["datetime"] = Skewed


@dataclass
class Member:
    """One living worker process, and the name that it was given. `frozen_until_s`: it is stopped until then (monotonic)."""

    running: BaseProcess
    name: str
    frozen_until_s: float = 0.0
    asked_to_stop: bool = False

    @property
    def pid(self) -> int:
        return self.running.pid or 0


@dataclass
class Fleet:
    """Keeps `size` workers alive until it is left. `urls` are given to them in turn.

    `version`: of what is stored of a job, as those know it that are started from now on.
    `died` is called with each pid that is gone, `stopped` when one is frozen, woken or asked to stop.
    """

    size: int
    urls: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    rng: random.Random
    skew_s: float = 300.0
    mutant: str | None = None
    version: int = REQUEST_VERSION
    died: Callable[[int], None] = lambda _: None
    stopped: Callable[[], None] = lambda: None
    starts: int = 0
    members: list[Member] = field(default_factory=list)
    _dead: list[str] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _stop: threading.Event = field(default_factory=threading.Event)
    _keeper: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._keeper = threading.Thread(target=self._keep, name="fleet", daemon=True)
        self._keeper.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        if self._keeper:
            self._keeper.join()
        with self._lock:
            for member in self.members:
                member.running.kill()
            for member in self.members:
                member.running.join()
        self._end_those_alone()

    def _end_those_alone(self) -> None:
        kept = self.log.with_suffix(".pids")
        for pid in kept.read_text().split() if kept.exists() else ():
            with suppress(OSError):
                if b"tests.campaign.alone" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(int(pid), signal.SIGKILL)

    def pids(self) -> list[int]:
        """Who lives and isn't frozen."""
        with self._lock:
            return [m.pid for m in self.members if m.running.is_alive() and not m.frozen_until_s and not m.asked_to_stop]

    def kill(self, pid: int) -> None:
        self._send(pid, signal.SIGKILL)

    def freeze(self, pid: int, seconds: float) -> None:
        """Stop it for so long."""
        self._send(pid, signal.SIGSTOP)
        self.stopped()
        self.thaw_later(pid, seconds)

    def thaw_later(self, pid: int, seconds: float) -> None:
        with self._lock:
            for member in self.members:
                if member.pid == pid:
                    member.frozen_until_s = time.monotonic() + seconds

    def terminate(self, pid: int, *, twice: bool) -> None:
        """Ask it to stop; `twice`: and then once more, which ends it at once."""
        with self._lock:
            for member in self.members:
                if member.pid == pid:
                    member.asked_to_stop = True
        self.stopped()
        self._send(pid, signal.SIGTERM)
        if twice:
            timer = threading.Timer(SECOND_TERM_S, self._send, (pid, signal.SIGTERM))
            timer.daemon = True
            timer.start()

    def thaw_all(self) -> None:
        with self._lock:
            for member in self.members:
                member.frozen_until_s = min(member.frozen_until_s, time.monotonic())

    def _send(self, pid: int, number: signal.Signals) -> None:
        """Only to a process of ours that hasn't been waited for, so that its pid is still its own."""
        with self._lock:
            if any(member.pid == pid and member.running.exitcode is None for member in self.members):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    def _keep(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            with self._lock:
                self._bury()
                self._thaw()
                while len([m for m in self.members if not m.asked_to_stop]) < self.size:
                    self._start()

    def _bury(self) -> None:
        for member in list(self.members):
            if not member.running.is_alive():
                self.members.remove(member)
                self._dead.append(member.name)
                self.died(member.pid)

    def _thaw(self) -> None:
        for member in self.members:
            if member.frozen_until_s and member.frozen_until_s <= time.monotonic():
                self._send(member.pid, signal.SIGCONT)
                member.frozen_until_s = 0.0
                self.stopped()
            elif not member.frozen_until_s and _is_stopped(member.pid):
                # A fault point froze it; it sleeps through its lease, and wakes.
                member.frozen_until_s = time.monotonic() + self.rng.uniform(3.5, 6.0)
                self.stopped()

    def _start(self) -> None:
        url = self.urls[self.starts % len(self.urls)]
        skew_s = self.rng.uniform(-self.skew_s, self.skew_s)
        predecessor, name = self._dead.pop(0) if self._dead else "", uuid.uuid4().hex
        environment = {**self.environment, "DIDFLOW_REDIS_URL": url, NAME_VARIABLE: name, PREDECESSOR_VARIABLE: predecessor}
        running = FORKING.Process(target=work, args=(environment, self.log, skew_s, self.mutant, self.version), daemon=True)
        running.start()
        self.starts += 1
        self.members.append(Member(running, name))


def _is_stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False
