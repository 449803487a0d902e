"""Finding numbers in the owned list, with as few calls as the question needs."""

from collections.abc import Collection, Generator, Iterator, Set
from contextlib import suppress
from itertools import chain, islice

from didflow.contract.numbers import to_provider
from didflow.contract.provider import NotNow, NotNowReason, NotThere, OwnedAsk, OwnedNumber, Page, ReadFailed
from worker.jobs.ports.provider import OwnedPort
from worker.pages import PageRepeated, page_behind, repeats

#: Digits that must be shared at least for a search by the shared beginning to be worth its call.
_SHARED_DIGITS = 4
#: Record ids, or numbers that a list didn't show, that are read one by one; more are looked up in the list.
ONE_BY_ONE = 20
#: So often a list that changes is read for one question.
LIST_TRIES = 5


def find_owned(provider: OwnedPort, numbers: Collection[str]) -> dict[str, OwnedNumber]:
    """Those of the numbers that the owned list shows now, by number.

    Asks for each number, or reads all pages of the digits that they share, whichever takes fewer calls. What it finds is so. What it
    doesn't find may be ours all the same: the list may change while it is read, and a server's `search` may find nothing. Use it where
    a number that isn't found is looked up again; use `find_surely` where a decision rests on its absence.
    Raises ReadFailed if one that isn't found may be among the records that can't be read.
    """
    wanted = set(numbers)
    if not wanted:
        return {}
    search = shared_digits(min(wanted), max(wanted))
    first = provider.owned(page=1, search=search)
    if first.total_pages > len(wanted) and not ignores_search(first, search):
        return find_each(provider, wanted)
    found: dict[str, OwnedNumber] = {}
    unread: set[str | None] = set()
    for shown in chain((first,), _further(provider, first, search, None)):
        found |= {item.number: item for item in shown.items if item.number in wanted}
        unread |= set(shown.unread)
        if found.keys() >= wanted:
            break
    missing = wanted - found.keys()
    check_read(missing, unread - {None})
    return found | find_each(provider, missing) if None in unread else found


def find_each(provider: OwnedPort, numbers: Collection[str], *, unreadable: set[str] | None = None) -> dict[str, OwnedNumber]:
    """The same by a question for each number: one page each, so nothing can shift.

    A server that ignores `search` answers with the whole list: then all its pages are read, once. Raises ReadFailed as `find_owned` does;
    where `unreadable` is given, the numbers that may be among the records that can't be read are added to it instead.
    """
    wanted = sorted(set(numbers))
    found: dict[str, OwnedNumber] = {}
    shown_for = zip(wanted, provider.owned_many(OwnedAsk(search=to_provider(number)) for number in wanted), strict=True)
    for number, shown in shown_for:
        found |= {item.number: item for item in shown.items}
        if ignores_search(shown, to_provider(number)):
            unread = set(shown.unread)
            for page in pages_of(provider):
                found |= {item.number: item for item in page.items}
                unread |= set(page.unread)
            _note_unread(set(wanted) - found.keys(), unread, unreadable)
            break
        _note_unread({number} - found.keys(), shown.unread, unreadable)
    return {number: found[number] for number in wanted if number in found}


def check_read(missing: Collection[str], unread: Collection[str | None]) -> None:
    """Raises ReadFailed if one that is missing may be a record that can't be read: that one isn't absent."""
    _note_unread(missing, unread, None)


def _note_unread(missing: Collection[str], unread: Collection[str | None], unreadable: set[str] | None) -> None:
    """The same; where `unreadable` is given, those that are missing so are added to it instead."""
    doubtful = {number for number in missing if None in unread or number in unread}
    if doubtful and unreadable is None:
        raise ReadFailed(NotNow(NotNowReason.UNAVAILABLE))
    if unreadable is not None:
        unreadable |= doubtful


def find_surely(provider: OwnedPort, numbers: Collection[str]) -> dict[str, OwnedNumber]:
    """Those of the numbers that are ours, by number. What it doesn't find was missing from different reads.

    First `find_owned`. If some are missing, the whole list is read without a filter, as `listed` does: a search that finds nothing hides
    no number. What that doesn't show either is searched for by all its digits: a list that ends too early hides no number. Use it
    where absence decides something: a number is reported as not ours or as released, it is left out of a selection, or it is bought
    again. It reads the whole account if one number is missing, so give it all numbers in one call. Reads may still lag: the
    settle time is the caller's. A list that changes all the time, as in an account where purchases never stop, is read until a
    reading shows nothing new: a number would have to be missed by the search and by several readings.
    """
    wanted = set(numbers)
    found = find_owned(provider, wanted)
    unread: set[str | None] = set()
    for items in listed(provider, unread=unread) if wanted - found.keys() else ():
        found |= {item.number: item for item in items if item.number in wanted}
        if found.keys() >= wanted:
            break
    missing = wanted - found.keys()
    check_read(missing, unread)
    # The only one was searched for by all its digits before.
    return found | find_each(provider, missing) if len(wanted) > 1 else found


def find_records(provider: OwnedPort, record_ids: Collection[int]) -> Iterator[OwnedNumber]:
    """Those of the records that are ours. By id while they are few; of more, the whole list is read first."""
    missing = set(record_ids)
    if len(missing) > ONE_BY_ONE:
        for items in listed(provider):
            found = [item for item in items if item.record_id in missing]
            missing -= {item.record_id for item in found}
            yield from found
            if not missing:
                return
    yield from records_of(provider, missing)


def records_of(provider: OwnedPort, record_ids: Collection[int]) -> Iterator[OwnedNumber]:
    """Those of the records that are ours, each by a read of its own."""
    for record_id in sorted(record_ids):
        with suppress(NotThere):
            yield provider.owned_one(record_id)


def ignores_search(shown: Page[OwnedNumber], search: str | None) -> bool:
    """Whether the page holds a number without the digits that were searched for."""
    return search is not None and any(search not in item.number for item in shown.items)


def shared_digits(first: str, last: str) -> str | None:
    """What to search for to find all numbers between these two, both in E.164; None if that doesn't narrow it."""
    shared = _shared_beginning(to_provider(first), to_provider(last))
    return shared if len(shared) >= _SHARED_DIGITS else None


def pages_of(provider: OwnedPort, search: str | None = None, label: str | None = None) -> Iterator[Page[OwnedNumber]]:
    """Every page of the list once, several read side by side. What shifts meanwhile may be missed or seen twice."""
    first = provider.owned(page=1, search=search, label=label)
    yield first
    yield from _further(provider, first, search, label)


def listed(
    provider: OwnedPort,
    search: str | None = None,
    label: str | None = None,
    *,
    unread: set[str | None] | None = None,
    pages: int = 1,
) -> Generator[tuple[OwnedNumber, ...], None, bool]:
    """Every record of the list once, page by page, also of a list that changes while it is read. Returns whether that was all of it.

    The numbers of records that can't be read are added to `unread`, as `Page.unread` has them. `pages`: how many the list probably has;
    these don't wait for the first one's count.

    A list whose length changed, that showed a record twice, or whose first page isn't what it was, may have hidden another record behind
    a page's end: it is read again until it stays as it is, or shows nothing new; five times at most, so that an account where another party
    buys all the time is moved all the same. (One that comes and one that leaves within a second, both behind the first page, aren't
    noticed. To read the last page once more wouldn't help: what moved before it was read was moved for both.)
    """
    seen: set[int] = set()
    for reading in range(LIST_TRIES):
        this_time: set[int] = set()
        totals: set[int] = set()
        beginnings: list[set[int]] = []
        known_before = len(seen)
        spoiled = 0
        for shown in _whole(provider, search, label, pages):
            totals.add(shown.total)
            spoiled += len(shown.unread) if shown.page > 1 or not beginnings else 0
            if unread is not None:
                unread |= set(shown.unread)
            if shown.page == 1:
                beginnings.append({item.record_id for item in shown.items})
            this_time |= {item.record_id for item in shown.items}
            if fresh := tuple({item.record_id: item for item in shown.items if item.record_id not in seen}.values()):
                seen |= {item.record_id for item in fresh}
                yield fresh
        if reading and len(seen) == known_before:
            return True
        if totals == {len(this_time) + spoiled} and beginnings[0] == beginnings[-1]:
            return True
    return False


def _whole(provider: OwnedPort, search: str | None, label: str | None, probable: int) -> Iterator[Page[OwnedNumber]]:
    """Every page, and then the first once more if there are others; the `probable` ones are asked for at once."""
    if probable <= 1:
        first = provider.owned(page=1, search=search, label=label)
        yield first
        yield from _further(provider, first, search, label, and_the_first=True)
        return
    ahead = provider.owned_many(OwnedAsk(page, search, label) for page in (*range(1, probable + 1), 1))
    first = next(ahead)
    last, seen = first, {item.record_id for item in first.items}
    yield first
    for shown in islice(ahead, max(0, min(first.total_pages, probable) - 1)):
        check_new(shown, seen)
        seen |= {item.record_id for item in shown.items}
        last = shown
        yield shown
    if first.total_pages > probable:
        yield from _further(provider, first, search, label, and_the_first=True, known=probable, seen=seen)
        return
    if first.total_pages == probable:
        yield from ahead
    elif first.total_pages > 1:  # What was asked for ahead of the count, and is behind the last page, counts for nothing.
        yield provider.owned(page=1, search=search, label=label)
    yield from _behind(provider, last, seen, search, label, and_the_first=True)


def all_owned(provider: OwnedPort, label: str | None = None) -> Iterator[OwnedNumber]:
    """Every owned number once."""
    for items in listed(provider, label=label):
        yield from items


def _further(
    provider: OwnedPort,
    first: Page[OwnedNumber],
    search: str | None,
    label: str | None,
    *,
    and_the_first: bool = False,
    known: int = 1,
    seen: Set[int] | None = None,
) -> Iterator[Page[OwnedNumber]]:
    """All pages but the first, or the `known` ones, which showed the records `seen`; if there are any, `and_the_first` once more.

    The first page's count of pages is believed as long as pages bring new records: one with nothing but what others have shown raises
    ReadFailed. A list that only shifts while it is read doesn't show that: it would have to move by a whole page. That a full page is
    the last one isn't believed, see `_behind`.
    """
    pages = range(known + 1, first.total_pages + 1)
    again = (1,) if pages and and_the_first else ()
    last, seen = first, {item.record_id for item in first.items} if seen is None else set(seen)
    for shown in provider.owned_many(OwnedAsk(page, search, label) for page in chain(pages, again)):
        if shown.page > 1:
            check_new(shown, seen)
            seen |= {item.record_id for item in shown.items}
            last = shown
        yield shown
    yield from _behind(provider, last, seen, search, label, and_the_first=and_the_first)


def _behind(
    provider: OwnedPort, last: Page[OwnedNumber], seen: set[int], search: str | None, label: str | None, *, and_the_first: bool
) -> Iterator[Page[OwnedNumber]]:
    """The pages behind the one that is said to be the last, while each is full and the next one brings new records; `seen` grows. If
    there are any, `and_the_first` once more.

    A server may say that there are fewer pages than there are: the numbers on the others would count as not ours.
    """

    def read(page: int) -> Page[OwnedNumber]:
        return provider.owned(page=page, search=search, label=label)

    some = False
    while (behind := page_behind(read, last, seen, _record_id)) is not None:
        seen |= set(map(_record_id, behind.items))
        some, last = True, behind
        yield behind
    if some and and_the_first:
        yield read(1)


def check_new(shown: Page[OwnedNumber], seen: Set[int]) -> None:
    """Raises ReadFailed for a page that repeats records and has no new one."""
    if repeats(shown, seen, _record_id):
        raise PageRepeated(shown.page)


def _record_id(owned: OwnedNumber) -> int:
    return owned.record_id


def listed_as(provider: OwnedPort, label: str, *, unread: set[str | None] | None = None) -> Iterator[tuple[OwnedNumber, ...]]:
    """Every record with that label, page by page. Where the server's filter shows none, the whole list is read: a filter may be silent."""
    any_shown = False
    for items in listed(provider, label=label, unread=unread):
        if found := tuple(item for item in items if item.label == label):
            any_shown = True
            yield found
    if not any_shown:
        yield from (tuple(item for item in items if item.label == label) for items in listed(provider, unread=unread))


def owned_whole(provider: OwnedPort, tries: int = 3) -> tuple[OwnedNumber, ...]:
    """Every owned number, from a list that didn't change its length while it was read, or that showed the same numbers twice and said
    that it has fewer.

    Raises ReadFailed if it always changes, or if it holds a record that can't be read: that could be any number.
    """
    before: set[int] = set()
    for _ in range(tries):
        found: dict[int, OwnedNumber] = {}
        totals = set[int]()
        for shown in pages_of(provider):
            if shown.unread:
                raise ReadFailed(NotNow(NotNowReason.UNAVAILABLE))
            found |= {item.record_id: item for item in shown.items}
            totals.add(shown.total)
        if totals == {len(found)} or (max(totals) < len(found) and found.keys() == before):
            return tuple(found.values())
        before = set(found)
    raise ReadFailed(NotNow(NotNowReason.UNAVAILABLE))


def _shared_beginning(first: str, last: str) -> str:
    """What the first and the last of sorted texts share, all between them share."""
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:length]
