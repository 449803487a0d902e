"""`python -m worker.process.worker_process`: one worker process."""

import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

import dramatiq
import httpx
import structlog
from dramatiq.middleware import MiddlewareError

from didflow.contract.actors import os_user
from didflow.contract.errors import InvalidSettings, ServiceUnavailable, UnsafeRedis
from didflow.contract.exit_codes import ExitCode
from didflow.contract.states import Lane
from didflow.fault_orders import VARIABLE, orders_from_environment
from didflow.ledger.address import redis_url
from didflow.ledger.connection import ScriptClient, connect
from didflow.ledger.ledger import Ledger
from didflow.ledger.witness import Witness
from didflow.ledger.worker_settings import note_limits, running_with
from didflow.logs import configure_logs
from didflow.parent_process import is_orphan
from didflow.settings import Settings, load_settings, unknown_variables
from didflow.tracing.process import process_traces
from worker.actors import declare_actors
from worker.attempt.fault_points import watched_ledger, watched_provider
from worker.attempt.heartbeat import Leases
from worker.attempt.provider_clients import Providers
from worker.attempt.runner import Handler, JobRunner
from worker.broker.broker import LedgerBroker
from worker.broker.idle_threads import IdleThreads
from worker.broker.middleware import load_middleware
from worker.inventory.catalogue_feed import CatalogueFeed
from worker.inventory.keeper import InventoryKeeper
from worker.inventory.read_backs import ReadBacks
from worker.jobs.ports.provider import Provider
from worker.process.busy_threads import BusyThreads
from worker.process.isolated import SolitaryRuns
from worker.process.names import PREDECESSOR_VARIABLE, own_worker_id
from worker.process.plan_refresh import PlanRefresher
from worker.process.provider_identity import IdentityGuard, IdentityWatch, claim_server
from worker.process.redis_durability import check_redis, refuse_unsafe
from worker.process.sweeper import Sweeper
from worker.process.watchdog import HELD_AFTER_S, Watchdog
from worker.reconcile.gatekeeper import Gatekeeper

#: How often idle Dramatiq threads look whether they should stop.
WORKER_TIMEOUT_MS = 250
#: Longer than any provider call: a stopping process waits for the calls that are out.
GRACE_S = 5.0
#: Of it, to return what hasn't begun although a thread hangs.
HAND_BACK_S = 1.5
#: To export the last spans, when everything is handed back.
TRACES_S = 2.0

log = structlog.stdlib.get_logger("didflow.process")


class WorkerProcess:
    """All threads of one process and the order in which they start and stop.

    `owns_process`: nothing else runs in it, so the kernel may end it when the interpreter is held, or doesn't stop in time.
    """

    def __init__(self, settings: Settings, handler: Handler | None = None, *, owns_process: bool = False) -> None:
        url = redis_url(settings)
        self._grace_s = settings.http_timeout + GRACE_S
        self.worker_id = own_worker_id()
        self.stopping = threading.Event()
        witness = Witness(self.worker_id)
        self._ledger, beating = ledger_from(url, settings), ledger_from(url, settings)
        self._ledger.witness = beating.witness = witness
        running = running_with(settings, unknown_variables())
        self.identity = IdentityGuard(self._ledger, settings.all_accounts())
        renewal_due_s = settings.renewal_due_days * 86_400
        self._read_backs = ReadBacks(
            ledger_from(url, settings),
            settle_s=settings.settle_seconds,
            renewal_due_s=renewal_due_s,
            is_its_ledger=self.identity.is_known,
        )
        self._feed = CatalogueFeed(
            ledger_from(url, settings),
            kept_s=settings.catalogue_days * 86_400,
            most=settings.catalogue_looks,
            is_its_ledger=self.identity.is_known,
        )
        accounts = Providers(settings, self._ledger, saw=self._read_backs.saw, saw_list=self._feed.saw)
        self._identity_watch = IdentityWatch(self.identity, lambda name: accounts(name, Lane.BULK), self.stopping)
        self._leases = Leases(beating, lease_s=settings.lease_seconds, worker=self.worker_id, calls=accounts.calls, running=running)
        sweeping = ledger_from(url, settings)
        plans = PlanRefresher(sweeping, every_s=settings.plan_refresh_seconds)
        self._sweeper = Sweeper(sweeping, max_crashes=settings.max_crashes, plans=plans)
        self._gatekeepers = [
            Gatekeeper(
                ledger_from(url, settings),
                name,
                accounts(name, Lane.BULK),
                settle_s=settings.settle_seconds,
                worker=self.worker_id,
                witness=witness,
                is_its_ledger=self.identity.is_known,
            )
            for name in settings.all_accounts()
        ]
        self._keepers = [
            InventoryKeeper(
                ledger_from(url, settings),
                name,
                partial(accounts.of_a_sweep, name),
                every_s=settings.inventory_seconds,
                requests_per_s=settings.rate_limit * settings.inventory_share,
                settle_s=settings.settle_seconds,
                renewal_due_s=renewal_due_s,
                is_its_ledger=self.identity.is_known,
                worker=self.worker_id,
            )
            for name in settings.all_accounts()
        ]
        ledger, providers = with_fault_points(self._ledger, accounts)
        self._solitary = {lane: SolitaryRuns(lane, self._sign_off, grace_s=self._grace_s) for lane in (Lane.EMERGENCY, Lane.BULK)}
        check = self.identity.check
        self._traces = process_traces()
        runner = JobRunner(
            ledger,
            settings,
            providers,
            self._leases,
            self.stopping,
            handler,
            run_alone=self._run_alone,
            check_account=check,
            traces=self._traces,
        )
        self.broker = LedgerBroker(
            ledger_from(url, settings), runner, self.stopping, [_Services(self), *load_middleware(settings.middleware)]
        )
        declare_actors(self.broker, runner)
        self._thread_count = IdleThreads.count_with(settings.threads)
        self._worker: dramatiq.Worker | None = None
        self._solitary_stops: list[threading.Thread] = []
        self._stopped_by_s, self._signed_off = 0.0, False
        beats = {"heartbeat": lambda: self._leases.last_beat_s, "sweeper": lambda: self._sweeper.last_beat_s}
        calls, asked_s = accounts.calls, cast("ScriptClient", self._ledger.client).asked_s
        # Within its own time-out a call can't hang, but a look-up of a name can.
        beats["provider call"] = lambda: (calls.oldest_s() or time.monotonic()) + settings.http_timeout
        self._watchdog = Watchdog(
            self._threads,
            beats,
            busy=BusyThreads(self._job_threads, lambda native_id: asked_s.get(native_id, 0.0)).names,
            held_after_s=HELD_AFTER_S if owns_process else None,
        )

    def start(self) -> None:
        """Start everything, as Dramatiq's command does with the broker."""
        self.broker.emit_after("process_boot")
        dramatiq.Worker(self.broker, worker_timeout=WORKER_TIMEOUT_MS, worker_threads=self._thread_count).start()

    def start_services(self) -> None:
        """What jobs rest on, before any is taken."""
        self._sign_off_the_dead()
        self._leases.beat()
        self._leases.start()
        self._sweeper.start()
        for gatekeeper in self._gatekeepers:
            gatekeeper.start()
        for keeper in self._keepers:
            keeper.start()
        self._read_backs.start()
        self._feed.start()
        self._identity_watch.start()
        self._watchdog.start()

    def watch(self, worker: dramatiq.Worker) -> None:
        """From now on the process ends if a thread of this worker does."""
        self._worker = worker
        log.info("process.started", worker=self.worker_id)

    def _sign_off_the_dead(self) -> None:
        """For the process that this one replaces: its writes came before this, and no gate has to wait for its vouch."""
        dead = os.environ.get(PREDECESSOR_VARIABLE)
        if not dead:
            return
        try:
            for worker in self._ledger.workers():
                if worker.endswith(f":{dead}"):
                    self._ledger.worker_gone(worker)
        except ServiceUnavailable as error:
            log.warning("process.predecessor_not_signed_off", error=str(error))

    def _sign_off(self, worker_id: str) -> None:
        """The same for a child of this one that it has seen end."""
        try:
            self._ledger.worker_gone(worker_id)
        except ServiceUnavailable as error:
            log.warning("process.child_not_signed_off", error=str(error))

    def _run_alone(self, job_id: str, lane: Lane) -> None:
        """Emergencies don't wait for the others of these."""
        self._solitary[lane if lane is Lane.EMERGENCY else Lane.BULK].offer(job_id)

    def stop(self) -> None:
        """Hand everything back: jobs at their next safe point, messages, leases. Waits for provider calls that are out."""
        if self._worker is not None:
            stop_ms = int((self._grace_s - HAND_BACK_S) * 1000)
            stopping = threading.Thread(target=self._worker.stop, args=(stop_ms,), daemon=True)
            stopping.start()
            stopping.join(self._grace_s)
        if not self._signed_off:
            self.sign_off(clean=False)

    def stop_services(self) -> None:
        """Nothing new begins, and what runs stops at its next safe point."""
        log.info("process.stopping", worker=self.worker_id)
        self._stopped_by_s = time.monotonic() + self._grace_s
        self.stopping.set()
        self._watchdog.stop(self._grace_s + GRACE_S)
        self._sweeper.stop()
        for gatekeeper in self._gatekeepers:
            gatekeeper.stop()
        for keeper in self._keepers:
            keeper.stop()
        self._read_backs.stop()
        self._feed.stop()
        self._solitary_stops = [threading.Thread(target=runs.stop, daemon=True) for runs in self._solitary.values()]
        for thread in self._solitary_stops:
            thread.start()

    def sign_off(self, *, clean: bool = True) -> None:
        """All threads that run jobs have ended, or had their time."""
        for thread in self._solitary_stops:
            thread.join(max(0.0, self._stopped_by_s - time.monotonic()))
        self._leases.stop()
        self._signed_off = True
        try:
            self._ledger.worker_gone(self.worker_id)
        except ServiceUnavailable as error:
            log.warning("process.not_signed_off", error=str(error))
        if self._traces is not None:
            self._traces.close(TRACES_S)
        clean = clean and not any(thread.is_alive() for thread in self._solitary_stops)
        log.info("process.stopped", worker=self.worker_id, clean=clean)

    def _threads(self) -> Iterator[threading.Thread]:
        yield self._leases
        yield self._sweeper
        yield from self._gatekeepers
        yield from self._keepers
        yield self._read_backs
        yield self._feed
        for runs in self._solitary.values():
            yield from runs.threads()
        if self._worker is not None:
            yield from list(self._worker.consumers.values())
        yield from self._job_threads()

    def _job_threads(self) -> Iterator[threading.Thread]:
        if self._worker is not None:
            yield from list(self._worker.workers)


class _Services(dramatiq.Middleware):
    """The other threads of a process start before those that run jobs, and stop after them."""

    def __init__(self, process: WorkerProcess) -> None:
        self._process = process

    def before_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:  # noqa: ARG002 - Dramatiq's signature
        try:
            self._process.start_services()
        except Exception as error:
            # Of any other error Dramatiq writes a line, and jobs would run without what they rest on.
            log.critical("process.not_started", exc_info=error)
            raise MiddlewareError("the worker's own threads can't be started") from error

    def after_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:  # noqa: ARG002 - Dramatiq's signature
        self._process.watch(worker)

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:  # noqa: ARG002 - Dramatiq's signature
        self._process.stop_services()

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:  # noqa: ARG002 - Dramatiq's signature
        self._process.sign_off()


def ledger_from(url: str, settings: Settings) -> Ledger:
    """A ledger on a connection of its own, with what the settings say of it."""
    return Ledger(
        connect(url),
        settings.namespace,
        retention_ms=int(settings.retention_days * 86_400_000),
        history_ms=int(settings.history_days * 86_400_000),
        audit_ms=int(settings.audit_days * 86_400_000),
    )


def with_fault_points(ledger: Ledger, providers: Callable[[str, Lane], Provider]) -> tuple[Ledger, Callable[[str, Lane], Provider]]:
    """As they are; under test, with the points at which a test may let this process die."""
    orders = orders_from_environment()
    if orders is None:
        return ledger, providers
    log.critical("process.fault_points_on", variable=VARIABLE)
    return watched_ledger(ledger, orders.reached), lambda account, lane: watched_provider(providers(account, lane), orders.reached)


def check_start(settings: Settings) -> None:
    """Refuse to start where jobs could be forgotten, where no account is known, or where the jobs are another provider's.

    Raises DidflowError.
    """
    if not settings.all_accounts():
        raise InvalidSettings("no account: set WAVIX_API_KEY, or name a TOML file in DIDFLOW_ACCOUNTS; to try without one, `didflow demo`")
    client = connect(redis_url(settings))
    for finding in refuse_unsafe(check_redis(client), override=settings.unsafe_redis):
        log.critical("process.unsafe_redis", finding=finding.sentence)
    ledger = Ledger(client, settings.namespace)
    for name, account in settings.all_accounts().items():
        claim_server(ledger, name, account)
    # Limits are changed in the environment of a process, and this is the first that the ledger knows of it.
    ledger.run(note_limits(running_with(settings), f"{os_user()}@{socket.gethostname()}"))


def ready_process() -> WorkerProcess:
    """A process of these settings, not yet started. Where it can't start, the log says why, and SystemExit has the code."""
    configure_logs(serves=True)
    try:
        settings = load_settings()
        configure_logs(log_format=settings.log_format, level=settings.log_level, serves=True)
        check_start(settings)
        process = WorkerProcess(settings, owns_process=True)
    except (InvalidSettings, UnsafeRedis) as error:
        log.critical("process.refused_to_start", code=error.code, error=str(error))
        sys.exit(ExitCode.MISCONFIGURED)
    except ServiceUnavailable as error:
        log.critical("process.ledger_unreachable", error=str(error))
        sys.exit(ExitCode.NOT_YET)
    except (ValueError, httpx.InvalidURL) as error:
        # Nothing is asked before the start, so this comes from the settings and would come again. Its text may show a key.
        log.critical("process.refused_to_start", code="invalid_settings", error=type(error).__name__, next="look at WAVIX_* and DIDFLOW_*")
        sys.exit(ExitCode.MISCONFIGURED)
    # Modules and their models are never freed. Without this each full collection goes through them, and holds all threads for a tenth of a
    # second: so long that requests to the provider miss their moments.
    gc.freeze()
    return process


def is_refused(process: WorkerProcess) -> bool:
    """Whether it must end, because the ledger belongs to another account; the log says so."""
    if (refused := process.identity.refused) is None:
        return False
    log.critical("process.refused_to_go_on", code=refused.code, error=str(refused))
    return True


def main() -> None:
    """Run until SIGTERM, SIGINT, or the supervisor's death; a second signal ends at once, whatever is running."""
    process = ready_process()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(1) if stop.is_set() else stop.set())
    process.start()
    code = 0
    while not stop.wait(1.0):
        if is_orphan():
            log.info("process.orphaned")
            break
        if is_refused(process):
            code = ExitCode.MISCONFIGURED
            break
    process.stop()
    sys.exit(code)


if __name__ == "__main__":
    main()
