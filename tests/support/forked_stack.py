"""A local stack for tests: its supervisor and workers are forked from a process that has loaded the code, its sandbox is a thread here.

Each is a process with its own id, signals, environment and log, as in production. What is left out is the start of an interpreter,
which costs a second of processor time each. Tests of that start use `LocalStack`.
"""

import os
import random
import signal
import subprocess
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from didflow.parent_process import PARENT_VARIABLE
from tests.support import dying_threads
from tests.support.forking import FORKING
from worker.local.stack import LocalStack
from worker.process import supervisor, worker_process
from worker.wavix.sandbox import Sandbox
from worker.wavix.sandbox.__main__ import options_from, parser

STOPPING = {signal.SIGTERM, signal.SIGINT}


class ForkedChild:
    """A forked process with the methods of `subprocess.Popen` that a stack and a supervisor use."""

    stdout = None

    def __init__(self, process: BaseProcess) -> None:
        self._process = process
        # A signal that comes before the child has set its handlers must end it, and not run the handlers of its parent.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        self.pid = process.pid or 0

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if (code := self._process.exitcode) is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkedStack(LocalStack):
    """`sandbox` takes the arguments of `python -m worker.wavix.sandbox`."""

    _sandbox: Sandbox | None = None

    def start_workers(self) -> None:
        arguments = ("--processes", str(self.processes), "--threads", str(self.threads))
        process = FORKING.Process(target=_supervise, args=(arguments, self.worker_environment(), self.log))
        self.children["workers"] = cast("subprocess.Popen[bytes]", ForkedChild(process))

    def stop(self) -> None:
        super().stop()
        if self._sandbox is not None:
            self._sandbox.stop()

    def _start_sandbox(self, arguments: Sequence[str]) -> None:
        given = parser().parse_args(arguments)
        self._sandbox = Sandbox(options_from(given), host=given.host, port=given.port).start()
        self.sandbox_url = self._sandbox.url


def _supervise(arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    """Become a supervisor that forks its workers."""
    _become({**environment, PARENT_VARIABLE: str(os.getppid())})
    with log.open("ab") as file:
        os.dup2(file.fileno(), 2)
    vars(supervisor)["subprocess"] = SimpleNamespace(Popen=_worker, TimeoutExpired=subprocess.TimeoutExpired)
    supervisor.main(arguments)


def _worker(_command: Sequence[str], *, env: Mapping[str, str], start_new_session: bool) -> ForkedChild:
    assert start_new_session
    return ForkedChild(get_context("fork").Process(target=_work, args=(env,)))


def _work(environment: Mapping[str, str]) -> None:
    _become(environment)
    dying_threads.install()
    worker_process.main()


def _become(environment: Mapping[str, str]) -> None:
    """What a new interpreter does not share with its parent."""
    os.setsid()
    for number in STOPPING:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    os.environ.clear()
    os.environ.update(environment)
    random.seed()
