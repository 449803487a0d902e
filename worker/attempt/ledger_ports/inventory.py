"""`MirroredNumbers` over the ledger's inventory."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from didflow.contract.inventory import InventoryFilter
from didflow.contract.past_routes import PastRoute
from didflow.contract.provider import OwnedNumber
from didflow.contract.requests import Selector
from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.inventory import look, read_lines
from didflow.ledger.inventory_columns import has_more, missed_ms_in, narrowed, number_in, seen_ms_in
from didflow.ledger.inventory_rows import read_row
from didflow.ledger.keys import Keys
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.past_routes import routes_at
from worker.jobs.selection import fits

#: Records of numbers with more destinations than the columns hold are read before anything is decided; at most this many.
MOST_CHECKED = 500


@dataclass(frozen=True)
class SelectedInMirror:
    """`MirrorSelection`: the lines are read, their records are read as they are asked for."""

    age_s: float
    total: int
    lines: Sequence[str]
    ledger: Ledger
    account: str

    @property
    def count(self) -> int:
        return len(self.lines)

    def numbers(self, together: int) -> Iterator[Mapping[int, Sequence[OwnedNumber]]]:
        for start in range(0, len(self.lines), together):
            some = self.lines[start : start + together]
            owned = self.ledger.perform(_records(self.ledger.keys, self.account, some))
            found: dict[int, list[OwnedNumber]] = defaultdict(list)
            for line in some:
                if number_in(line) in owned:
                    found[seen_ms_in(line)].append(owned[number_in(line)])
            yield found


class LedgerMirror:
    """`MirroredNumbers`."""

    def __init__(self, ledger: Ledger, claim: Claim) -> None:
        self._ledger, self._account = ledger, claim.account

    def select(self, selector: Selector) -> SelectedInMirror | None:
        keys = self._ledger.keys
        looked = self._ledger.perform(look(keys, self._account))
        state = looked.state
        if state.age_s is None or not state.complete or state.gate_closed:
            return None
        given = selector.model_dump(exclude={"all"}, exclude_none=True)
        lines = self._ledger.perform(read_lines(keys, self._account, looked.slots))
        # What the last sweep missed may be gone: it is the list that says.
        lines = [line for line in narrowed(lines, InventoryFilter(**given), looked.now) if not missed_ms_in(line)]
        if {"trunk_id", "destination"} & given.keys():
            unsure = [line for line in lines if has_more(line)]
            if len(unsure) > MOST_CHECKED:
                return None
            owned = self._ledger.perform(_records(keys, self._account, unsure))
            without = {number_in(line) for line in unsure if not _is_meant(owned.get(number_in(line)), selector)}
            lines = [line for line in lines if number_in(line) not in without] if without else lines
        return SelectedInMirror(state.age_s, state.numbers, lines, self._ledger, self._account)

    def routes_at(self, numbers: Sequence[str], at: datetime) -> Mapping[str, PastRoute]:
        return self._ledger.perform(routes_at(self._ledger.keys, self._account, numbers, at))


def _is_meant(owned: OwnedNumber | None, selector: Selector) -> bool:
    return owned is not None and fits(owned, selector)


def _records(keys: Keys, account: str, lines: Sequence[str]) -> Command[dict[str, OwnedNumber]]:
    """The numbers of these lines, by number; without those that left meanwhile or can't be read."""
    if not lines:
        return {}
    numbers = [number_in(line) for line in lines]
    texts = yield RedisCommand("hmget", (keys.inventory_rows(account), numbers))
    rows = (read_row(number, text) for number, text in zip(numbers, texts, strict=True))
    return {row.owned.number: row.owned for row in rows if row is not None}
