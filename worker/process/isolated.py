"""Runs jobs with which workers died, each alone in a child process: if the job kills its process, no other job is affected.

The ledger decides which jobs these are (`didflow/ledger/scripts/include/deaths.lua`), and leaves them unclaimed. The child claims the job
itself, and runs one at a time. It is kept for a while, so that the next of these jobs needs no start of an interpreter. What is lost here
(a full queue, a child that can't be started, this process) costs nothing: the sweeper sends the job's message again.
"""

import os
import select
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from queue import Empty, Full, Queue

import structlog

from didflow.contract.states import Lane
from didflow.module_command import module_command
from didflow.parent_process import PARENT_VARIABLE
from worker.process.names import NAME_VARIABLE, PREDECESSOR_VARIABLE, worker_id

#: What is started. It takes job ids on its standard input, a line each, and answers each with a line.
COMMAND = module_command("worker.process.isolated_process")
#: The most jobs of a lane that wait here; other processes are nudged for them too.
WAITING_MOST = 100
#: How long a child is kept that has nothing to do.
KEPT_S = 10.0
#: How often a running child is checked.
LOOK_EVERY_S = 0.25
#: The pause after a child could not be started.
AFTER_ERROR_S = 5.0

log = structlog.stdlib.get_logger("didflow.solitary")


class SolitaryRuns:
    """One lane's jobs of this kind: a thread that hands them to a child, if there are any.

    `sign_off` gets the name of a child that died (as the ledger's workers are named); `grace_s` is how long one may take to end.
    """

    def __init__(self, lane: Lane, sign_off: Callable[[str], None], *, grace_s: float) -> None:
        self._lane, self._sign_off, self._grace_s = lane, sign_off, grace_s
        self._jobs: Queue[str] = Queue(WAITING_MOST)
        self._known: set[str] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def offer(self, job_id: str) -> None:
        """Run it when its turn comes. Returns at once; what doesn't fit is left to others."""
        with self._lock:
            if self._stopping.is_set() or job_id in self._known:
                return
            try:
                self._jobs.put_nowait(job_id)
            except Full:
                return
            self._known.add(job_id)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name=f"solitary {self._lane.value}", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # No thread can be started: the sweeper offers the job again.
                    self._known.discard(self._jobs.get_nowait())
                    return
                self._thread = thread

    def threads(self) -> Iterator[threading.Thread]:
        """Its thread, once it has one."""
        if self._thread is not None:
            yield self._thread

    def stop(self) -> None:
        """Let the child hand its job back, and wait until it has ended."""
        with self._lock:
            self._stopping.set()
            thread = self._thread
        if thread is not None:
            thread.join(self._grace_s + LOOK_EVERY_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                job_id = self._jobs.get(timeout=LOOK_EVERY_S)
            except Empty:
                continue
            self._start_with(job_id)

    def _start_with(self, job_id: str) -> None:
        """Start a child for this job, and for those that come until it has had nothing to do for a while."""
        try:
            child = _Child()
        except OSError as error:
            log.warning("solitary.child_not_started", job_id=job_id, error=str(error))
            self._known.discard(job_id)
            self._stopping.wait(AFTER_ERROR_S)
            return
        log.info("solitary.child_started", lane=self._lane.value, pid=child.pid)
        try:
            while job_id:
                done = child.run(job_id, self._stopping)
                self._known.discard(job_id)
                if not done:
                    break
                job_id = self._next()
        finally:
            if (code := child.end(self._grace_s)) != 0:
                log.error("solitary.child_died", lane=self._lane.value, pid=child.pid, job_id=job_id, code=code)
                self._sign_off(child.worker_id)

    def _next(self) -> str:
        """The next job; '' where none comes for a while."""
        deadline_s = time.monotonic() + KEPT_S
        while not self._stopping.is_set() and time.monotonic() < deadline_s:
            try:
                return self._jobs.get(timeout=LOOK_EVERY_S)
            except Empty:
                continue
        return ""


class _Child:
    """A process that runs what it is given. Raises OSError if it can't be started."""

    def __init__(self) -> None:
        name = uuid.uuid4().hex
        environment = os.environ | {NAME_VARIABLE: name, PREDECESSOR_VARIABLE: "", PARENT_VARIABLE: str(os.getpid())}
        self._process = subprocess.Popen(
            COMMAND, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, bufsize=0
        )
        self.pid = self._process.pid
        self.worker_id = worker_id(self.pid, name)

    def run(self, job_id: str, stopping: threading.Event) -> bool:
        """Let it run the job, and wait. False if it died of it, or is to end before that."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{job_id}\n".encode())
        except OSError:
            return False
        answered = select.poll()  # Not select(): that knows no descriptor above 1023.
        answered.register(self._process.stdout, select.POLLIN)
        while not stopping.is_set():
            if answered.poll(LOOK_EVERY_S * 1000):
                return bool(self._process.stdout.read(1))
        return False

    def end(self, grace_s: float) -> int:
        """Let it end. Its exit code."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.terminate()
        try:
            return self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
