"""Release: releases records by id, exactly those selected.

A number that is bought again has a new record id, so a release that is repeated can't hit the new purchase.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress

from didflow.contract.destinations import same_route
from didflow.contract.errors import JobError
from didflow.contract.inventory import Part, lacks
from didflow.contract.number_holders import Holder
from didflow.contract.provider import NotThere, OwnedNumber
from didflow.contract.requests import Release
from didflow.contract.results import Quote, Result, Totals
from didflow.contract.states import JobState, Outcome, WaitReason
from worker.jobs.owned_numbers import find_owned
from worker.jobs.ports.context import ReleaseContext
from worker.jobs.ports.endings import CancelRequested, Ended, NeedsReview, Wait
from worker.jobs.ports.provider import ReleasePorts
from worker.jobs.ports.rules import Rules
from worker.jobs.release.executor import ReleaseExecutor
from worker.jobs.release.grace_period import Countdown
from worker.jobs.release.state import ReleaseItem, ReleaseItems
from worker.jobs.selection import Selected, goes_to, select

#: What a number may lack that this job's parking changes.
_OF_THE_ROUTE = frozenset[Part]({"destination", "trunk_id"})


def release(request: Release, context: ReleaseContext, provider: ReleasePorts, rules: Rules) -> Ended:
    """Run one attempt of a release to its end."""
    job = _Release(request, context, provider, rules)
    if not job.checkpoint.selected:
        context.check_interrupts()
        selected = select(request, provider, context.mirror, rules)
        holders = job.holders([owned.number for owned in selected.owned])
        items = [guarded(owned, request, rules, holders.get(owned.number), context.account) for owned in selected.owned]
        if request.dry_run:
            return _preview(items, selected)
        job.take(items, selected.not_found)
    countdown = Countdown(request, job, context, provider, rules)
    executor = ReleaseExecutor(job, context, provider, rules)
    try:
        while due := countdown.due():
            executor.go_on(due)
    except Wait as wait:
        if wait.reason is not WaitReason.FROZEN:
            raise
        raise Wait(wait.reason, wait.after_s, wait.message + countdown.renewals()) from None
    except CancelRequested:
        _wind_up(countdown, executor)
        counts = Counter(item.outcome for item in job.items.values())
        gone, before = counts[Outcome.RELEASED], counts[Outcome.ALREADY_RELEASED]
        told = (
            f"; {_numbers(gone)} listed as released {'was' if gone == 1 else 'were'} permanently released by then"
            if gone
            else ": no number was given back"
        )
        told += f"; {_numbers(before)} had gone before, not by this job" if before else ""
        return job.ended(JobError(code="cancelled", message=f"cancelled{told}"))
    return job.ended(None)


def _numbers(count: int) -> str:
    return "1 number" if count == 1 else f"{count} numbers"


def _wind_up(countdown: Countdown, executor: ReleaseExecutor) -> None:
    """The job is cancelled. Raises NeedsReview for what may still go, Wait, AttemptFailed."""
    countdown.call_off()
    try:
        if executor.look_at_open():
            countdown.call_off()
    except NeedsReview:
        # It is still ours and may stay so: its calls go where they went before it was parked, whatever a person determines.
        countdown.bring_back_open()
        if executor.look_at_open():
            countdown.call_off()


def guarded(
    owned: OwnedNumber, request: Release, rules: Rules, holder: Holder | None = None, account: str = "", *, parked: bool = False
) -> ReleaseItem:
    """The number as something to release, or as protected. `parked`: its route is this job's."""
    item = ReleaseItem(number=owned.number, record_id=owned.record_id, added=owned.added, paid_until=owned.paid_until)
    labels = rules.protected_labels | frozenset(request.protected_labels)
    if owned.number in rules.protected_numbers or (owned.label is not None and owned.label in labels):
        return item.became(Outcome.PROTECTED, JobError(code="protected", message="protected by number or label: not released"))
    if request.kept_reference is not None and (error := _not_theirs(owned, request.kept_reference, holder, account)):
        return item.became(Outcome.PROTECTED, error)
    reference = holder.reference if holder is not None and _is_of(holder, owned, account) else None
    meant = request.kept_without - (_OF_THE_ROUTE if parked else frozenset())
    if has := sorted(part for part in meant if not lacks(owned, reference, part)):
        message = f"it has {', '.join(has)}, and only numbers without are meant (field without): not released"
        return item.became(Outcome.PROTECTED, JobError(code="protected", message=message))
    return item


def _is_of(holder: Holder, owned: OwnedNumber, account: str) -> bool:
    """Whether what is known of the number is of this purchase of it."""
    return holder.account == account and holder.record_id in (None, owned.record_id)


def _not_theirs(owned: OwnedNumber, expected: str, holder: Holder | None, account: str) -> JobError | None:
    """Why it can't be said that this record was bought for that reference."""
    if holder is None or not _is_of(holder, owned, account):
        message = f"nothing shows that this purchase of the number was made for {expected!r}: not released"
        return JobError(code="unknown_reference", message=message)
    if holder.reference != expected:
        whose = f"{holder.reference!r}" if holder.reference else "no reference"
        return JobError(
            code="other_reference",
            message=f"bought for {whose}, not for {expected!r} (--expected-reference; field expected_reference): not released",
        )
    return None


class _Release(ReleaseItems):
    """A release, as this attempt carries it out."""

    def __init__(self, request: Release, context: ReleaseContext, provider: ReleasePorts, rules: Rules) -> None:
        super().__init__(context, lends=request.reusable, parks=bool(request.parking))
        self._request, self._provider, self._rules = request, provider, rules

    def holders(self, numbers: Sequence[str]) -> Mapping[str, Holder]:
        """Whom they were bought for, where that counts."""
        counts = self._request.kept_reference is not None or "reference" in self._request.kept_without
        return self._context.guards.holders(numbers) if counts else {}

    def still_ours(self, batch: Sequence[ReleaseItem]) -> list[ReleaseItem]:
        """Read each record again just before it goes; those that are gone are done with, those that have changed stay."""
        owned = self.records(batch)
        self.record_gone([item for item in batch if item.record_id not in owned])
        here = [item for item in batch if item.record_id in owned]
        stays = self.reasons_to_stay(here, owned)
        self.write("left_alone", list(stays.values()))
        return [item for item in here if item.number not in stays]

    def records(self, batch: Sequence[ReleaseItem]) -> dict[int, OwnedNumber]:
        """The records that are still there. One that the list doesn't show is requested by itself: pages may have shifted."""
        owned = {found.record_id: found for found in find_owned(self._provider, [item.number for item in batch]).values()}
        for item in batch:
            if item.record_id not in owned:
                with suppress(NotThere):
                    owned[item.record_id] = self._provider.owned_one(item.record_id)
        return owned

    def reasons_to_stay(self, here: Sequence[ReleaseItem], owned: Mapping[int, OwnedNumber]) -> dict[str, ReleaseItem]:
        """Those that are left alone, as such: protected by now, not the purchase that was meant, or not going where they should."""
        asked = [item for item in here if not item.sent]
        holders = self.holders([item.number for item in asked])
        found = {one.number: self._reason_to_stay(one, owned[one.record_id], holders.get(one.number)) for one in asked}
        return {number: item for number, item in found.items() if item is not None}

    def _reason_to_stay(self, item: ReleaseItem, owned: OwnedNumber, holder: Holder | None) -> ReleaseItem | None:
        if owned.added != item.added:
            message = "the time of purchase is not the one seen at the start: left alone"
            return item.stays(Outcome.CHANGED_ELSEWHERE, JobError(code="changed_elsewhere", message=message))
        if self._request.before_renewal is not None and owned.paid_until is None:
            return item.stays(
                Outcome.FAILED, JobError(code="no_renewal_date", message="the provider doesn't say when it renews: left alone")
            )
        if item.park is not None and not same_route(owned.route, item.park.target):
            message = "it was parked, and its route was changed elsewhere since: not released"
            return item.stays(Outcome.CHANGED_ELSEWHERE, JobError(code="changed_elsewhere", message=message))
        expected = self._request.kept_destination
        if item.park is None and expected is not None and not goes_to(owned.route, expected):
            message = f"its calls don't go to {expected} (--expected-destination; field expected_destination): left alone"
            return item.stays(Outcome.CHANGED_ELSEWHERE, JobError(code="other_destination", message=message))
        now = guarded(owned, self._request, self._rules, holder, self._context.account, parked=item.park is not None)
        return item.stays(now.outcome, now.error) if now.outcome is not None else None

    def within_cap(self, batch: Sequence[ReleaseItem]) -> list[ReleaseItem]:
        """Those that the account may still give back today. Raises Wait if that is none of them."""
        most, fresh = self._rules.releases_per_day, [item.record_id for item in batch if not item.sent]
        if most is None or not fresh:
            return list(batch)
        may_go, tomorrow_s = self._context.guards.count(fresh, most)
        going = [item for item in batch if item.sent or item.record_id in may_go]
        if not going:
            message = (
                f"the account gives back at most {most} numbers a day (DIDFLOW_RELEASES_PER_DAY): {len(self.todo())} wait for the next"
            )
            raise Wait(WaitReason.DAILY_CAP, tomorrow_s, message)
        return going


def _preview(items: Sequence[ReleaseItem], selected: Selected) -> Ended:
    would = tuple(one.result().model_copy(update={"outcome": one.outcome}) for one in items)
    quote = Quote(numbers=would + selected.missing_results())
    return Ended(JobState.SUCCEEDED, Result(totals=Totals(requested=len(quote.numbers), done=0), quote=quote))
