"""`MirroredNumbers` over the ledger's inventory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from didflow.contract.inventory import InventoryFilter, MirrorState, matches
from didflow.contract.past_routes import PastRoute
from didflow.contract.provider import OwnedNumber
from didflow.contract.requests import Selector
from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.inventory import as_shown, candidates, look, read_numbers, selected
from didflow.ledger.inventory_columns import has_more, number_in, seen_ms_in
from didflow.ledger.inventory_rows import read_owned
from didflow.ledger.inventory_search import needs_records
from didflow.ledger.keys import Keys
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.past_routes import routes_at
from worker.jobs.selection import fits

#: Numbers whose lines alone don't say whether they are meant: their records are read before anything is decided, at most this many.
MOST_CHECKED = 10_000


@dataclass(frozen=True)
class SelectedInMirror:
    """`MirrorSelection`: the lines are read, their records are read as they are asked for."""

    age_s: float
    total: int
    lines: Sequence[str]
    ledger: Ledger
    account: str
    selector: Selector
    now: datetime

    @property
    def count(self) -> int:
        return len(self.lines)

    def numbers(self, first: int, then: int) -> Iterator[Sequence[tuple[int, OwnedNumber]]]:
        start, together = 0, first
        while some := self.lines[start : start + together]:
            owned = self.ledger.perform(_records(self.ledger.keys, self.account, some))
            found = ((seen_ms_in(line), owned.get(number_in(line))) for line in some)
            fitting = [(seen_ms, one) for seen_ms, one in found if one is not None and fits(one, self.selector)]
            if self.selector.conditions is not None:
                now_so = matching(self.ledger, self.account, some, self.selector.conditions, self.now)
                fitting = [(seen_ms, one) for seen_ms, one in fitting if one.number in now_so]
            yield fitting
            start, together = start + together, then


class LedgerMirror:
    """`MirroredNumbers`."""

    def __init__(self, ledger: Ledger, claim: Claim) -> None:
        self._ledger, self._account = ledger, claim.account

    def select(self, selector: Selector) -> SelectedInMirror | None:
        keys = self._ledger.keys
        looked = self._ledger.perform(look(keys, self._account))
        state, given = looked.state, selector.given
        if not _can_say(state) or state.age_s is None or selector.changes_by_itself:
            return None
        # What the last sweep missed may be gone: it is the list that says.
        wanted = InventoryFilter.model_construct(**given, missing=False)
        lines = self._ledger.perform(candidates(keys, self._account, wanted, looked))
        by_route = not {"trunk_id", "destination"}.isdisjoint(given)
        unsure = lines if needs_records(wanted) else [line for line in lines if has_more(line)] if by_route else []
        if len(unsure) > MOST_CHECKED:
            return None
        if unsure:
            not_meant = {number_in(line) for line in unsure} - matching(self._ledger, self._account, unsure, wanted, looked.now)
            lines = [line for line in lines if number_in(line) not in not_meant]
        return SelectedInMirror(state.age_s, state.numbers, lines, self._ledger, self._account, selector, looked.now)

    def total(self) -> int:
        return self._ledger.perform(look(self._ledger.keys, self._account)).state.numbers

    def records(self, conditions: InventoryFilter, max_age_s: float) -> tuple[int, ...] | None:
        looked, found = self._ledger.perform(selected(self._ledger.keys, self._account, conditions))
        if not _can_say(looked.state) or (looked.state.age_s or 0.0) > max_age_s:
            return None
        return tuple(sorted(number.record_id for number in found if number.missing_since is None))

    def fitting(self, owned: Sequence[OwnedNumber], conditions: InventoryFilter) -> list[OwnedNumber]:
        if not owned:
            return []
        now, known = self._ledger.perform(as_shown(self._ledger.keys, self._account, owned))
        fits_now = {number.record_id for number in known if matches(number, conditions, now)}
        return [one for one in owned if one.record_id in fits_now]

    def routes_at(self, numbers: Sequence[str], at: datetime) -> Mapping[str, PastRoute]:
        return self._ledger.perform(routes_at(self._ledger.keys, self._account, numbers, at))


def _can_say(state: MirrorState) -> bool:
    """Whether it shows every number of the account, as far as is known."""
    return state.complete and not state.gate_closed


def matching(ledger: Ledger, account: str, lines: Sequence[str], wanted: InventoryFilter, now: datetime) -> frozenset[str]:
    """The numbers of these lines whose records, and what the ledger knows besides, match."""
    shown = ledger.perform(read_numbers(ledger.keys, account, lines, now))
    return frozenset(number.number for number in shown if matches(number, wanted, now))


def _records(keys: Keys, account: str, lines: Sequence[str]) -> Command[dict[str, OwnedNumber]]:
    """The numbers of these lines, by number; without those that left meanwhile or can't be read."""
    if not lines:
        return {}
    numbers = [number_in(line) for line in lines]
    texts = yield RedisCommand("hmget", (keys.inventory_rows(account), numbers))
    found = (read_owned(number, text) for number, text in zip(numbers, texts, strict=True))
    return {owned.number: owned for owned in found if owned is not None}
