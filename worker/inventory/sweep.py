"""One sweep of an account's numbers: reads the whole list at a small pace, writes what it shows, and what it doesn't show.

A number is gone only when two complete sweeps, each begun after it was last seen or confirmed, don't show it, and its record isn't there.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import structlog

from didflow.contract.events import FirstSweepBody, InventoryBody
from didflow.contract.history import Happened, Happening
from didflow.contract.provider import NotThere, OwnedAsk, OwnedNumber, Page
from didflow.ledger.inventory_columns import missed_ms_in, number_in, seen_ms_in
from didflow.ledger.inventory_rows import Row
from didflow.ledger.inventory_sweeps import Changed, InventorySweeps, Kept, NumberNews, SweepTurn
from worker.inventory.changes import FieldChange, SweepTimes, changes, is_newer, merged, renewal_told
from worker.jobs.owned_numbers import listed
from worker.jobs.ports.provider import OwnedPort

#: Numbers whose absence is checked by their records in one sweep; more wait for the next ones.
MOST_CHECKED = 200
#: How often a page is merged again with what jobs wrote meanwhile.
TRIES = 3

log = structlog.stdlib.get_logger("didflow.inventory")


class PacedList:
    """The owned list, one request after the other, each when `wait` returns."""

    def __init__(self, provider: OwnedPort, wait: Callable[[], None]) -> None:
        self._provider, self._wait = provider, wait

    def owned(self, *, page: int, search: str | None = None, label: str | None = None, per_page: int = 100) -> Page[OwnedNumber]:
        self._wait()
        return self._provider.owned(page=page, search=search, label=label, per_page=per_page)

    def owned_many(self, asks: Iterable[OwnedAsk]) -> Iterator[Page[OwnedNumber]]:
        for ask in asks:
            yield self.owned(page=ask.page, search=ask.search, label=ask.label)

    def owned_one(self, record_id: int) -> OwnedNumber:
        self._wait()
        return self._provider.owned_one(record_id)


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
        """`routed_by_us`: whether a job of ours sends the number there, or may still."""
        self._sweeps, self._turn, self._provider, self._renewal_due_ms = sweeps, turn, provider, renewal_due_ms
        self._times = SweepTimes(turn.began_ms, settle_ms, turn.complete_ms)
        self._routed_by_us = routed_by_us
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
        latest: dict[str, OwnedNumber] = {}
        for one in items:
            if one.number not in latest or is_newer(one, latest[one.number]):
                latest[one.number] = one
        for again in range(TRIES):
            kept = self._sweeps.kept(self._turn.account, list(latest))
            seen, changed = self._compared(kept, latest, whole=again > 0)
            left = self._sweeps.write(self._turn, seen, changed, settle_ms=self._times.settle_ms)
            latest = {number: latest[number] for number in left}
            if not latest:
                return
        self._unsure += len(latest)

    def _compared(self, kept: dict[str, Kept], shown: dict[str, OwnedNumber], *, whole: bool) -> tuple[list[Row], list[Changed]]:
        """Those that are as they were, and the others. `whole`: write all of each; another program may have damaged a line."""
        seen: list[Row] = []
        changed: list[Changed] = []
        for number, owned in shown.items():
            one = kept[number]
            if one.row is not None and one.row.owned.record_id != owned.record_id and is_newer(one.row.owned, owned):
                continue
            row = merged(one.row, owned, self._times)
            told = renewal_told(row, self._times.began_ms, self._renewal_due_ms)
            if told is not None:
                row = replace(row, renewal_told=told)
            if one.row is not None and row.is_as(one.row) and not whole:
                seen.append(one.row)
            else:
                changed.append(Changed(one, row, tuple(self._news(one, row, renewal=told is not None))))
        return seen, changed

    def _news(self, kept: Kept, row: Row, *, renewal: bool) -> Iterator[NumberNews]:
        owned, old = row.owned, kept.row
        by_a_job = kept.held_by is not None
        if old is None or old.owned.record_id != owned.record_id:
            damaged = old is None and kept.text
            if self._turn.complete_ms is not None and not damaged and not by_a_job and kept.bought_record != owned.record_id:
                yield self._told("appeared", Happening.APPEARED, owned)
        elif not by_a_job:
            for change in changes(old.owned, owned):
                if change.field != "route" or not self._routed_by_us(owned.number, [str(one) for one in owned.route]):
                    yield self._changed(change, owned)
        if renewal:
            told = {"paid_until": owned.paid_until, "monthly_usd": owned.monthly_usd}
            yield self._told("renewal_due", Happening.RENEWAL_DUE, owned, **told)

    def _changed(self, change: FieldChange, owned: OwnedNumber) -> NumberNews:
        told = {"field": change.field, "before": change.before, "after": change.after}
        news = self._told("changed_elsewhere", Happening.CHANGED_ELSEWHERE, owned, **told)
        said = {"field": change.field, "was": _text(change.before), "now": _text(change.after)}
        return replace(news, happened=news.happened.model_copy(update=said))

    def _told(self, name: str, what: Happening, owned: OwnedNumber, **more: object) -> NumberNews:
        body = InventoryBody.model_validate({"account": self._turn.account, "number": owned.number, "record_id": owned.record_id, **more})
        return NumberNews(f"didflow.number.{name}.v1", body.text(), Happened(what=what, record_id=owned.record_id))

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
                news = () if row is None else (self._told("disappeared", Happening.DISAPPEARED, row.owned),)
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


def _text(value: object) -> str | None:
    return None if value is None else ", ".join(value) or "(none)" if isinstance(value, list) else str(value)
