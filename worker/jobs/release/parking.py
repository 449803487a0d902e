"""Parking: while its grace period runs, a number's calls go to the parking destination."""

from collections.abc import Mapping

from didflow.contract.destinations import Route
from didflow.contract.errors import JobError
from didflow.contract.parked_numbers import Parked, Ways
from didflow.contract.provider import OwnedNumber
from didflow.contract.states import Outcome, WaitReason
from worker.jobs.ports.endings import CancelRequested, Wait
from worker.jobs.release.grace_period_part import TAKEN_MS, GracePeriodPart
from worker.jobs.release.parking_context import ParkingContext
from worker.jobs.release.state import ReleaseItem
from worker.jobs.reroute.record import CANCELLED, RouteRecord
from worker.jobs.reroute.route_change import RouteChange


class Parking(GracePeriodPart):
    """Takes the numbers, and sends their calls to the parking destination."""

    def take(self, now_ms: int) -> Mapping[str, Parked]:
        """Take the numbers before their routes are read, so that no older job changes them any more. Raises Wait while what it has sent may
        yet show."""
        numbers, settle_ms = [one.number for one in self._book.todo()], int(self._rules.settle_s * 1000)
        if not numbers:
            return {}
        claim = self._context.parked.take(numbers, seen_ms=now_ms - settle_ms)
        shown_ms = max(claim.disturbed_ms.values(), default=-settle_ms) + settle_ms
        if now_ms < shown_ms:
            raise Wait(WaitReason.SETTLING, (shown_ms - now_ms) / 1000, "what other jobs have sent for these numbers may yet show")
        return {number: one for number, one in self._context.parked.of(numbers).items() if one.release == self._context.job_id}

    def park(self) -> None:
        """Send the numbers' calls to the parking destination. One that can't be parked isn't given back either."""
        parks = [one.number for one in self._book.todo() if one.park is not None]
        way = ParkingContext(self._book, self._context, parking=True)
        if self.moved(way, RouteRecord(way, checkpoint=self._book.checkpoint.parking, only=parks)) == CANCELLED:
            raise CancelRequested
        ends = [(one, one.park) for one in (self._book.items[number] for number in parks) if one.park is not None]
        left_out = [_not_parked(one, park) for one, park in ends if not _is_parked(park)]
        self._book.write("not_parked", left_out)  # Before it is written that all are parked: a worker may die in between.
        self._book.note(parked_ms=self._context.now_ms())
        parked = [one for one, park in ends if _is_parked(park)]  # Written once more: from here on they may be lent.
        self._book.write("parked", parked, detail=f"{len(parks) - len(left_out)} of {len(parks)} numbers", empty=True)


def way_to_park(owned: OwnedNumber, target: Route, taken: Parked | None) -> RouteChange:
    """Its way to the parking destination. One that an ended release has left there has the route that it had before that."""
    way = RouteChange.of(owned, target).model_copy(update={"taken_ms": TAKEN_MS})
    before = taken.left_by_another if taken is not None and taken.is_at(owned.route) else None
    return way if before is None else way.model_copy(update={"before": before, "outcome": None})


def ways_text(park: RouteChange) -> str:
    return Ways(before=park.before, target=park.target).model_dump_json()


def _is_parked(park: RouteChange) -> bool:
    return park.outcome in (Outcome.CONFIRMED, Outcome.UNCHANGED)


def _not_parked(item: ReleaseItem, park: RouteChange) -> ReleaseItem:
    why = park.error.message if park.error else "a newer job routes it"
    outcome = park.outcome if park.outcome in (Outcome.SUPERSEDED, Outcome.REFUSED, Outcome.CHANGED_ELSEWHERE) else Outcome.FAILED
    return item.stays(outcome, JobError(code="not_parked", message=f"could not be parked, so it isn't given back: {why}"))
