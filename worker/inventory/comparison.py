"""What the provider shows of numbers, compared with what the mirror has: rows to write, and the events about them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from didflow.contract.events import InventoryBody
from didflow.contract.history import Happened, Happening
from didflow.contract.provider import OwnedNumber
from didflow.ledger.inventory_changes import FieldChange, SweepTimes, changes, is_newer, merged, renewal_due
from didflow.ledger.inventory_rows import Row
from didflow.ledger.inventory_sweeps import Changed, InventorySweeps, Kept, NumberNews

#: How often numbers are merged again with what jobs wrote meanwhile.
TRIES = 3

#: Writes rows that are as they were and rows that changed; returns the numbers that aren't as they were kept.
WriteRows = Callable[[Sequence[Row], Sequence[Changed]], Sequence[str]]


class Comparison:
    """Of one account. `times.before_ms` None: no sweep was complete yet, so that no number appears.

    `routed_by_us`: whether a job of ours sends the number there, or may still."""

    def __init__(
        self,
        sweeps: InventorySweeps,
        account: str,
        times: SweepTimes,
        *,
        renewal_due_ms: int,
        routed_by_us: Callable[[str, Sequence[str]], bool],
    ) -> None:
        self._sweeps, self._account, self._times = sweeps, account, times
        self._renewal_due_ms, self._routed_by_us = renewal_due_ms, routed_by_us

    def take(self, items: Sequence[OwnedNumber], write: WriteRows) -> int:
        """Write what is shown. Returns of how many nothing was written, because jobs wrote to them all the time."""
        latest: dict[str, OwnedNumber] = {}
        for one in items:
            if one.number not in latest or is_newer(one, latest[one.number]):
                latest[one.number] = one
        for again in range(TRIES):
            kept = self._sweeps.kept(self._account, list(latest))
            seen, changed = self._compared(kept, latest, whole=again > 0)
            left = write(seen, changed)
            latest = {number: latest[number] for number in left}
            if not latest:
                break
        return len(latest)

    def _compared(self, kept: dict[str, Kept], shown: dict[str, OwnedNumber], *, whole: bool) -> tuple[list[Row], list[Changed]]:
        """The rows that are as they were, and the others. `whole`: write all of each; another program may have damaged a line."""
        seen: list[Row] = []
        changed: list[Changed] = []
        for number, owned in shown.items():
            one = kept[number]
            if one.row is not None and one.row.owned.record_id != owned.record_id and is_newer(one.row.owned, owned):
                continue
            row = merged(one.row, owned, self._times)
            renewal = renewal_due(row, self._times.began_ms, self._renewal_due_ms)
            if renewal is not None:
                row = replace(row, renewal_reported=renewal)
            if one.row is not None and row.is_as(one.row) and not whole:
                seen.append(one.row)
            else:
                changed.append(Changed(one, row, tuple(self._news(one, row, renewal=renewal is not None))))
        return seen, changed

    def _news(self, kept: Kept, row: Row, *, renewal: bool) -> Iterator[NumberNews]:
        owned, old = row.owned, kept.row
        by_a_job = kept.held_by is not None
        if old is None or old.owned.record_id != owned.record_id:
            damaged = old is None and kept.text
            if self._times.before_ms is not None and not damaged and not by_a_job and kept.bought_record != owned.record_id:
                yield news_of(self._account, "appeared", Happening.APPEARED, owned)
        elif not by_a_job:
            for change in changes(old.owned, owned):
                if change.field != "route" or not self._routed_by_us(owned.number, [str(one) for one in owned.route]):
                    yield self._changed(change, owned)
        if renewal:
            data = {"paid_until": owned.paid_until, "monthly_usd": owned.monthly_usd}
            yield news_of(self._account, "renewal_due", Happening.RENEWAL_DUE, owned, **data)

    def _changed(self, change: FieldChange, owned: OwnedNumber) -> NumberNews:
        data = {"field": change.field, "before": change.before, "after": change.after}
        news = news_of(self._account, "changed_elsewhere", Happening.CHANGED_ELSEWHERE, owned, **data)
        said = {"field": change.field, "was": _text(change.before), "now": _text(change.after)}
        return replace(news, happened=news.happened.model_copy(update=said))


def news_of(account: str, name: str, what: Happening, owned: OwnedNumber, **more: object) -> NumberNews:
    """An event of a number, by the last part of its type."""
    body = InventoryBody.model_validate({"account": account, "number": owned.number, "record_id": owned.record_id, **more})
    return NumberNews(f"didflow.number.{name}.v1", body.text(), Happened(what=what, record_id=owned.record_id))


def _text(value: object) -> str | None:
    return None if value is None else ", ".join(value) or "(none)" if isinstance(value, list) else str(value)
