"""Finding numbers in the owned list, with as few calls as the question needs."""

from collections.abc import Collection, Iterator

from worker.contract.numbers import to_provider
from worker.contract.provider import NotNow, NotNowReason, OwnedNumber, ReadFailed
from worker.jobs.ports import Provider

#: So many digits at least must be shared for a search by the shared beginning to be worth its call.
_SHARED_DIGITS = 4


def find_owned(provider: Provider, numbers: Collection[str]) -> dict[str, OwnedNumber]:
    """Those of the numbers that the owned list shows now, by number.

    Asks for each number, or reads all pages of the digits that they share, whichever takes fewer calls. What it finds is so; a list
    of several pages that changes while it is read may miss a number: `find_each` before anything rests on its absence.
    """
    wanted = set(numbers)
    if not wanted:
        return {}
    shared = _shared_beginning(to_provider(min(wanted)), to_provider(max(wanted)))
    search = shared if len(shared) >= _SHARED_DIGITS else None
    first = provider.owned(page=1, search=search)
    if first.total_pages <= len(wanted):
        found = list(first.items)
        for page in range(2, first.total_pages + 1):
            found += provider.owned(page=page, search=search).items
    else:
        return find_each(provider, wanted)
    return {item.number: item for item in found if item.number in wanted}


def find_each(provider: Provider, numbers: Collection[str]) -> dict[str, OwnedNumber]:
    """The same by a question for each number: one page each, so nothing can shift."""
    found = [item for number in sorted(numbers) for item in provider.owned(page=1, search=to_provider(number)).items]
    return {item.number: item for item in found if item.number in numbers}


def all_owned(provider: Provider, label: str | None = None) -> Iterator[OwnedNumber]:
    """Every owned number once, page by page. A list that changes while it is read may show a number twice or not at all."""
    seen: set[int] = set()
    page = total = 1
    while page <= total:
        found = provider.owned(page=page, label=label)
        for item in found.items:
            if item.record_id not in seen:
                seen.add(item.record_id)
                yield item
        page, total = page + 1, found.total_pages


def owned_whole(provider: Provider, tries: int = 3) -> tuple[OwnedNumber, ...]:
    """Every owned number, from a list that didn't change its length while it was read. Raises ReadFailed if it always does."""
    for _ in range(tries):
        found: dict[int, OwnedNumber] = {}
        page = pages = 1
        totals = set()
        while page <= pages:
            shown = provider.owned(page=page)
            found |= {item.record_id: item for item in shown.items}
            totals.add(shown.total)
            page, pages = page + 1, shown.total_pages
        if totals == {len(found)}:
            return tuple(found.values())
    raise ReadFailed(NotNow(NotNowReason.UNAVAILABLE))


def _shared_beginning(first: str, last: str) -> str:
    """What the first and the last of sorted texts share, all between them share."""
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:length]
