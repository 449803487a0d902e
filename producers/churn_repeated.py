"""A repeated release request for a customer: a pure decision based on the known releases.

1. Numbers that an open release has on the same terms stay with that release. Only the others get a new one.
2. A number that an open release has on other terms is a conflict, which names the terms that differ. Nothing is submitted.
3. A release that is being cancelled is a conflict until it has ended.

Terms are compared as they were given: a grace period of 7 days is the same a day later, `at` is a moment.
"""

from collections.abc import Collection, Sequence

from didflow.client.request_diff import differences
from didflow.contract.errors import AlreadyLeaving, IdempotencyConflict
from didflow.contract.jobs import Job, JobView
from didflow.contract.requests import Release, SearchAndBuy

#: Not a term of the release: which numbers, and who may look.
_NO_TERMS = ("numbers", "v", "dry_run")


def leaves_with(open_ones: Sequence[JobView], asked: Release) -> tuple[Job | None, tuple[str, ...]]:
    """The newest open release that has some of these numbers on these terms, and the numbers that none has. Raises AlreadyLeaving."""
    rest, found = set(asked.numbers), None
    for view in open_ones:
        theirs = rest & set(numbers_of(view))
        if not theirs or not isinstance(view.request, Release):
            continue
        if view.cancel_requested:
            raise AlreadyLeaving(view.reference or "", view.id, "it is being cancelled: repeat this once it has ended")
        if differ := differences(asked, view.request, leave_out=_NO_TERMS):
            raise AlreadyLeaving(view.reference or "", view.id, "; ".join(differ))
        rest -= theirs
        found = found or Job(view.id, False, view.state)
    return found, tuple(number for number in asked.numbers if number in rest)


def same_as(known: JobView, asked: Release, *, all_numbers: bool, key: str, releases: Sequence[JobView], jobs: Sequence[JobView]) -> Job:
    """The job of this key, if it was requested the same. Raises IdempotencyConflict with every difference.

    `all_numbers`: the request names none, and means all that were bought for the reference. `asked.numbers` are then those held now.
    """
    had = known.request
    differ = [f"reference: {asked.expected_reference} asked, {known.reference or 'none'} there"] * (
        known.reference != asked.expected_reference
    )
    if not isinstance(had, Release):
        differ.append(f"kind: release asked, {known.kind.replace('_', '-')} there")
    else:
        differ += differences(asked, had, leave_out=("numbers", "v"))
        wanted = _meant_then(known, asked.numbers, releases, jobs) if all_numbers else set(asked.numbers)
        differ += _numbers_differ(wanted, set(had.numbers), all_numbers=all_numbers)
    if differ:
        raise IdempotencyConflict(key, known.id, "; ".join(differ))
    return Job(known.id, False, known.state)


def numbers_of(view: JobView) -> tuple[str, ...]:
    """The numbers that a release names."""
    return view.request.numbers if isinstance(view.request, Release) else ()


def _meant_then(known: JobView, held: Collection[str], releases: Sequence[JobView], jobs: Sequence[JobView]) -> set[str]:
    """Of the numbers held now those that "all" meant when that job was made: bought by then, and in no earlier release."""
    bought = {
        number.number
        for view in jobs
        if isinstance(view.request, SearchAndBuy) and view.result and view.finished_at and view.finished_at <= known.created_at
        for number in view.result.numbers
    }
    before = {number for view in releases if view.created_at < known.created_at for number in numbers_of(view)}
    return set(held) & bought - before


def _numbers_differ(wanted: Collection[str], had: Collection[str], *, all_numbers: bool) -> list[str]:
    missing = sorted(set(wanted) - set(had))
    surplus = [] if all_numbers else sorted(set(had) - set(wanted))
    words = [f"{' '.join(missing[:5])} asked and not there"] * bool(missing) + [f"{' '.join(surplus[:5])} there and not asked"] * bool(
        surplus
    )
    return [f"numbers: {', '.join(words)}"] if words else []
