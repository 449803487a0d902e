"""`python -m worker.process.supervisor`, which is `didflow worker`: keeps worker processes running."""

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from didflow.contract.errors import InvalidSettings
from didflow.contract.exit_codes import ExitCode
from didflow.logs import configure_logs
from didflow.module_command import module_command
from didflow.parent_process import PARENT_VARIABLE, end_with_parent
from didflow.settings import Settings, load_settings, unknown_variables
from didflow.terminal.argument_types import parser_of
from worker.process.names import NAME_VARIABLE, PREDECESSOR_VARIABLE
from worker.process.worker_process import GRACE_S

LOOK_EVERY_S = 0.2
#: The wait before a restart doubles from the first to the last; it restarts for a child that lived longer than the last.
RESTART_FIRST_S = 0.5
RESTART_LAST_S = 30.0

log = structlog.stdlib.get_logger("didflow.supervisor")


@dataclass
class Child:
    """One place for a worker process, and who has it now."""

    place: int
    running: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    restart_s: float = 0.0
    backoff_s: float = field(default=RESTART_FIRST_S)
    name: str = ""

    def start(self, environment: dict[str, str]) -> None:
        predecessor, self.name = self.name, uuid.uuid4().hex
        environment = environment | {NAME_VARIABLE: self.name, PREDECESSOR_VARIABLE: predecessor}
        self.started_s = time.monotonic()
        try:
            self.running = subprocess.Popen(module_command("worker.process.worker_process"), env=environment, start_new_session=True)
        except OSError as error:  # No memory, no descriptors, too many processes: its neighbours continue meanwhile.
            self.name = predecessor
            self._restart_later()
            log.error("supervisor.child_not_started", place=self.place, error=str(error), restart_in_s=self.backoff_s)
            return
        log.info("supervisor.child_started", place=self.place, pid=self.running.pid)

    def ended(self, code: int) -> None:
        """Plan the restart."""
        self.running = None
        self._restart_later()
        log.error("supervisor.child_died", place=self.place, code=code, restart_in_s=self.backoff_s)

    def _restart_later(self) -> None:
        now = time.monotonic()
        self.backoff_s = RESTART_FIRST_S if now - self.started_s > RESTART_LAST_S else min(RESTART_LAST_S, self.backoff_s * 2)
        self.restart_s = now + self.backoff_s


class Supervisor:
    """A dead child is restarted; the others keep running. A misconfigured child ends them all: a restart doesn't help."""

    def __init__(self, processes: int, threads: int, *, grace_s: float) -> None:
        self._environment = os.environ | {"DIDFLOW_THREADS": str(threads), PARENT_VARIABLE: str(os.getpid())}
        self._children = [Child(place) for place in range(processes)]
        self._grace_s = grace_s
        self._stop = threading.Event()

    def run(self) -> int:
        """Supervise until asked to stop; return the exit code."""
        while not self._stop.wait(LOOK_EVERY_S):
            for child in self._children:
                if child.running is None:
                    if time.monotonic() >= child.restart_s:
                        child.start(self._environment)
                elif (code := child.running.poll()) is not None:
                    if code == ExitCode.MISCONFIGURED:
                        self._end_all()
                        return ExitCode.INPUT
                    child.ended(code)
        self._end_all()
        return 0

    def stop(self) -> None:
        """First time: let the children finish what they do. Second time: they end at once."""
        if self._stop.is_set():
            self._signal_all(signal.SIGTERM)
        self._stop.set()

    def _signal_all(self, number: signal.Signals) -> None:
        for child in self._children:
            if child.running is not None and child.running.poll() is None:
                child.running.send_signal(number)

    def _end_all(self) -> None:
        self._signal_all(signal.SIGTERM)
        deadline_s = time.monotonic() + self._grace_s
        for child in self._children:
            if child.running is None:
                continue
            try:
                child.running.wait(max(0.1, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.error("supervisor.child_killed", place=child.place, pid=child.running.pid)
                child.running.kill()
                child.running.wait()


def parser(settings: Settings) -> argparse.ArgumentParser:
    """Of its command line, with the settings as defaults."""
    made = parser_of("didflow worker", "Keep worker processes running until SIGTERM.", "didflow worker --processes 4 --threads 8")
    made.add_argument("--processes", type=_count, default=settings.processes, help="worker processes (%(default)s)")
    made.add_argument(
        "--threads",
        type=_count,
        default=settings.threads,
        help="threads per process for money and bulk jobs; emergencies get extra threads (%(default)s)",
    )
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and supervise. Exit code 0 after a stop, 2 for settings that no restart can help."""
    try:
        settings = load_settings()
    except InvalidSettings as error:
        configure_logs(serves=True)
        log.critical("supervisor.refused_to_start", code=error.code, error=str(error))
        sys.exit(ExitCode.INPUT)
    given = parser(settings).parse_args(arguments)
    configure_logs(log_format=settings.log_format, level=settings.log_level, serves=True)
    for name in unknown_variables():
        log.warning("supervisor.unknown_setting", variable=name)
    supervisor = Supervisor(given.processes, given.threads, grace_s=settings.http_timeout + 2 * GRACE_S)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop())
    end_with_parent(supervisor.stop)
    sys.exit(supervisor.run())


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text!r} is not a count from 1 to 64")
    return int(text)


if __name__ == "__main__":
    main()
