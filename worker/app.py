"""Workers under Dramatiq's own command: `dramatiq worker.app --processes 2 --threads 8`. Settings come from the environment, as always.

Dramatiq's command imports this in each process that it starts, and takes the broker that is set here. In production use `didflow worker`:
when one process dies, Dramatiq's command stops all the others.
"""

import os
import signal
import sys
import threading

import dramatiq

from didflow.contract.exit_codes import ExitCode
from didflow.logs import drain_logs
from didflow.parent_process import PARENT_VARIABLE, end_with_parent
from worker.process.worker_process import WorkerProcess, is_refused, ready_process

LOOK_EVERY_S = 1.0
#: How long the process waits for its last lines to be written.
DRAIN_S = 1.0


class _EndsProcess(dramatiq.Middleware):
    """The exit code says why, and the last lines are written: Dramatiq's processes run no exit handlers."""

    def __init__(self, process: WorkerProcess) -> None:
        self._process = process

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:  # noqa: ARG002 - Dramatiq's signature
        self._code = ExitCode.MISCONFIGURED if self._process.identity.refused is not None else None

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:  # noqa: ARG002 - Dramatiq's signature
        drain_logs(DRAIN_S)
        if self._code is not None:
            sys.exit(self._code)


def _end_when_refused(process: WorkerProcess) -> None:
    while not process.stopping.wait(LOOK_EVERY_S):
        if is_refused(process):
            os.kill(os.getpid(), signal.SIGTERM)
            return


def serve() -> dramatiq.Broker:
    """The broker of a process that is ready. Raises SystemExit if it can't start; the log says why."""
    # Dramatiq's pipe to its parent blocks the threads that log while the parent doesn't read. Nothing else may hold ours up.
    sys.stderr = sys.__stderr__ or sys.stderr
    os.environ[PARENT_VARIABLE] = str(os.getppid())
    try:
        process = ready_process()
    except SystemExit:
        drain_logs(DRAIN_S)
        raise
    process.broker.add_middleware(_EndsProcess(process), before=type(process.broker.middleware[0]))
    threading.Thread(target=_end_when_refused, args=(process,), name="refused", daemon=True).start()
    end_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    return process.broker


dramatiq.set_broker(serve())
