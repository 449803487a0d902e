"""Changing routes inside a release: the numbers' way to the parking destination, and back."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from didflow.contract.attempt_write import Write
from didflow.contract.destinations import Route
from didflow.contract.history import Happened
from didflow.contract.inventory import Shown
from worker.jobs.ports.context import ReleaseContext
from worker.jobs.ports.endings import CancelRequested
from worker.jobs.ports.routes import RouteClaim, RouteClaims
from worker.jobs.release.state import ReleaseCheckpoint, ReleaseItem
from worker.jobs.reroute.route_change import RerouteCheckpoint, RouteChange


class ParkingBook(Protocol):
    """What is needed of the release whose numbers are parked."""

    checkpoint: ReleaseCheckpoint
    items: dict[str, ReleaseItem]

    def note(self, **changes: object) -> None: ...
    def write(
        self,
        step: str,
        changed: Sequence[ReleaseItem],
        *,
        detail: str = "",
        empty: bool = False,
        answered: Sequence[str] = (),
        more: Mapping[str, Happened] | None = None,
        shown: Mapping[str, Shown] | None = None,
        parks: Mapping[str, str] | None = None,
        let_go: Sequence[str] = (),
    ) -> None: ...


class ParkingContext:
    """The context of changing routes inside a release: to the parking destination, or back. It writes into the release's own record."""

    def __init__(self, book: ParkingBook, context: ReleaseContext, *, parking: bool) -> None:
        self._book, self._context, self._parking = book, context, parking
        self.jobs, self.routes = context.jobs, _ReleaseClaims(context.routes)

    @property
    def attempt(self) -> int:
        return self._context.attempt

    @property
    def checkpoint(self) -> str | None:
        checkpoint = self._book.checkpoint.parking if self._parking else self._book.checkpoint.back
        return checkpoint.model_dump_json() if checkpoint else None

    def numbers(self, only: Sequence[str] | None = None) -> dict[str, str]:
        some = self._book.items if only is None else only
        ways = {number: self._book.items[number].park if self._parking else self._book.items[number].back for number in some}
        return {number: way.model_dump_json() for number, way in ways.items() if way is not None}

    def save(self, write: Write) -> None:
        """The release has a phase and a progress of its own."""
        field = "park" if self._parking else "back"
        if write.checkpoint is not None:
            self._book.note(**{"parking" if self._parking else "back": RerouteCheckpoint.model_validate_json(write.checkpoint)})
        ways = {number: RouteChange.model_validate_json(text) for number, text in write.numbers.items()}
        changed = [self._book.items[number].model_copy(update={field: way}) for number, way in ways.items()]
        step = f"{field}:{write.step}"
        self._book.write(step, changed, detail=write.detail, empty=True, answered=write.answered, more=write.history, shown=write.shown)

    def now_ms(self) -> int:
        return self._context.now_ms()

    def check_interrupts(self) -> None:
        """The way back is the winding up: it isn't cancelled in its turn."""
        try:
            self._context.check_interrupts()
        except CancelRequested:
            if self._parking:
                raise


class _ReleaseClaims:
    """What a newer job routes is that one's: no other job waits for the route that a release wants for it."""

    def __init__(self, routes: RouteClaims) -> None:
        self._routes = routes

    def claim(self, numbers: Sequence[str], *, calling: bool = True, seen_ms: int | None = None, wanted: Route | None = None) -> RouteClaim:
        del wanted
        return self._routes.claim(numbers, calling=calling, seen_ms=seen_ms)
