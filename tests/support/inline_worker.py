"""A worker without threads or queues: the real runner on a real ledger and a sandbox, one attempt at a time, so that tests decide when."""

import os
import threading
import time
from decimal import Decimal
from functools import cache
from typing import cast

from pydantic import SecretStr

from didflow.contract.errors import InvalidSettings
from didflow.contract.jobs import Job, JobView
from didflow.contract.requests import Request
from didflow.contract.results import NumberResult, Result
from didflow.contract.states import REPORTED, Lane, WaitReason
from didflow.ledger.ledger import Ledger
from didflow.ledger.script_calls import Submission
from didflow.settings import Settings
from worker.attempt.heartbeat import Leases
from worker.attempt.runner import JobRunner
from worker.jobs.ports.provider import Provider
from worker.wavix.calls_in_flight import CallsUnderWay
from worker.wavix.client import WavixClient
from worker.wavix.locations import LocationCache
from worker.wavix.sandbox import SandboxAdmin
from worker.wavix.sandbox.options import SANDBOX_KEY

SETTLE_S = 0.3
#: Long enough for a busy machine to answer; a call that hangs takes as long.
HTTP_TIMEOUT_S = 2.0


def settings_for(url: str, namespace: str, **changes: object) -> Settings:
    """Settings for tests: everything that waits, waits shortly."""
    environment = tuple((name, value) for name, value in os.environ.items() if name.startswith(("DIDFLOW_", "WAVIX_")))
    made = _settings(environment, tuple(changes.items()))
    return made.model_copy(update={"wavix_base_url": url, "namespace": namespace})


@cache
def _settings(_environment: tuple[tuple[str, str], ...], changes: tuple[tuple[str, object], ...]) -> Settings:
    """Made once for each environment and change: thousands of simulations share them, and reading their sources takes longer than a job."""
    fields: dict[str, object] = {
        "WAVIX_API_KEY": SecretStr(SANDBOX_KEY),
        "WAVIX_BASE_URL": "http://127.0.0.1:1",
        "WAVIX_DIALECT": "mydids",  # Not detected, so that what a test counts is what its jobs ask.
        "settle_seconds": SETTLE_S,
        "settle_limit_seconds": 5.0,
        "http_timeout": HTTP_TIMEOUT_S,
        "lease_seconds": 5.0,
        "probe_seconds": 0.2,
        "rate_limit": 1000.0,
    }
    return Settings(_env_file=None, **(fields | dict(changes)))  # type: ignore[arg-type]


class InlineWorker:
    """`run` plays a submitted job to its end; `attempt` plays one attempt of it."""

    def __init__(self, ledger: Ledger, sandbox: SandboxAdmin, **changes: object) -> None:
        self.ledger, self.sandbox = ledger, sandbox
        self.settings = settings_for(sandbox.url, ledger.keys.namespace, **changes)
        self.stopping = threading.Event()
        calls = CallsUnderWay()
        self.leases = Leases(ledger, lease_s=self.settings.lease_seconds, worker="stage", calls=calls)
        self.client = WavixClient(
            sandbox.url,
            SecretStr(SANDBOX_KEY),
            self.settings.wavix_dialect,
            timeout_s=self.settings.http_timeout,
            locations=LocationCache(),
            read_backoff_s=0.01,
            calls=calls,
        )
        self.runner = JobRunner(ledger, self.settings, self.provider, self.leases, self.stopping)

    def provider(self, account: str, lane: Lane) -> Provider:
        if account != "default":
            raise InvalidSettings(f"no account {account!r}")
        return self.client

    def close(self) -> None:
        self.client.close()

    def submit(self, request: Request, key: str | None = None, reference: str | None = None) -> Job:
        return self.ledger.submit(Submission(request, idempotency_key=key, reference=reference))

    def attempt(self, job: Job) -> JobView:
        self.runner.run(job.id)
        return self.ledger.get(job.id)

    def finish(self, job: Job, *, within_s: float = 60.0) -> JobView:
        """Attempt after attempt, each when it is due, until the job is reported."""
        deadline_s = time.monotonic() + within_s
        while (view := self.ledger.get(job.id)).state not in REPORTED:
            assert time.monotonic() < deadline_s, (view.state, view.reason, [vars(step) for step in self.story(job)])
            if view.reason in (WaitReason.RETRY, WaitReason.FUNDS, WaitReason.PROVIDER_DOWN, WaitReason.RATE_LIMITED):
                self.make_due(job)  # These only pass time; a test has better things to do.
            elif view.due_at is not None:
                self.wait_until_due(job)
            self.attempt(job)
        return view

    def wait_until_due(self, job: Job) -> None:
        """Let the time pass that the job waits for, a second at most."""
        due_at = self.ledger.get(job.id).due_at
        if due_at is not None:
            time.sleep(max(0.0, min(1.0, due_at.timestamp() - self.ledger.now_ms() / 1000)))

    def make_due(self, job: Job) -> None:
        """Let a waiting job's time come."""
        self.ledger.client.hset(self.ledger.keys.job(job.id), "due_ms", "")

    def run(self, request: Request, key: str | None = None) -> JobView:
        return self.finish(self.submit(request, key))

    def story(self, job: Job | JobView) -> tuple:  # type: ignore[type-arg]
        return self.ledger.perform(self.ledger.commands.steps(job.id))

    def steps(self, job: Job | JobView) -> list[str]:
        return [step.name for step in self.story(job)]

    def event_types(self) -> list[str]:
        """The types on the events stream, oldest first."""
        entries = cast("list[tuple[str, dict[str, str]]]", self.ledger.client.xrange(self.ledger.keys.events))
        return [fields["type"] for _, fields in entries]

    def owned(self) -> set[str]:
        """E.164 of what the sandbox says is ours."""
        return {f"+{number}" for number in self.sandbox.owned()}

    def own(self, count: int, to: str = "sip:old@example.net", **more: object) -> list[str]:
        """Numbers that are ours already, all routed to one SIP URI."""
        route = [{"transport": 1, "destination": to.removeprefix("sip:"), "priority": 1}]
        return [f"+{number}" for number in self.sandbox.order("seed_owned", count=count, destinations=route, **more)]

    def routes(self) -> dict[str, list[str]]:
        return {f"+{number}": [one["destination"] for one in record["destinations"]] for number, record in self.sandbox.owned().items()}


def result_of(view: JobView) -> Result:
    assert view.result is not None
    return view.result


def outcomes(view: JobView) -> dict[str, str | None]:
    return {number.number: number.outcome.value if number.outcome else None for number in result_of(view).numbers}


def numbers(view: JobView) -> tuple[NumberResult, ...]:
    return result_of(view).numbers


def charged(view: JobView) -> Decimal:
    return result_of(view).totals.charged_usd
