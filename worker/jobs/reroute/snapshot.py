"""Writing down the numbers of a large job, page by page: each number once, and on one page what may share a call."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from didflow.contract.attempt_write import Write
from didflow.contract.destinations import Route
from worker.jobs.owned_numbers import shared_digits
from worker.jobs.ports.context import RerouteContext
from worker.jobs.reroute.route_change import RerouteCheckpoint, RouteChange

#: Numbers that are gathered before they are written. Few: while they are, nothing is asked, not even whether the list is still the same.
CHUNK = 200
#: This many more at most wait for others that may share a call with them.
LEFT_OVER = 1000


class SnapshotWriter:
    """Takes moves in any order and any number of times, and keeps few of them. Replaces the job's numbers, unless it `continues`: then it
    adds those that aren't there."""

    def __init__(self, context: RerouteContext, batch_size: int, checkpoint: RerouteCheckpoint, *, continues: bool = False) -> None:
        self._context, self._batch_size, self.taken_ms = context, batch_size, checkpoint.taken_ms
        self._gathered: dict[str, RouteChange] = {}
        self._groups: dict[tuple[Route, str, bool], list[RouteChange]] = defaultdict(list)
        self._pages = 0
        self.count = 0
        self.inactive = 0
        self.first = self.last = ""
        if continues:
            self._pages = context.chunks.count()
        else:
            context.save(Write("snapshot_begun", clear=True, checkpoint=checkpoint.model_dump_json()))

    def add(self, moves: Iterable[RouteChange]) -> None:
        for move in moves:
            self._gathered[move.number] = move.model_copy(update={"taken_ms": self.taken_ms})
        if len(self._gathered) >= CHUNK:
            self.write_full()

    def write_full(self) -> None:
        """Write the pages that are full."""
        self._write(LEFT_OVER)

    @property
    def search(self) -> str | None:
        """The digits that its numbers share, to find them in the owned list; None if that doesn't narrow it."""
        return shared_digits(self.first, self.last) if self.first else None

    def close(self) -> None:
        """Write what is left."""
        self._write(0)

    def _write(self, may_stay: int) -> None:
        waiting = {move.number for group in self._groups.values() for move in group}
        known = self._context.numbers([number for number in self._gathered if number not in waiting])
        for move in self._gathered.values():
            if move.number not in waiting and move.number not in known:
                self._groups[_shares_a_call(move)].append(move)
                self.count += 1
                self.inactive += move.takes_calls is False
                self.first = min(self.first or move.number, move.number)
                self.last = max(self.last, move.number)
        self._gathered = {}
        pages = dict(enumerate(self._full_pages(may_stay), self._pages))
        if not pages:
            return
        self._pages += len(pages)
        self._context.save(
            Write(
                "snapshot",
                detail=f"{sum(map(len, pages.values()))} numbers on {len(pages)} pages",
                numbers={move.number: move.model_dump_json() for listed in pages.values() for move in listed},
                pages={index: [move.number for move in listed] for index, listed in pages.items()},
            )
        )

    def _full_pages(self, may_stay: int) -> Iterator[list[RouteChange]]:
        """Whole pages; and of what is left the largest groups, until no more than `may_stay` wait."""
        size = self._batch_size
        for group in self._groups.values():
            while len(group) >= size:
                yield group[:size]
                del group[:size]
        for key in sorted(self._groups, key=lambda key: -len(self._groups[key])):
            if sum(map(len, self._groups.values())) <= may_stay:
                break
            yield self._groups.pop(key)
        self._groups = defaultdict(list, {key: group for key, group in self._groups.items() if group})


def _shares_a_call(move: RouteChange) -> tuple[Route, str, bool]:
    return (move.target, move.sms_relay_url or "", move.outcome is None)
