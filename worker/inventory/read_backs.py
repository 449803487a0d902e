"""What jobs read of owned numbers, also of others than their own, goes to the inventory, too. Best effort: a sweep shows all of it later.

The jobs' threads only leave their pages here. One thread of the process compares and writes them, and not while an emergency runs.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence

import redis
import structlog

from didflow.contract.errors import DidflowError
from didflow.contract.provider import OwnedNumber
from didflow.ledger.inventory import look
from didflow.ledger.inventory_changes import SweepTimes
from didflow.ledger.inventory_rows import Row
from didflow.ledger.inventory_sweeps import TOGETHER, Changed, InventorySweeps, routed_by_us
from didflow.ledger.ledger import Ledger
from didflow.ledger.rate_limit import emergency_under_way
from worker.inventory.comparison import Comparison
from worker.inventory.gathering import GATHERED_S, Gathering

#: Pages that wait to be written, at most; of more the oldest are dropped.
MOST_PAGES = 100

log = structlog.stdlib.get_logger("didflow.inventory")


class ReadBacks(Gathering[tuple[str, float, Sequence[OwnedNumber]]]):
    """`saw` is called by any thread; what it leaves is written in this one."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        settle_s: float,
        renewal_due_s: float,
        is_its_ledger: Callable[[str], bool] = lambda _: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("inventory read-backs", MOST_PAGES)
        self._ledger, self._sweeps, self._clock = ledger, InventorySweeps(ledger), clock
        self._settle_ms, self._renewal_due_ms = int(settle_s * 1000), int(renewal_due_s * 1000)
        self._is_its_ledger = is_its_ledger

    def saw(self, account: str, asked_s: float, items: Sequence[OwnedNumber]) -> None:
        """A read that was sent no earlier than `asked_s`, on `clock`, showed these."""
        if items:
            self.leave((account, asked_s, items))

    def write(self) -> None:
        for account, shown in self._gathered().items():
            try:
                self._write(account, shown)
            except (DidflowError, redis.RedisError) as error:
                log.warning("inventory.read_back_dropped", account=account, error=f"{type(error).__name__}: {error}")
            except Exception:
                log.exception("inventory.bug", account=account)  # Jobs need this process, so it must not end for this.

    def _gathered(self) -> dict[str, dict[int, tuple[float, OwnedNumber]]]:
        """The newest read of each number, by account and record."""
        found: dict[str, dict[int, tuple[float, OwnedNumber]]] = defaultdict(dict)
        for account, asked_s, items in self.taken():
            for one in items:
                if one.record_id not in found[account] or found[account][one.record_id][0] <= asked_s:
                    found[account][one.record_id] = (asked_s, one)
        return found

    def _write(self, account: str, shown: dict[int, tuple[float, OwnedNumber]]) -> None:
        if not self._is_its_ledger(account):
            return
        while self._ledger.perform(emergency_under_way(self._ledger.keys, account)):
            if self._stop_event.wait(GATHERED_S):
                return
        before_s, looked = self._clock(), self._ledger.perform(look(self._ledger.keys, account))
        now_ms, swept_at = looked.now.timestamp() * 1000, looked.state.swept_at
        swept_ms = int(swept_at.timestamp() * 1000) if swept_at else None
        by_time: dict[float, list[OwnedNumber]] = defaultdict(list)
        for asked_s, one in shown.values():
            by_time[asked_s].append(one)
        for asked_s, items in sorted(by_time.items()):
            read_ms = int(now_ms - (before_s - asked_s) * 1000) - 1
            self._write_page(account, items, SweepTimes(read_ms, self._settle_ms, swept_ms))

    def _write_page(self, account: str, items: Sequence[OwnedNumber], times: SweepTimes) -> None:
        def ours(number: str, route: Sequence[str]) -> bool:
            return self._ledger.perform(routed_by_us(self._ledger.keys, account, number, route))

        def write(seen: Sequence[Row], changed: Sequence[Changed]) -> Sequence[str]:
            return self._sweeps.write_read(account, seen, changed, read_ms=times.began_ms, settle_ms=self._settle_ms)

        comparison = Comparison(self._sweeps, account, times, renewal_due_ms=self._renewal_due_ms, routed_by_us=ours)
        for start in range(0, len(items), TOGETHER):
            comparison.take(items[start : start + TOGETHER], write)
