"""Reading every page of a list of the provider, which may count its pages wrong.

How many pages there are is believed only as long as they bring something new. That a full page is the last one isn't believed: what is on
the next one would count as missing.
"""

from collections.abc import Callable, Hashable, Iterator, Set
from typing import TypeVar

from didflow.contract.provider import No, NotNow, NotNowReason, NotThere, Page, ReadFailed

T = TypeVar("T")

#: The provider's maximum of entries on a page. It is always requested, where a list has pages.
PER_PAGE = 100


class PageRepeated(ReadFailed):
    """A page that should be there, `page`, shows nothing but what others have shown."""

    def __init__(self, page: int) -> None:
        super().__init__(NotNow(NotNowReason.UNAVAILABLE))
        self.page = page


def all_pages(read: Callable[[int], Page[T]], key: Callable[[T], Hashable]) -> Iterator[Page[T]]:
    """Every page of a list, in order; `read` gets one by its number, `key` names an entry.

    Raises PageRepeated, and what `read` raises for a page that is said to be there.
    """
    shown = read(1)
    seen = set(map(key, shown.items))
    while True:
        yield shown
        if shown.page < shown.total_pages:
            shown = read(shown.page + 1)
            if repeats(shown, seen, key):
                raise PageRepeated(shown.page)
        elif (behind := page_behind(read, shown, seen, key)) is not None:
            shown = behind
        else:
            return
        seen |= set(map(key, shown.items))


def repeats(shown: Page[T], seen: Set[Hashable], key: Callable[[T], Hashable]) -> bool:
    """Whether the page has entries, can be read, and has none that wasn't seen."""
    return bool(shown.items) and brings_nothing(shown, seen, key)


def brings_nothing(shown: Page[T], seen: Set[Hashable], key: Callable[[T], Hashable]) -> bool:
    """The same, also of a page without entries."""
    return not shown.unread and all(key(item) in seen for item in shown.items)


def page_behind(read: Callable[[int], Page[T]], last: Page[T], seen: Set[Hashable], key: Callable[[T], Hashable]) -> Page[T] | None:
    """The page behind the one that is said to be the `last`, if that one is full and there is another with something new.

    Servers answer a page that isn't there in many ways: it is empty, it is refused, it breaks, it shows the last one again.
    """
    if not last.is_full:
        return None
    try:
        behind = read(last.page + 1)
    except NotThere:
        return None
    except ReadFailed as failed:
        _check_is_about_the_page(failed, read)
        return None
    return None if brings_nothing(behind, seen, key) else behind


def _check_is_about_the_page(failed: ReadFailed, read: Callable[[int], object]) -> None:
    """Raises what failed, unless it is this server's answer to a page that isn't there.

    Then the first page can still be read, and the list ends where the server said. Else no account with a full last page could be read on
    such a server.
    """
    if isinstance(failed.answer, No):
        return
    if not (isinstance(failed.answer, NotNow) and failed.answer.reason is NotNowReason.UNAVAILABLE):
        raise failed
    read(1)
