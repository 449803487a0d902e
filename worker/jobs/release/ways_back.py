"""The way back: a number that isn't released gets back the route that it had, where it is still parked."""

from collections.abc import Sequence

from didflow.contract.destinations import Route, same_route
from didflow.contract.errors import JobError
from didflow.contract.parked_numbers import Parked
from didflow.contract.provider import OwnedNumber
from didflow.contract.states import Outcome, WaitReason
from worker.jobs.ports.endings import AttemptFailed, Wait
from worker.jobs.release.grace_period_part import TAKEN_MS, GracePeriodPart, shows_parked
from worker.jobs.release.parking_context import ParkingContext
from worker.jobs.release.state import ReleaseItem
from worker.jobs.reroute.job import way_back
from worker.jobs.reroute.record import RouteRecord
from worker.jobs.reroute.route_change import RerouteCheckpoint, RouteChange

#: Longer than a claimed change of routes is held back before it is sent.
SENT_WITHIN_S = 6.0
#: What `stop` reports for a number whose release was cancelled: that its route is restored, or why not.
AS_ITS_WAY_BACK = Outcome.CONFIRMED


class WaysBack(GracePeriodPart):
    """Restores the routes of the numbers that stay."""

    def let_stay(self) -> None:
        """Give those that stay their routes back, then say what became of them."""
        while stopped := self._to_bring_back():
            self._bring_back(stopped)

    def _to_bring_back(self) -> list[ReleaseItem]:
        """Those that stay and have no outcome. One that was sent has none before it is settled; it is to have its route all the same."""
        stopped = [one for one in self._book.items.values() if one.stop is not None and one.outcome is None]
        wishes = self._wishes([one for one in stopped if one.sent])
        return [one for one in stopped if not one.sent or not _is_back(one) or one.number in wishes]

    def _bring_back(self, stopped: Sequence[ReleaseItem]) -> None:
        """One round: all have their outcomes then, but those for which another job has requested another route meanwhile."""
        self._be_calm(stopped)
        wishes = self._wishes(stopped)
        if fresh := [one for one in stopped if (one.back is None and one.park is not None) or one.number in wishes]:
            now_ms = self._context.now_ms()
            owned = {found.number: found for found in self._book.records(fresh).values()}
            if now_ms < self.lists_show_ms() and not all(_is_shown(one, owned.get(one.number)) for one in fresh):
                raise Wait(WaitReason.SETTLING, (self.lists_show_ms() - now_ms) / 1000)
            checkpoint = self._book.checkpoint.back or RerouteCheckpoint(selected=True, taken_ms=TAKEN_MS)
            self._book.note(back=checkpoint.model_copy(update={"claimed": False}))
            self._book.write("ways_back", [_with_way_back(one, owned.get(one.number), wishes.get(one.number)) for one in fresh])
        way = ParkingContext(self._book, self._context, parking=False)
        self.moved(way, RouteRecord(way, checkpoint=self._book.checkpoint.back, only=[one.number for one in stopped]))
        brought = [self._book.items[one.number] for one in stopped]
        # A newer job takes precedence; if it moved nothing, no other job knows that the number is parked.
        left = [one for one in brought if one.back is not None and one.back.outcome is Outcome.SUPERSEDED]
        seen = self._book.records(left) if left else {}
        still = {one.number for one in left if shows_parked(one, seen.get(one.record_id))}
        stuck = [one for one in brought if _is_stuck(one) or one.number in still]
        back = [one for one in brought if one not in stuck]
        self._book.write("stays", [_stayed(one) for one in back if not one.sent])
        open_ones = [one for one in back if one.sent]
        self._book.write("back_and_open", open_ones, let_go=[one.number for one in open_ones])
        here = self._book.records(stuck) if stuck else {}
        self._book.record_gone([one for one in stuck if one.record_id not in here])
        if stuck := [one for one in stuck if one.record_id in here]:
            self._stay_parked(stuck)

    def _wishes(self, stopped: Sequence[ReleaseItem]) -> dict[str, Parked]:
        """What other jobs want for these numbers, and their ways back don't know of."""
        if not self._request.parking or not stopped:
            return {}
        parked, by_number = self._context.parked.of([one.number for one in stopped]), {one.number: one for one in stopped}
        return {
            number: one
            for number, one in parked.items()
            if one.release == self._context.job_id and one.wanted_order != by_number[number].wanted
        }

    def _stay_parked(self, stuck: Sequence[ReleaseItem]) -> None:
        """Their way back was refused, or never shown: the job mustn't end as if they had their routes. Raises AttemptFailed."""
        again = [one.model_copy(update={"back": one.back.became(None, _still_parked(one.back))}) for one in stuck if one.back]
        self._book.write("still_parked", again)
        error = next(one.back.error for one in again if one.back)
        assert error is not None
        raise AttemptFailed(error, so_far=self._book.result(error), in_doubt=True)

    def _be_calm(self, stopped: Sequence[ReleaseItem]) -> None:
        """What was sent to park a number and isn't seen to be done may still act; the way back comes after it. Raises Wait."""
        sure = self._book.checkpoint.parked_ms
        if all(one.back is not None or (sure and one.park and one.park.outcome is Outcome.CONFIRMED) for one in stopped):
            return
        now_ms = self._context.now_ms()
        if not self._book.checkpoint.calm_ms:
            self._book.note(calm_ms=now_ms + int((self._rules.settle_s + SENT_WITHIN_S) * 1000))
            self._book.write("calming", (), detail="what was sent to park them may still act", empty=True)
        if now_ms < self._book.checkpoint.calm_ms:
            raise Wait(WaitReason.SETTLING, (self._book.checkpoint.calm_ms - now_ms) / 1000)


def _is_shown(item: ReleaseItem, owned: OwnedNumber | None) -> bool:
    """Whether a list shows it where it was sent last."""
    return item.park is None or item.back is not None or shows_parked(item, owned)


def _is_stuck(item: ReleaseItem) -> bool:
    """Whether it is still parked, for all that the provider says."""
    back = item.back
    return back is not None and (back.outcome is Outcome.REFUSED or (back.outcome is Outcome.ACCEPTED and back.error is not None))


def _is_back(item: ReleaseItem) -> bool:
    """Whether its way back has come to its end."""
    return item.back is not None and item.back.outcome not in (None, Outcome.ACCEPTED, Outcome.REFUSED)


def _still_parked(back: RouteChange) -> JobError:
    why = back.error.message if back.error else "no answer"
    message = f"it isn't given back and still parked, its old route couldn't be set ({why}): reroute it, then `didflow retry`"
    return JobError(code="still_parked", message=message, retryable=True)


def _with_way_back(item: ReleaseItem, owned: OwnedNumber | None, wish: Parked | None) -> ReleaseItem:
    if wish is None or wish.wanted is None:
        assert item.park is not None
        back = way_back(item.park, owned)
    else:
        back = _wanted_way(item, owned, wish.wanted)
    changes = {"back": back.model_copy(update={"taken_ms": TAKEN_MS}), "wanted": wish.wanted_order if wish else item.wanted}
    return item.model_copy(update=changes)


def _wanted_way(item: ReleaseItem, owned: OwnedNumber | None, wanted: Route) -> RouteChange:
    """To the route that another job requested, from where we parked it; changes made elsewhere stay."""
    ours = [route for way in (item.park, item.back) if way is not None for route in (way.before, way.target)]
    if owned is not None and (not ours or any(same_route(owned.route, route) for route in ours)):
        ours = [owned.route]
    from_here = RouteChange(number=item.number, record_id=item.record_id, before=wanted, target=ours[0] if ours else ())
    return way_back(from_here, owned)


def _stayed(item: ReleaseItem) -> ReleaseItem:
    """With the outcome that it stays with; cancelled, with that of its way back."""
    back = item.back
    if item.stop is AS_ITS_WAY_BACK and back is not None:
        return item.became(back.outcome or Outcome.FAILED, back.error)
    return item.became(item.stop or Outcome.FAILED, item.error)
