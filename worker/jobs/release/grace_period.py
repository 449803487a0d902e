"""The grace period between a release's request and the release of its numbers. It can be cancelled without effect.

Records are fixed first. When the grace period begins the numbers are parked, if that is asked; then the job waits in the ledger's
schedule, costs nothing, and checks from time to time whether the numbers receive calls. A number that stays, for any reason, gets back the
route it had, where it is still parked. At its end each is read once more by the release itself.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from didflow.contract.errors import JobError
from didflow.contract.provider import NotNow, NotNowReason, OwnedNumber, ReadFailed
from didflow.contract.release_events import CALLS_CAME, CallsCame
from didflow.contract.release_timing import calls_came, renews_ms
from didflow.contract.requests import Release
from didflow.contract.states import Outcome, WaitReason
from worker.jobs.ports.context import ReleaseContext
from worker.jobs.ports.endings import Wait
from worker.jobs.ports.provider import ReleasePorts
from worker.jobs.ports.rules import Rules
from worker.jobs.release.grace_period_part import TAKEN_MS, Book, GracePeriodPart
from worker.jobs.release.parking import Parking, way_to_park, ways_text
from worker.jobs.release.state import HANDED_OUT, ReleaseItem
from worker.jobs.release.ways_back import AS_ITS_WAY_BACK, WaysBack
from worker.jobs.reroute.route_change import RerouteCheckpoint

#: No job waits for longer at a time: a `paid_until` that changed is noticed, and a look costs one call.
LOOK_AT_MOST_S = 30 * 86_400.0
#: How soon a job that has nothing else to do checks again whether a purchase keeps what it was lent; one that gives it back wakes it.
LENT_AGAIN_S = 30.0
#: Of a number that is cancelled and was at the parking destination before it was parked.
ROUTE_UNKNOWN = JobError(
    code="route_unknown",
    message="it went to the parking destination already when its grace period began, and stays there: the route that it had before that is"
    " not known here. Reroute it if it is to go elsewhere",
)


class Countdown(GracePeriodPart):
    """Says which numbers are due. For a release that takes effect at once: all of them."""

    def __init__(self, request: Release, book: Book, context: ReleaseContext, provider: ReleasePorts, rules: Rules) -> None:
        super().__init__(request, book, context, provider, rules)
        self._parking = Parking(request, book, context, provider, rules)
        self._ways_back = WaysBack(request, book, context, provider, rules)

    def due(self) -> list[ReleaseItem]:
        """The numbers whose time has come; none if all have their outcome. Raises Wait while there are others, CancelRequested."""
        if not self._request.counts_down:
            return self._book.todo()
        self._context.check_interrupts()
        self._begin()
        self._ways_back.let_stay()
        lent = self._settle_lent()
        now_ms = self._context.now_ms()
        if self._book.todo() and now_ms < self.lists_show_ms():
            self._wait_until(self.lists_show_ms(), now_ms)  # Otherwise a parked number could look like one that was moved elsewhere.
        if self._book.todo() and now_ms >= self._next_ms(self._book.todo()):
            self._look(now_ms)
            self._ways_back.let_stay()
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
        self._ways_back.let_stay()
        if lent:
            self._wait_for(lent)

    def bring_back_open(self) -> None:
        """The same of numbers that are still ours and whose release had no clear answer: they have their routes then, and no outcome."""
        parked = [one for one in self._book.items.values() if one.sent and one.outcome is None and one.stop is None and one.may_be_parked]
        self._book.write("back_first", [one.model_copy(update={"stop": AS_ITS_WAY_BACK}) for one in parked])
        self._ways_back.let_stay()

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
            if self._request.parking:
                self._context.money.check_frozen()  # Parking is the beginning of the release.
            taken = self._parking.take(now_ms) if self._request.parking else {}
            todo, owned = self._here(self._book.todo())
            self._book.note(from_ms=now_ms, looked_ms=now_ms)
            begun = [self._seen(one, owned[one.record_id], now_ms) for one in todo]
            if self._request.parking:
                self._book.note(parking=RerouteCheckpoint(selected=True, taken_ms=TAKEN_MS))
                target = tuple(self._request.parking)
                begun = [one.model_copy(update={"park": way_to_park(owned[one.record_id], target, taken.get(one.number))}) for one in begun]
            parks = {one.number: ways_text(one.park) for one in begun if one.park and one.number in taken}
            self._book.write("grace_began", begun, empty=True, parks=parks)
        if self._request.parking and not self._book.checkpoint.parked_ms:
            self._parking.park()

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

    def _look(self, now_ms: int) -> None:
        """Read the numbers again: those that are called stay, and so do those that aren't what they were."""
        here, owned = self._here([one for one in self._book.todo() if one.counts_down])
        called = [one for one in here if self._is_called(one, owned[one.record_id], now_ms)] if self._request.watches else []
        self._tell_called([(one, owned[one.record_id].seconds) for one in called])
        self._book.note(looked_ms=now_ms)
        quiet = [one for one in here if one not in called]
        renewed = sum(_renewed(one, owned[one.record_id]) for one in quiet) if self._request.before_renewal is not None else 0
        detail = f"{renewed} of {len(quiet)} numbers renewed before they were released: they stay for what is paid now" if renewed else ""
        self._book.write("looked", [self._seen(one, owned[one.record_id], now_ms) for one in quiet], detail=detail, empty=True)

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

    def _due_ms(self, item: ReleaseItem) -> int:
        """When it may go; by what was last read of it."""
        due_ms = self._book.checkpoint.from_ms + int(self._request.grace.total_seconds() * 1000)
        margin = self._request.before_renewal
        if margin is None or item.paid_until is None:
            return due_ms
        return max(due_ms, renews_ms(item.paid_until) - int(margin.total_seconds() * 1000))

    def renewals(self) -> str:
        """What a freeze means for numbers that were to go before they renew; '' if none was."""
        if self._request.before_renewal is None:
            return ""
        dates = [renews_ms(one.paid_until) for one in self._book.todo() if one.counts_down and one.paid_until is not None]
        if not dates:
            return ""
        when = datetime.fromtimestamp(min(dates) / 1000, UTC)
        return f"; its numbers renew from {when:%Y-%m-%d %H:%M:%S} UTC on: one that renews meanwhile stays for what is paid then"

    def _next_ms(self, todo: Sequence[ReleaseItem]) -> int:
        """When something is to be done."""
        every_s = self._rules.look_every_s if self._request.watches else LOOK_AT_MOST_S
        look_ms = self._book.checkpoint.looked_ms + int(every_s * 1000)
        return min(look_ms, *(0 if item.sent else self._due_ms(item) for item in todo))

    def _wait_until(self, until_ms: int, now_ms: int) -> None:
        left = len(self._book.todo())
        when = datetime.fromtimestamp(until_ms / 1000, UTC)
        raise Wait(WaitReason.GRACE, max(0.001, (until_ms - now_ms) / 1000), f"{left} numbers; next look {when:%Y-%m-%d %H:%M:%S} UTC")


def _renewed(item: ReleaseItem, owned: OwnedNumber) -> bool:
    return item.paid_until is not None and owned.paid_until is not None and owned.paid_until > item.paid_until


def _left_there(item: ReleaseItem) -> ReleaseItem:
    """Cancelled and not to be restored: it wasn't parked, or its previous route isn't known."""
    was_there = item.park is not None and item.park.outcome is Outcome.UNCHANGED
    return item.became(Outcome.UNCHANGED, ROUTE_UNKNOWN) if was_there else item


def _calls_came(was_s: int, now_s: int) -> JobError:
    what = f"{now_s} s of calls this month, {was_s} when it was last looked at"
    anyway = "to release it all the same, --ignore-calls (field stop_on_traffic: false)"
    return JobError(code="calls_came", message=f"this number receives calls ({what}): it stays, with its previous route; {anyway}")
