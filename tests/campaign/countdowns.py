"""What happens to a campaign's countdowns: some are cancelled, before, while and after their numbers go; some numbers are called.

A cancel counts as answered when the producer has its answer. Moments are seconds of the wall clock, which the sandbox goes by, too.
"""

import itertools
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from didflow import Didflow
from didflow.contract.destinations import Destination
from didflow.contract.errors import JobNotFound, ServiceUnavailable
from didflow.contract.jobs import JobView
from didflow.contract.requests import Release
from didflow.contract.states import JobState
from producers.churn import Churn
from worker.wavix.sandbox import SandboxAdmin

T = TypeVar("T")

PARKING = Destination.sip("parked@example.net")
#: A producer asks again for so long until it is answered.
ANSWERED_WITHIN_S = 90.0


@dataclass(frozen=True)
class CalledOff:
    """`at_rest`: no worker had the job while it was cancelled, so nothing of it can have been on its way."""

    answered_s: float
    at_rest: bool


@dataclass
class Meddling:
    """`terms` says how a release counts down; `with_countdown` lets something happen to one, or nothing, and keeps what for the oracle."""

    didflow: Didflow
    rng: random.Random
    sandbox: SandboxAdmin
    #: By job: its first cancel that was answered.
    called_off: dict[str, CalledOff] = field(default_factory=dict)
    #: By number: when it had been called.
    called: dict[str, float] = field(default_factory=dict)
    _under_way: list[threading.Timer] = field(default_factory=list)

    def terms(self) -> dict[str, Any]:
        """How long, whether parked, and whether purchases may have what is."""
        parking = self.rng.choice(((PARKING,), (PARKING,), ()))
        grace = timedelta(seconds=round(self.rng.uniform(1.0, 4.0), 1))
        return {"grace": grace, "parking": parking, "reusable": bool(parking) and self.rng.random() < 0.5}

    def with_countdown(self, job_id: str, request: Release, reference: str | None = None) -> None:
        """`reference`: it is a customer's, who may come back."""
        grace_s = request.grace.total_seconds()
        chance = self.rng.random()
        if chance < 0.45:
            call_off = self._called_off if reference is None else self._returned
            self._later(self.rng.uniform(0.0, grace_s + 3.0), call_off, reference or job_id)
        elif chance < 0.65:
            self._later(self.rng.uniform(0.2, grace_s), self._call, self.rng.choice(request.numbers))

    def finish(self) -> None:
        """Return when all of it has happened."""
        for timer in self._under_way:
            timer.join()

    def _later(self, after_s: float, happens: Callable[[str], None], what: str) -> None:
        timer = threading.Timer(after_s, happens, (what,))
        timer.daemon = True
        self._under_way.append(timer)
        timer.start()

    def _called_off(self, job_id: str) -> None:
        def cancel() -> None:
            before = self.didflow.get(job_id)
            after = self.didflow.cancel(job_id)
            self._answered(job_id, at_rest=before.state is not JobState.RUNNING and before.token == after.token and not _over(before))

        with suppress(JobNotFound):  # Its time is over.
            insist(cancel)

    def _returned(self, reference: str) -> None:
        attempts = itertools.count()

        def come_back() -> None:
            is_again = next(attempts) > 0
            called_off = set(Churn(self.didflow).returned(reference).called_off)
            if is_again:
                # An attempt that got no answer may have called off what has ended by now. Nobody else calls these off.
                found = self.didflow.find(reference=reference)
                called_off |= {view.id for view in found if isinstance(view.request, Release) and view.state is JobState.CANCELLED}
            for job_id in called_off:
                self._answered(job_id, at_rest=False)

        insist(come_back)

    def _answered(self, job_id: str, *, at_rest: bool) -> None:
        self.called_off.setdefault(job_id, CalledOff(time.time(), at_rest))

    def _call(self, number: str) -> None:
        """Someone calls it, if it is still there."""
        with suppress(ValueError, OSError):
            self.sandbox.order("set_number", number=number.removeprefix("+"), seconds=61)
            self.called[number] = time.time()


def _over(view: JobView) -> bool:
    return view.state.is_terminal or view.state is JobState.NEEDS_REVIEW


def insist(ask: Callable[[], T]) -> T:
    """Ask until there is an answer. Raises ServiceUnavailable if there is none for too long."""
    deadline_s = time.monotonic() + ANSWERED_WITHIN_S
    while True:
        try:
            return ask()
        except ServiceUnavailable:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.2)
