"""Workers under Dramatiq's own command: `dramatiq worker.app --processes 2 --threads 8`. Settings come from the environment, as always.

Dramatiq's command imports this in each process that it starts, and takes the broker that is set here. In production use `didflow worker`:
when one process dies, Dramatiq's command stops all the others.
"""

import os
import signal
import sys
import threading
from multiprocessing.util import Finalize

import dramatiq

from didflow.contract.exit_codes import ExitCode
from didflow.logs import drain_logs
from didflow.parent_process import PARENT_VARIABLE, end_with_parent
from worker.process.worker_process import WorkerProcess, is_refused, ready_process

LOOK_EVERY_S = 1.0
#: How long the process waits for its last lines to be written.
DRAIN_S = 1.0
#: How soon Dramatiq begins to stop after a signal: it looks once a second.
END_WITHIN_S = 5.0


class _ExitCode(dramatiq.Middleware):
    """Lets the exit code say that the process ended because of its settings."""

    def __init__(self, process: WorkerProcess) -> None:
        self._process, self._is_refused = process, False

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:  # noqa: ARG002 - Dramatiq's signature
        self._is_refused = self._process.identity.refused is not None

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:  # noqa: ARG002 - Dramatiq's signature
        if self._is_refused:
            sys.exit(ExitCode.MISCONFIGURED)


def _end_when_refused(process: WorkerProcess) -> None:
    while not process.stopping.wait(LOOK_EVERY_S):
        if is_refused(process):
            _end(process)
            return


def _end(process: WorkerProcess) -> None:
    """As on a signal; without Dramatiq, which waits for ever if its parent process is killed during the start."""
    os.kill(os.getpid(), signal.SIGTERM)
    if not process.stopping.wait(END_WITHIN_S):
        process.stop()
        drain_logs(DRAIN_S)
        os._exit(ExitCode.STUCK)


def serve() -> dramatiq.Broker:
    """The broker of a process that is ready. Raises SystemExit if it can't start; the log says why."""
    # Dramatiq's pipe to its parent blocks the threads that log while the parent doesn't read. Nothing else may hold ours up.
    sys.stderr = sys.__stderr__ or sys.stderr
    os.environ[PARENT_VARIABLE] = str(os.getppid())
    # Dramatiq's processes run no exit handlers, but these.
    Finalize(None, drain_logs, args=(DRAIN_S,), exitpriority=0)
    process = ready_process()
    # The first to be added is the last to hear of the end.
    process.broker.add_middleware(_ExitCode(process), before=type(process.broker.middleware[0]))
    threading.Thread(target=_end_when_refused, args=(process,), name="refused", daemon=True).start()
    end_with_parent(lambda: _end(process))
    return process.broker


dramatiq.set_broker(serve())
