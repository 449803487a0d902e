"""`python -m worker.process.isolated_process`: runs one job at a time, each that it is given on its standard input; see `solitary`."""

import os
import signal
import sys
import threading

import structlog

from didflow.contract.errors import DidflowError, ServiceUnavailable
from didflow.contract.exit_codes import ExitCode
from didflow.ledger.address import redis_url
from didflow.ledger.witness import Witness
from didflow.logs import configure_logs
from didflow.parent_process import is_orphan
from didflow.settings import Settings, load_settings
from didflow.tracing.process import process_traces
from worker.attempt.heartbeat import Leases
from worker.attempt.provider_clients import Providers
from worker.attempt.runner import JobRunner
from worker.process.names import own_worker_id
from worker.process.worker_process import ledger_from, with_fault_points

LOOK_FOR_PARENT_EVERY_S = 0.5

log = structlog.stdlib.get_logger("didflow.solitary")


class SolitaryProcess:
    """A worker without queues. It signs on like any other, and moves money only when the others know of it."""

    def __init__(self, settings: Settings, stopping: threading.Event) -> None:
        url, self._worker_id = redis_url(settings), own_worker_id()
        self._ledger, beating = ledger_from(url, settings), ledger_from(url, settings)
        self._ledger.witness = beating.witness = Witness(self._worker_id)
        self._leases = Leases(beating, lease_s=settings.lease_seconds, worker=self._worker_id)
        ledger, providers = with_fault_points(self._ledger, Providers(settings, self._ledger))
        self._runner = JobRunner(ledger, settings, providers, self._leases, stopping, traces=process_traces())

    def start(self) -> None:
        self._leases.beat()
        self._leases.start()

    def run(self, job_id: str) -> None:
        """Claim the job, if no other worker has, and run one attempt of it."""
        self._runner.run(job_id)

    def stop(self) -> None:
        self._leases.stop()
        try:
            self._ledger.worker_gone(self._worker_id)
        except ServiceUnavailable as error:
            log.warning("solitary.not_signed_off", error=str(error))


def main() -> None:
    """Run until the input ends.

    A signal, or the parent's death, hands the job back at its next safe point; a second signal ends the process at once.
    """
    # What answers the parent; whatever prints goes where the log goes.
    replies = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    configure_logs(serves=True)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(1) if stopping.is_set() else stopping.set())
    try:
        settings = load_settings()
        configure_logs(log_format=settings.log_format, level=settings.log_level, serves=True)
        process = SolitaryProcess(settings, stopping)
    except DidflowError as error:
        log.critical("solitary.refused_to_start", code=error.code, error=str(error))
        sys.exit(ExitCode.MISCONFIGURED)
    threading.Thread(target=_end_with_parent, args=(stopping,), name="parent", daemon=True).start()
    process.start()
    while not stopping.is_set() and (job_id := sys.stdin.readline().strip()):
        process.run(job_id)
        try:
            os.write(replies, b".")
        except OSError:  # It is to end.
            break
    process.stop()


def _end_with_parent(stopping: threading.Event) -> None:
    while not stopping.wait(LOOK_FOR_PARENT_EVERY_S):
        if is_orphan():
            log.warning("solitary.orphaned")
            stopping.set()


if __name__ == "__main__":
    main()
