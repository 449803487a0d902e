"""What the parts of a grace period share: the release's book, and sending its numbers' calls elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from didflow.contract.destinations import same_route
from didflow.contract.errors import JobError
from didflow.contract.provider import OwnedNumber
from didflow.contract.requests import Release
from didflow.contract.results import Result
from worker.jobs.ports.context import ReleaseContext
from worker.jobs.ports.endings import AttemptFailed
from worker.jobs.ports.provider import ReleasePorts
from worker.jobs.ports.rules import Rules
from worker.jobs.release.parking_context import ParkingBook, ParkingContext
from worker.jobs.release.state import ReleaseItem
from worker.jobs.reroute.executor import RouteChanges
from worker.jobs.reroute.record import RouteRecord

#: Stands for the snapshot that a route job would have taken: a release writes its ways itself.
TAKEN_MS = 1


class Book(ParkingBook, Protocol):
    """What the grace period needs of the release that it belongs to."""

    def todo(self) -> list[ReleaseItem]: ...
    def read_again(self, numbers: Sequence[str]) -> None: ...
    def records(self, batch: Sequence[ReleaseItem]) -> dict[int, OwnedNumber]: ...
    def reasons_to_stay(self, here: Sequence[ReleaseItem], owned: Mapping[int, OwnedNumber]) -> dict[str, ReleaseItem]: ...
    def record_gone(self, gone: Sequence[ReleaseItem]) -> None: ...
    def result(self, error: JobError | None) -> Result: ...


class GracePeriodPart:
    """The release, and what it may use. Routes are changed as a reroute changes them."""

    def __init__(self, request: Release, book: Book, context: ReleaseContext, provider: ReleasePorts, rules: Rules) -> None:
        self._request, self._book, self._context, self._provider, self._rules = request, book, context, provider, rules

    def lists_show_ms(self) -> int:
        """From then on the owned list shows the numbers parked, whichever of the provider's copies is asked (A3)."""
        parked_ms = self._book.checkpoint.parked_ms
        return parked_ms + int(self._rules.settle_s * 1000) if parked_ms else 0

    def moved(self, way: ParkingContext, record: RouteRecord) -> JobError | None:
        """Change these routes. Returns what the reroute would end with. Raises AttemptFailed, Wait, ReadFailed."""
        try:
            return RouteChanges(record, way, self._provider, self._rules, callbacks=False).run()
        except AttemptFailed as failed:
            # Its numbers are ours and nothing of a release was sent, but where their calls go isn't known.
            raise AttemptFailed(failed.error, so_far=self._book.result(failed.error), in_doubt=True) from None


def shows_parked(item: ReleaseItem, owned: OwnedNumber | None) -> bool:
    """Whether the number's calls go to the parking destination."""
    return item.park is not None and owned is not None and same_route(owned.route, item.park.target)
