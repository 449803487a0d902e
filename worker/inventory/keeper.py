"""Keeps the inventory of one account: a thread in every worker process, of which one sweeps at a time."""

import threading
import time
import uuid
from collections.abc import Callable, Sequence

import redis
import structlog

from didflow.contract.errors import DidflowError
from didflow.contract.provider import ReadFailed
from didflow.ledger.inventory_sweeps import InventorySweeps, SweepLost, SweepTurn, routed_by_us
from didflow.ledger.ledger import Ledger
from didflow.ledger.rate_limit import emergency_under_way
from worker.attempt.patience import UntilStopped
from worker.inventory.sweep import InventorySweep, PacedList
from worker.jobs.ports.provider import OwnedPort
from worker.wavix.request_gate import with_patience

#: How often it is checked whether a sweep is due, at most and at least.
LOOK_EVERY_S, LOOK_SOON_S = 2.0, 0.2
#: A sweep that wasn't complete is repeated after this long, or after the usual pause, if that is shorter.
AGAIN_S = 60.0
#: Waiting for an emergency to end, it gives signs of life this often.
ALIVE_EVERY_S = 10.0

log = structlog.stdlib.get_logger("didflow.inventory")


class Stopped(Exception):
    """The process stops."""


class InventoryKeeper(threading.Thread):
    """`provider` is called in this thread, for a client of its own.

    `is_its_ledger`: whether the account is known to be the one that the ledger belongs to. `worker`: whose sweep it is; when that one is
    gone, another sweep may begin."""

    def __init__(
        self,
        ledger: Ledger,
        account: str,
        provider: Callable[[], OwnedPort],
        *,
        every_s: float,
        requests_per_s: float,
        settle_s: float,
        renewal_due_s: float,
        is_its_ledger: Callable[[str], bool] = lambda _: True,
        worker: str = "",
    ) -> None:
        super().__init__(name=f"inventory {account}", daemon=True)
        self._ledger, self._sweeps, self._account, self._provider = ledger, InventorySweeps(ledger), account, provider
        self._every_s, self._between_s = every_s, 1 / requests_per_s
        self._settle_ms, self._renewal_due_ms = int(settle_s * 1000), int(renewal_due_s * 1000)
        self._is_its_ledger, self._worker = is_its_ledger, worker
        self._stop_event = threading.Event()
        self._next_s = 0.0

    def run(self) -> None:
        pause_s = LOOK_SOON_S
        while not self._stop_event.wait(pause_s):
            pause_s = self.look()

    def stop(self) -> None:
        self._stop_event.set()

    def look(self) -> float:
        """Sweep if it is time and nobody else does. Returns when to look again, s."""
        try:
            if not self._is_its_ledger(self._account):
                return LOOK_SOON_S
            turn = self._sweeps.begin(self._account, uuid.uuid4().hex, self._worker)
            if not isinstance(turn, SweepTurn):
                return min(LOOK_EVERY_S, max(LOOK_SOON_S, turn))
            with with_patience(UntilStopped(self._stop_event)):
                self._sweep(turn)
        except (DidflowError, redis.RedisError) as error:
            log.warning("inventory.ledger_unreachable", account=self._account, error=f"{type(error).__name__}: {error}")
        except SweepLost:
            log.warning("inventory.sweep_lost", account=self._account, next="another worker's sweep runs")
        except Stopped:
            log.info("inventory.sweep_abandoned", account=self._account)
        except Exception:
            # Jobs need this process, so it must not end for this; the mirror says its age.
            log.exception("inventory.bug", account=self._account)
        return LOOK_EVERY_S

    def _sweep(self, turn: SweepTurn) -> None:
        def ours(number: str, route: Sequence[str]) -> bool:
            return self._ledger.perform(routed_by_us(self._ledger.keys, self._account, number, route))

        sweep = InventorySweep(
            self._sweeps,
            turn,
            PacedList(self._provider(), lambda: self._wait(turn)),
            settle_ms=self._settle_ms,
            renewal_due_ms=self._renewal_due_ms,
            routed_by_us=ours,
        )
        began_s = time.monotonic()
        try:
            trouble = sweep.run()
        except ReadFailed as failed:
            trouble = f"the list can't be read: {failed}"
        pause_s = min(AGAIN_S, self._every_s) if trouble else self._every_s
        self._sweeps.end(turn, complete=not trouble, pause_s=pause_s, trouble=trouble, settle_ms=self._settle_ms, first=sweep.first())
        said = {"account": self._account, "numbers": sweep.count, "seconds": round(time.monotonic() - began_s, 1)}
        if trouble:
            log.warning("inventory.swept_in_part", **said, trouble=trouble)
        else:
            log.info("inventory.swept", **said)

    def _wait(self, turn: SweepTurn) -> None:
        """Until the next request may go: at the sweep's share of the rate, and not while an emergency is under way. Raises Stopped."""
        alive_s = time.monotonic()
        while (left_s := self._next_s - time.monotonic()) > 0 or self._ledger.perform(
            emergency_under_way(self._ledger.keys, self._account)
        ):
            if self._stop_event.wait(min(1.0, left_s) if left_s > 0 else LOOK_SOON_S):
                raise Stopped
            if time.monotonic() - alive_s > ALIVE_EVERY_S:
                alive_s = time.monotonic()
                self._sweeps.alive(turn)
        if self._stop_event.is_set():
            raise Stopped
        self._next_s = time.monotonic() + self._between_s
