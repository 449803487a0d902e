"""Restores lost messages and the jobs of dead workers. It runs in every worker process."""

import random
import threading
import time

import redis
import structlog

from didflow.contract.errors import DidflowError
from didflow.delays import jittered_s
from didflow.ledger.consumer_groups import trim
from didflow.ledger.ledger import Ledger
from worker.process.plan_refresh import PlanRefresher

SWEEP_EVERY_S = 0.5
TRIM_EVERY_S = 60.0
#: How many steps a pass has at most; between two of them the server serves others.
STEPS_MOST = 40
#: A worker parks a job that killed too many, with its record; the sweeper does so after this many more, without the record, for a job
#: that kills even the worker that reads it.
BACKSTOP_CRASHES = 3

log = structlog.stdlib.get_logger("didflow.sweeper")


class Sweeper(threading.Thread):
    """Sweeps twice a second, a little apart from its neighbours."""

    def __init__(self, ledger: Ledger, *, max_crashes: int, plans: PlanRefresher | None = None) -> None:
        super().__init__(name="sweeper", daemon=True)
        self._ledger, self._max_crashes, self._plans = ledger, max_crashes, plans
        self._stop_event = threading.Event()
        self._trimmed_s = float("-inf")
        self.last_beat_s = time.monotonic()

    def run(self) -> None:
        while not self._stop_event.wait(jittered_s(SWEEP_EVERY_S, random.random())):
            self.sweep()

    def stop(self) -> None:
        self._stop_event.set()

    def sweep(self) -> None:
        """One pass; Redis being away only postpones it."""
        try:
            for _ in range(STEPS_MOST):
                if not self._sweep_some():
                    break
            if time.monotonic() - self._trimmed_s > TRIM_EVERY_S:
                self._trimmed_s = time.monotonic()
                trim(self._ledger)
                for _ in range(STEPS_MOST):
                    if not self._ledger.forget_histories():
                        break
                for _ in range(STEPS_MOST):
                    if not self._ledger.forget_audit():
                        break
            if self._plans is not None:
                self._plans.look()
        except (DidflowError, redis.RedisError) as error:
            # Whatever the server says, this thread continues: without it the process would end, and with it what it runs.
            log.warning("sweeper.ledger_unreachable", error=f"{type(error).__name__}: {error}")
        self.last_beat_s = time.monotonic()

    def _sweep_some(self) -> bool:
        """One step of a pass, in which the server does nothing else; whether there is more to do."""
        swept = self._ledger.sweep(max_crashes=self._max_crashes + BACKSTOP_CRASHES)
        if swept.set_back:
            why = "keys of theirs in Redis have another type: what else writes there?"
            log.error("sweeper.jobs_damaged", jobs=swept.set_back, next=why)
        if swept.recovered or swept.parked or swept.deleted:
            log.info("sweeper.swept", **vars(swept))
        return swept.more
