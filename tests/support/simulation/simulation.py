"""Jobs, attempts and a provider where one thing moves at a time, and the test says which.

An attempt runs the real runner in a thread of its own and stops at every fault point: before and after each call to the provider and
each write to the ledger. There it may continue, be killed, or be left standing while its lease runs out and others take over.
"""

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

import redis
from pydantic import SecretStr

from didflow.contract.history import History
from didflow.contract.jobs import Job, JobView
from didflow.contract.requests import Request
from didflow.contract.states import REPORTED, JobState, WaitReason
from didflow.fault_orders import Reached
from didflow.ledger import script_calls
from didflow.ledger.ledger import Ledger, Swept
from didflow.ledger.reservations import Reservation
from didflow.ledger.script_calls import Submission
from tests.support import provider_profiles
from tests.support.inline_worker import settings_for
from tests.support.simulation.clock import Clock
from tests.support.simulation.in_process_sandbox import NearSandbox
from worker.attempt.fault_points import watched_ledger, watched_provider
from worker.attempt.heartbeat import Leases
from worker.attempt.ledger_ports.routes import ROUTES_SENT_WITHIN_S
from worker.attempt.runner import JobRunner
from worker.jobs.ports.provider import Provider
from worker.jobs.purchase.funds import SHARED_MS
from worker.wavix.client import WavixClient
from worker.wavix.locations import LocationCache
from worker.wavix.sandbox import SandboxOptions
from worker.wavix.sandbox.options import SANDBOX_KEY

SETTLE_S = 10.0
#: A wait that is longer than any settle time.
LONG_MS = 60_000
#: No lease ends by itself, however slow the machine: the test says when.
LEASE_S = 3600.0
#: A step that takes longer than this hangs.
STEP_WITHIN_S = 60.0
#: A job that isn't reported after so many undisturbed attempts goes round in circles.
ATTEMPTS_AT_MOST = 40
#: Killing is what these tests do; that a job which kills workers is parked is tested elsewhere.
MAX_CRASHES = 1000


class Killed(BaseException):
    """As by kill -9: nothing in a worker may catch this, let alone write it down."""


class TimedLedger(Ledger):
    """The ledger; what jobs read as its clock is the test's."""

    def __init__(self, client: redis.Redis, namespace: str, clock: Clock) -> None:
        super().__init__(client, namespace)
        self._clock = clock

    def now_ms(self) -> int:
        return self._clock.now_ms()


@dataclass(frozen=True)
class Worker:
    """A worker process with one thread. `leases`: its heartbeat, which beats when the test says so."""

    runner: JobRunner
    leases: Leases
    stopping: threading.Event


class Simulation:
    """A namespace, a sandbox, a clock, and the jobs submitted here. `providers` may put a mutant between the jobs and the client.

    `changes`: settings that differ from the default ones.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        sandbox: SandboxOptions | None = None,
        ledger: type[TimedLedger] = TimedLedger,
        provider: type[WavixClient] = WavixClient,
        **changes: object,
    ) -> None:
        self.clock = Clock()
        options = sandbox or SandboxOptions(numbers_per_city=8, balance_usd=Decimal(1000))
        self.sandbox = NearSandbox(provider_profiles.current.applied_to(options, timed=False), self.clock)
        self.ledger = ledger(client, f"simulation-{uuid.uuid4().hex[:8]}", self.clock)
        self.settings = settings_for(
            self.sandbox.url,
            self.ledger.keys.namespace,
            settle_limit_seconds=600.0,
            max_crashes=MAX_CRASHES,
            lease_seconds=LEASE_S,
            **{"settle_seconds": SETTLE_S} | provider_profiles.current.settings | changes,
        )
        self.provider = provider(
            self.sandbox.url,
            SecretStr(SANDBOX_KEY),
            self.settings.wavix_dialect,
            transport=self.sandbox,
            locations=LocationCache(),
        )
        self.jobs: list[Job] = []
        self.requests: dict[str, Request] = {}
        self.retried: list[str] = []

    def close(self) -> None:
        """Forget the namespace, so that many simulations don't fill the server."""
        self.provider.close()
        self.sandbox.service.stopping.set()
        names = list(self.ledger.client.scan_iter(match=f"{self.ledger.keys.namespace}:*", count=1000))
        self.ledger.client.delete(*names)

    # What producers do

    def submit(self, request: Request, key: str | None = None, reference: str | None = None) -> Job:
        job = self.ledger.submit(Submission(request, idempotency_key=key, reference=reference))
        if job.is_new:
            self.jobs.append(job)
            self.requests[job.id] = request
        return job

    def cancel(self, job: Job) -> None:
        self.ledger.run(script_calls.cancel(job.id))

    def retry(self, job: Job) -> None:
        """A person lets a parked job look once more."""
        parked = self.view(job).state is JobState.NEEDS_REVIEW
        self.ledger.run(script_calls.retry(job.id))
        if parked:
            self.retried.append(job.id)

    # What workers do

    def worker(self, reached: Reached | None = None) -> Worker:
        """A worker process; `reached` is called at each of its fault points."""
        ledger = watched_ledger(self.ledger, reached) if reached else self.ledger
        provider = cast("Provider", self.provider)
        watched = watched_provider(provider, reached) if reached else provider
        leases = Leases(self.ledger, lease_s=LEASE_S, worker="simulation")
        stopping = threading.Event()
        return Worker(JobRunner(ledger, self.settings, lambda _account, _lane: watched, leases, stopping), leases, stopping)

    def run(self, job: Job, reached: Reached | None = None) -> JobView:
        """One attempt in this thread."""
        self.worker(reached).runner.run(job.id)
        return self.view(job)

    def view(self, job: Job) -> JobView:
        return self.ledger.get(job.id)

    def waits_ms(self, job: Job) -> int:
        """How long it is until the job is due."""
        due_at = self.view(job).due_at
        return int(due_at.timestamp() * 1000) - Ledger.now_ms(self.ledger) if due_at else 0

    def make_due(self, job: Job) -> None:
        """Let a waiting job's time come: a pause between attempts has passed, or the lists have had time to settle."""
        view = self.view(job)
        if view.reason == WaitReason.SETTLING:
            # A release that was refused after a call without an answer waits much longer.
            long_ms = waits_ms if (waits_ms := self.waits_ms(job)) > LONG_MS else 0
            self.clock.pass_ms(max(int(SETTLE_S * 1000), long_ms))
        if view.reason == WaitReason.FUNDS:
            self.clock.pass_ms(SHARED_MS)
        self.ledger.client.hset(self.ledger.keys.job(job.id), "due_ms", "")

    def expire(self, job: Job) -> Swept:
        """The job's lease runs out, if it has one, and a sweeper sees it."""
        self.ledger.client.zadd(f"{self.ledger.keys.namespace}:leases", {job.id: 0}, xx=True)
        return self.ledger.sweep(max_crashes=MAX_CRASHES)

    def finish(self, *jobs: Job) -> None:
        """Attempt after attempt until all are reported. A worker that holds a lease is taken for dead."""
        for _ in range(ATTEMPTS_AT_MOST):
            left = [job for job in jobs or self.jobs if self.view(job).state not in REPORTED]
            for job in left:
                if self.view(job).state is JobState.RUNNING:
                    self.expire(job)
                self._pass_grace(job)
                self.make_due(job)
                self.run(job)
            if not left:
                return
        raise AssertionError([(self.view(job), self.story(job)) for job in left])

    def _pass_grace(self, job: Job) -> None:
        """Let the time come that a release waits for."""
        view = self.view(job)
        if view.reason == WaitReason.GRACE and view.due_at is not None:
            left_s = view.due_at.timestamp() - time.time()  # The ledger keeps it by the server's clock.
            self.clock.pass_ms(max(1, int(left_s * 1000) + 1))

    # What can be seen

    def story(self, job: Job) -> list[str]:
        return [f"{step.attempt} {step.name}: {step.detail}" for step in self.ledger.perform(self.ledger.commands.steps(job.id))]

    def histories(self) -> dict[str, History]:
        """Of all numbers that have one."""
        numbers = cast("list[str]", self.ledger.client.hkeys(self.ledger.keys.history))
        return {number: self.ledger.run(script_calls.history(number)) for number in numbers}

    def own(self, count: int) -> list[str]:
        """Numbers that are ours already, all routed to one SIP URI."""
        route = [{"transport": 1, "destination": "old@example.net", "priority": 1}]
        return [f"+{number}" for number in self.sandbox.order("seed_owned", count=count, destinations=route)]

    def cart(self) -> set[str]:
        return {f"+{number}" for number in self.sandbox.state()["accounts"]["default"]["cart"]}

    def tainted(self) -> set[str]:
        """Numbers that stay reserved after their job: a call that is under way might act on them."""
        reserved = cast("dict[str, str]", self.ledger.client.hgetall(self.ledger.keys.reserved("default")))
        read = {number: Reservation.model_validate_json(text) for number, text in reserved.items()}
        return {number for number, one in read.items() if one.holder != "quarantine" and one.until_ms}

    def routes(self) -> dict[str, list[str]]:
        """Where each of our numbers goes."""
        owned = self.sandbox.owned()
        return {f"+{number}": [str(one["destination"]) for one in record["destinations"]] for number, record in owned.items()}


class Attempt:
    """One run of a job's attempt, in a thread that moves only while `step` waits for it. `at`: the point at which it stands; None: over."""

    def __init__(self, simulation: Simulation, job: Job) -> None:
        self.job = job
        self.at: str | None = "start"
        self.reached: list[str] = []
        self._dies = False
        self._clock, self._claimed_ms = simulation.clock, simulation.clock.shown_ms
        self._go, self._stands = threading.Semaphore(0), threading.Semaphore(0)
        self._trouble: BaseException | None = None
        self.worker = simulation.worker(self._reached)
        self._thread = threading.Thread(target=self._run, name=f"attempt of {job.id}", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        return self.at is None

    def step(self) -> None:
        """Continue to the next point, or to the end. Raises what the runner raised, which is an error in it."""
        if self.at is None:
            return
        if self._clock.shown_ms - self._claimed_ms > ROUTES_SENT_WITHIN_S * 1000:
            for flags in self.worker.leases._held.values():  # It goes by the machine's clock, which stands still here.
                if flags.send_until_s < float("inf"):
                    flags.send_until_s = float("-inf")
        self._go.release()
        assert self._stands.acquire(timeout=STEP_WITHIN_S), f"hangs after {self.at}"
        if self.over:
            self._thread.join()
            if self._trouble is not None:
                raise self._trouble

    def until(self, stop: Callable[[str], bool]) -> bool:
        """Continue until it stands at such a point; False if it ended before."""
        self.step()
        while not self.over and not stop(self.at or ""):
            self.step()
        return not self.over

    def to(self, point: str) -> None:
        """Continue to this point, which must come."""
        assert self.until(lambda at: at == point), f"never came to {point}, only to {self.reached}"

    def end(self) -> None:
        """Continue to the end."""
        self.until(lambda _: False)

    def kill(self) -> None:
        """Die at the point at which it stands."""
        self._dies = True
        self.step()
        assert self.over, f"went on to {self.at} after it was killed"

    def _reached(self, point: str) -> None:
        self.at = point
        if point == "after:claim_routes":
            self._claimed_ms = self._clock.shown_ms
        self.reached.append(point)
        self._stand()

    def _stand(self) -> None:
        self._stands.release()
        self._go.acquire()
        if self._dies:
            raise Killed(self.at)

    def _run(self) -> None:
        try:
            self._go.acquire()
            if not self._dies:
                self.worker.runner.run(self.job.id)
        except Killed:
            pass
        except BaseException as trouble:  # noqa: BLE001 - handed to the test's thread, which raises it
            self._trouble = trouble
        finally:
            self.at = None
            self._stands.release()
