"""One sweep of an account's numbers: reads the whole list at a small pace, writes what it shows, and what it doesn't show.

A number is gone only when two complete sweeps, each begun after it was last seen or confirmed, don't show it, and its record isn't there.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import structlog

from didflow.contract.events import FirstSweepBody
from didflow.contract.history import Happening
from didflow.contract.provider import NotThere, OwnedAsk, OwnedNumber, Page
from didflow.ledger.inventory_changes import SweepTimes
from didflow.ledger.inventory_columns import missed_ms_in, number_in, seen_ms_in
from didflow.ledger.inventory_rows import Row
from didflow.ledger.inventory_sweeps import Changed, InventorySweeps, SweepTurn
from worker.inventory.comparison import Comparison, news_of
from worker.jobs.owned_numbers import listed
from worker.jobs.ports.provider import OwnedPort

#: Numbers whose absence is checked by their records in one sweep; more wait for the next ones.
MOST_CHECKED = 200

log = structlog.stdlib.get_logger("didflow.inventory")


class PacedList:
    """The owned list, one request after the other, each when `wait` returns."""

    def __init__(self, provider: OwnedPort, wait: Callable[[], None]) -> None:
        self._provider, self._wait = provider, wait

    #: When the newest request went, s on `time.monotonic`.
    asked_s = 0.0

    def owned(self, *, page: int, search: str | None = None, label: str | None = None, per_page: int = 100) -> Page[OwnedNumber]:
        self._paced()
        return self._provider.owned(page=page, search=search, label=label, per_page=per_page)

    def owned_many(self, asks: Iterable[OwnedAsk]) -> Iterator[Page[OwnedNumber]]:
        for ask in asks:
            yield self.owned(page=ask.page, search=ask.search, label=ask.label)

    def owned_one(self, record_id: int) -> OwnedNumber:
        self._paced()
        return self._provider.owned_one(record_id)

    def _paced(self) -> None:
        self._wait()
        self.asked_s = time.monotonic()


class InventorySweep:
    """One sweep. Raises ReadFailed, SweepLost and ServiceUnavailable, after which the next one starts over."""

    def __init__(
        self,
        sweeps: InventorySweeps,
        turn: SweepTurn,
        provider: PacedList,
        *,
        settle_ms: int,
        renewal_due_ms: int,
        routed_by_us: Callable[[str, Sequence[str]], bool],
    ) -> None:
        """`routed_by_us`: see `Comparison`."""
        self._sweeps, self._turn, self._provider = sweeps, turn, provider
        self._times, self._began_s = SweepTimes(turn.began_ms, settle_ms, turn.complete_ms), time.monotonic()
        self._comparison = Comparison(sweeps, turn.account, self._times, renewal_due_ms=renewal_due_ms, routed_by_us=routed_by_us)
        self.count = 0
        self._unsure = 0

    def run(self) -> str:
        """Why the sweep isn't complete; empty: it is."""
        unread: set[str | None] = set()
        whole = yield_all(listed(self._provider, unread=unread), self._take)
        if unread:
            return f"{len(unread)} records can't be read"
        if not whole:
            return "the list changed all the time while it was read"
        if self._unsure:
            return f"{self._unsure} numbers changed while they were read"
        return self._look_for_absent()

    def first(self) -> str:
        """The data of the event of a first sweep."""
        return FirstSweepBody(account=self._turn.account, numbers=self.count).model_dump_json()

    def _take(self, items: Sequence[OwnedNumber]) -> None:
        """Write what a page shows."""
        self.count += len(items)
        read_ms = self._read_ms()

        def write(seen: Sequence[Row], changed: Sequence[Changed]) -> Sequence[str]:
            return self._sweeps.write(self._turn, seen, changed, read_ms=read_ms, settle_ms=self._times.settle_ms)

        self._unsure += self._comparison.take(items, write)

    def _read_ms(self) -> int:
        """When what was read last was asked for, at the earliest, on the ledger's clock."""
        return self._turn.began_ms + max(0, int((self._provider.asked_s - self._began_s) * 1000))

    def _look_for_absent(self) -> str:
        """What a complete list didn't show: missed once, or gone. Each is looked up by its record: a list with too few pages hides it."""
        began_ms, settle_ms = self._times.began_ms, self._times.settle_ms
        absent = [line for line in self._sweeps.unseen(self._turn) if seen_ms_in(line) + settle_ms < began_ms]
        missed: list[str] = []
        still_there = 0
        for line in absent[:MOST_CHECKED]:
            row = self._sweeps.kept(self._turn.account, [number_in(line)])[number_in(line)].row
            if row is not None and self._is_there(row):
                still_there += 1
            elif seen_ms_in(line) + settle_ms < missed_ms_in(line) < began_ms:
                news = () if row is None else (news_of(self._turn.account, "disappeared", Happening.DISAPPEARED, row.owned),)
                self._sweeps.gone(self._turn, line, news)
            else:
                missed.append(line)
        self._sweeps.missed(self._turn, missed)
        if still_there:
            return f"the list doesn't show {still_there} numbers whose records are there"
        unchecked = len(absent) - MOST_CHECKED
        return f"{unchecked} more numbers that the list doesn't show are looked up by the next sweeps" if unchecked > 0 else ""

    def _is_there(self, row: Row) -> bool:
        """Whether the account has that record; then what it shows is written."""
        try:
            owned = self._provider.owned_one(row.owned.record_id)
        except NotThere:
            return False
        if owned.number != row.owned.number:
            return False
        self._take([owned])
        return True


def yield_all(pages: Iterator[Sequence[OwnedNumber]], take: Callable[[Sequence[OwnedNumber]], None]) -> bool:
    """Give every page to `take`; returns what the pages' generator returns."""
    while True:
        try:
            items = next(pages)
        except StopIteration as end:
            return bool(end.value)
        take(items)
