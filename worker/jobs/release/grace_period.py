"""The grace period between a release's request and the release of its numbers. It can be cancelled without effect.

Records are fixed first. When the grace period begins the numbers are parked, if that is asked; then the job waits in the ledger's
schedule, costs nothing, and checks from time to time whether the numbers receive calls. A number that stays, for any reason, gets back the
route it had, where it is still parked. At its end each is read once more by the release itself.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from didflow.contract.destinations import Route, same_route
from didflow.contract.errors import JobError
from didflow.contract.parked_numbers import Parked, Ways
from didflow.contract.provider import NotNow, NotNowReason, OwnedNumber, ReadFailed
from didflow.contract.release_events import CALLS_CAME, CallsCame
from didflow.contract.release_timing import calls_came, renews_ms
from didflow.contract.requests import Release
from didflow.contract.results import Result
from didflow.contract.states import Outcome, WaitReason
from worker.jobs.ports.context import ReleaseContext
from worker.jobs.ports.endings import AttemptFailed, CancelRequested, Wait
from worker.jobs.ports.provider import ReleasePorts
from worker.jobs.ports.rules import Rules
from worker.jobs.release.parking_context import ParkingBook, ParkingContext
from worker.jobs.release.state import HANDED_OUT, ReleaseItem
from worker.jobs.reroute.executor import RouteChanges
from worker.jobs.reroute.job import way_back
from worker.jobs.reroute.record import CANCELLED, RouteRecord
from worker.jobs.reroute.route_change import RerouteCheckpoint, RouteChange

#: Longer than a claimed change of routes is held back before it is sent.
SENT_WITHIN_S = 6.0
#: No job waits for longer at a time: a `paid_until` that changed is noticed, and a look costs one call.
LOOK_AT_MOST_S = 30 * 86_400.0
#: How soon a job that has nothing else to do checks again whether a purchase keeps what it was lent; one that gives it back wakes it.
LENT_AGAIN_S = 30.0
#: What `stop` reports for a number whose release was cancelled: that its route is restored, or why not.
AS_ITS_WAY_BACK = Outcome.CONFIRMED
#: Of a number that is cancelled and was at the parking destination before it was parked.
ROUTE_UNKNOWN = JobError(
    code="route_unknown",
    message="it went to the parking destination already when its grace period began, and stays there: the route that it had before that is"
    " not known here. Reroute it if it is to go elsewhere",
)
#: Stands for the snapshot that a route job would have taken: a release writes its ways itself.
_TAKEN_MS = 1


class Book(ParkingBook, Protocol):
    """What the countdown needs of the release that it counts down for."""

    def todo(self) -> list[ReleaseItem]: ...
    def read_again(self, numbers: Sequence[str]) -> None: ...
    def records(self, batch: Sequence[ReleaseItem]) -> dict[int, OwnedNumber]: ...
    def reasons_to_stay(self, here: Sequence[ReleaseItem], owned: Mapping[int, OwnedNumber]) -> dict[str, ReleaseItem]: ...
    def record_gone(self, gone: Sequence[ReleaseItem]) -> None: ...
    def result(self, error: JobError | None) -> Result: ...


class Countdown:
    """Says which numbers are due. For a release that takes effect at once: all of them."""

    def __init__(self, request: Release, book: Book, context: ReleaseContext, provider: ReleasePorts, rules: Rules) -> None:
        self._request, self._book, self._context, self._provider, self._rules = request, book, context, provider, rules

    def due(self) -> list[ReleaseItem]:
        """The numbers whose time has come; none if all have their outcome. Raises Wait while there are others, CancelRequested."""
        if not self._request.counts_down:
            return self._book.todo()
        self._context.check_interrupts()
        self._begin()
        self._let_stay()
        lent = self._settle_lent()
        now_ms = self._context.now_ms()
        if self._book.todo() and now_ms < self._lists_show_ms():
            self._wait_until(self._lists_show_ms(), now_ms)  # Otherwise a parked number could look like one that was moved elsewhere.
        if self._book.todo() and now_ms >= self._next_ms(self._book.todo()):
            self._look(now_ms)
            self._let_stay()
        todo = self._book.todo()
        ready = [item for item in todo if item.sent or self._due_ms(item) <= now_ms]
        if todo and not ready:
            self._wait_until(self._next_ms(todo), now_ms)
        if lent and not todo:
            self._wait_for(lent)
        return ready

    def call_off(self) -> None:
        """Give back the routes that parked numbers had, where they are still parked; their outcomes say what came of it."""
        if not self._request.counts_down:
            return
        lent = self._settle_lent()
        called_off = [one for one in self._book.items.values() if one.counts_down]
        parked = [one.model_copy(update={"stop": AS_ITS_WAY_BACK}) for one in called_off if one.may_be_parked]
        others = [_left_there(one) for one in called_off if not one.may_be_parked] if self._request.parking else []
        self._book.write("called_off", parked + others, let_go=[one.number for one in others])
        self._let_stay()
        if lent:
            self._wait_for(lent)

    def bring_back_open(self) -> None:
        """The same of numbers that are still ours and whose release had no clear answer: they have their routes then, and no outcome."""
        parked = [one for one in self._book.items.values() if one.sent and one.outcome is None and one.stop is None and one.may_be_parked]
        self._book.write("back_first", [one.model_copy(update={"stop": AS_ITS_WAY_BACK}) for one in parked])
        self._let_stay()

    def _settle_lent(self) -> int:
        """Say of the numbers that purchases keep that they were assigned. Returns how many may yet come back: they can't be let go of."""
        lent = {one.number: one.lent for one in self._book.items.values() if one.lent and one.outcome is None}
        if not lent:
            return 0
        # Asked in this order: what comes back between the two questions is seen by the second.
        held = self._context.pool.borrowing(lent)
        self._book.read_again(list(lent))
        kept = [one for one in (self._book.items[number] for number in lent if number not in held) if one.lent]
        self._book.write("handed_out", [one.became(Outcome.SUPERSEDED, HANDED_OUT) for one in kept])
        return len(held)

    def _wait_for(self, lent: int) -> None:
        raise Wait(WaitReason.DEPENDS, LENT_AGAIN_S, f"{lent} numbers are lent to purchases that haven't ended")

    def _begin(self) -> None:
        """At its time: look whether all is as it should be, and park. The grace period begins with what is seen then."""
        now_ms = self._context.now_ms()
        if not self._book.checkpoint.from_ms:
            at = self._request.at
            if at is not None and now_ms < (at_ms := int(at.timestamp() * 1000)):
                self._wait_until(at_ms, now_ms)
            taken = self._take_to_park(now_ms) if self._request.parking else {}
            todo, owned = self._here(self._book.todo())
            self._book.note(from_ms=now_ms, looked_ms=now_ms)
            begun = [self._seen(one, owned[one.record_id], now_ms) for one in todo]
            if self._request.parking:
                self._book.note(parking=RerouteCheckpoint(selected=True, taken_ms=_TAKEN_MS))
                target = tuple(self._request.parking)
                begun = [one.model_copy(update={"park": _way(owned[one.record_id], target, taken.get(one.number))}) for one in begun]
            parks = {one.number: _ways(one.park) for one in begun if one.park and one.number in taken}
            self._book.write("grace_began", begun, empty=True, parks=parks)
        if self._request.parking and not self._book.checkpoint.parked_ms:
            self._park()

    def _take_to_park(self, now_ms: int) -> Mapping[str, Parked]:
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

    def _here(self, items: Sequence[ReleaseItem]) -> tuple[list[ReleaseItem], dict[int, OwnedNumber]]:
        """Those that are still what they were, with their records; the others stay, or are gone."""
        owned = self._book.records(items) if items else {}
        self._book.record_gone([one for one in items if one.record_id not in owned])
        here = [one for one in items if one.record_id in owned]
        stays = self._book.reasons_to_stay(here, owned)
        self._book.write("left_alone", list(stays.values()))
        return [one for one in here if one.number not in stays], owned

    def _seen(self, item: ReleaseItem, owned: OwnedNumber, now_ms: int) -> ReleaseItem:
        return item.model_copy(update={"seconds": owned.seconds, "seen_ms": now_ms, "paid_until": owned.paid_until})

    def _park(self) -> None:
        """Send the numbers' calls to the parking destination. One that can't be parked isn't given back either."""
        parks = [one.number for one in self._book.todo() if one.park is not None]
        way = ParkingContext(self._book, self._context, parking=True)
        if self._moved(way, RouteRecord(way, checkpoint=self._book.checkpoint.parking, only=parks)) == CANCELLED:
            raise CancelRequested
        ends = [(one, one.park) for one in (self._book.items[number] for number in parks) if one.park is not None]
        left_out = [_not_parked(one, park) for one, park in ends if not _is_parked(park)]
        self._book.write("not_parked", left_out)  # Before it is written that all are parked: a worker may die in between.
        self._book.note(parked_ms=self._context.now_ms())
        parked = [one for one, park in ends if _is_parked(park)]  # Written once more: from here on they may be lent.
        self._book.write("parked", parked, detail=f"{len(parks) - len(left_out)} of {len(parks)} numbers", empty=True)

    def _moved(self, way: ParkingContext, record: RouteRecord) -> JobError | None:
        try:
            return RouteChanges(record, way, self._provider, self._rules).run()
        except AttemptFailed as failed:
            # Its numbers are ours and nothing of a release was sent, but where their calls go isn't known.
            raise AttemptFailed(failed.error, so_far=self._book.result(failed.error), in_doubt=True) from None

    def _look(self, now_ms: int) -> None:
        """Read the numbers again: those that are called stay, and so do those that aren't what they were."""
        here, owned = self._here([one for one in self._book.todo() if one.counts_down])
        called = [one for one in here if self._is_called(one, owned[one.record_id], now_ms)] if self._request.watches else []
        self._tell_called([(one, owned[one.record_id].seconds) for one in called])
        self._book.note(looked_ms=now_ms)
        quiet = [self._seen(one, owned[one.record_id], now_ms) for one in here if one not in called]
        self._book.write("looked", quiet, empty=True)

    def _is_called(self, item: ReleaseItem, owned: OwnedNumber, now_ms: int) -> bool:
        if owned.seconds_unread:  # Whether it is called isn't known, so it isn't given back.
            raise ReadFailed(NotNow(NotNowReason.UNAVAILABLE))
        return calls_came(item.seconds, item.seen_ms, owned.seconds, now_ms)

    def _tell_called(self, called: Sequence[tuple[ReleaseItem, int]]) -> None:
        if not called:
            return
        kept = [(one.stays(Outcome.IN_USE, _calls_came(one.seconds, now_s)), one.seconds, now_s) for one, now_s in called]
        self._context.events.emit(
            [(one.number, one.model_dump_json(), CALLS_CAME, self._told(one, was_s, now_s)) for one, was_s, now_s in kept]
        )
        self._book.items |= {one.number: one for one, _, _ in kept}

    def _told(self, item: ReleaseItem, was_s: int, now_s: int) -> str:
        return CallsCame(
            job=self._context.job_id,
            account=self._context.account,
            reference=self._context.reference or None,
            number=item.number,
            record_id=item.record_id,
            seconds_before=was_s,
            seconds_now=now_s,
        ).model_dump_json()

    def _lists_show_ms(self) -> int:
        """From then on the owned list shows the numbers parked, whichever of the provider's copies is asked (A3)."""
        parked_ms = self._book.checkpoint.parked_ms
        return parked_ms + int(self._rules.settle_s * 1000) if parked_ms else 0

    def _due_ms(self, item: ReleaseItem) -> int:
        """When it may go; by what was last read of it."""
        due_ms = self._book.checkpoint.from_ms + int(self._request.grace.total_seconds() * 1000)
        margin = self._request.before_renewal
        if margin is None or item.paid_until is None:
            return due_ms
        return max(due_ms, renews_ms(item.paid_until) - int(margin.total_seconds() * 1000))

    def _next_ms(self, todo: Sequence[ReleaseItem]) -> int:
        """When something is to be done."""
        every_s = self._rules.look_every_s if self._request.watches else LOOK_AT_MOST_S
        look_ms = self._book.checkpoint.looked_ms + int(every_s * 1000)
        return min(look_ms, *(0 if item.sent else self._due_ms(item) for item in todo))

    def _wait_until(self, until_ms: int, now_ms: int) -> None:
        left = len(self._book.todo())
        when = datetime.fromtimestamp(until_ms / 1000, UTC)
        raise Wait(WaitReason.GRACE, max(0.001, (until_ms - now_ms) / 1000), f"{left} numbers; next look {when:%Y-%m-%d %H:%M:%S} UTC")

    def _let_stay(self) -> None:
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
            if now_ms < self._lists_show_ms() and not all(_is_shown(one, owned.get(one.number)) for one in fresh):
                raise Wait(WaitReason.SETTLING, (self._lists_show_ms() - now_ms) / 1000)
            checkpoint = self._book.checkpoint.back or RerouteCheckpoint(selected=True, taken_ms=_TAKEN_MS)
            self._book.note(back=checkpoint.model_copy(update={"claimed": False}))
            self._book.write("ways_back", [_with_way_back(one, owned.get(one.number), wishes.get(one.number)) for one in fresh])
        way = ParkingContext(self._book, self._context, parking=False)
        self._moved(way, RouteRecord(way, checkpoint=self._book.checkpoint.back, only=[one.number for one in stopped]))
        brought = [self._book.items[one.number] for one in stopped]
        # A newer job takes precedence; if it moved nothing, no other job knows that the number is parked.
        left = [one for one in brought if one.back is not None and one.back.outcome is Outcome.SUPERSEDED]
        seen = self._book.records(left) if left else {}
        still = {one.number for one in left if _shows_parked(one, seen.get(one.record_id))}
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


def _way(owned: OwnedNumber, target: Route, taken: Parked | None) -> RouteChange:
    """Its way to the parking destination. One that an ended release has left there has the route that it had before that."""
    way = RouteChange.of(owned, target).model_copy(update={"taken_ms": _TAKEN_MS})
    before = taken.left_by_another if taken is not None and taken.is_at(owned.route) else None
    return way if before is None else way.model_copy(update={"before": before, "outcome": None})


def _ways(park: RouteChange) -> str:
    return Ways(before=park.before, target=park.target).model_dump_json()


def _left_there(item: ReleaseItem) -> ReleaseItem:
    """Cancelled and not to be restored: it wasn't parked, or its previous route isn't known."""
    was_there = item.park is not None and item.park.outcome is Outcome.UNCHANGED
    return item.became(Outcome.UNCHANGED, ROUTE_UNKNOWN) if was_there else item


def _is_parked(park: RouteChange) -> bool:
    return park.outcome in (Outcome.CONFIRMED, Outcome.UNCHANGED)


def _shows_parked(item: ReleaseItem, owned: OwnedNumber | None) -> bool:
    return item.park is not None and owned is not None and same_route(owned.route, item.park.target)


def _is_shown(item: ReleaseItem, owned: OwnedNumber | None) -> bool:
    """Whether a list shows it where it was sent last."""
    return item.park is None or item.back is not None or _shows_parked(item, owned)


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


def _not_parked(item: ReleaseItem, park: RouteChange) -> ReleaseItem:
    why = park.error.message if park.error else "a newer job routes it"
    outcome = park.outcome if park.outcome in (Outcome.SUPERSEDED, Outcome.REFUSED, Outcome.CHANGED_ELSEWHERE) else Outcome.FAILED
    return item.stays(outcome, JobError(code="not_parked", message=f"could not be parked, so it isn't given back: {why}"))


def _with_way_back(item: ReleaseItem, owned: OwnedNumber | None, wish: Parked | None) -> ReleaseItem:
    if wish is None or wish.wanted is None:
        assert item.park is not None
        back = way_back(item.park, owned)
    else:
        back = _wanted_way(item, owned, wish.wanted)
    changes = {"back": back.model_copy(update={"taken_ms": _TAKEN_MS}), "wanted": wish.wanted_order if wish else item.wanted}
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


def _calls_came(was_s: int, now_s: int) -> JobError:
    what = f"{now_s} s of calls this month, {was_s} when it was last looked at"
    anyway = "to release it all the same, --ignore-calls (field stop_on_traffic: false)"
    return JobError(code="calls_came", message=f"this number receives calls ({what}): it stays, with its previous route; {anyway}")
