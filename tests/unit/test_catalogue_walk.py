"""Reading all pages of a list of a server that may not count well: what is read is kept, and what may be missing is said."""

from collections.abc import Callable

import pytest

from didflow.contract.provider import NotNow, NotNowReason, NotThere, Page, ReadFailed
from worker.jobs.catalogue.walk import Walked, walk

Shown = Page[int] | Exception


def pages(*shown: Shown) -> Callable[[int], Page[int]]:
    """A server that shows these, one after the other, whichever page is asked for."""
    left = list(shown)

    def read(_page: int) -> Page[int]:
        one = left.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    return read


def page(items: range, number: int, total_pages: int, total: int, unread: int = 0) -> Page[int]:
    return Page(tuple(items), number, total_pages, total, (None,) * unread)


def walked(read: Callable[[int], Page[int]], most: int = 1000) -> Walked[int]:
    return walk(read, lambda one: one, lambda: None, most)


UNREADABLE = ReadFailed(NotNow(NotNowReason.UNAVAILABLE))


@pytest.mark.parametrize(
    ("shown", "count", "gaps"),
    [
        ([page(range(3), 1, 1, 3)], 3, ""),
        ([page(range(3), 1, 1, 0)], 3, ""),
        ([page(range(0), 1, 1, 0)], 0, ""),
        ([NotThere("none")], 0, ""),
        ([page(range(100), 1, 2, 150), page(range(100, 150), 2, 2, 150)], 150, ""),
        # It says one page, and has two.
        ([page(range(100), 1, 1, 150), page(range(100, 150), 2, 1, 150)], 150, ""),
        ([page(range(100), 1, 1, 0), page(range(0), 2, 1, 0)], 100, ""),
        # A page that was shown before.
        ([page(range(100), 1, 2, 150), page(range(100), 2, 2, 150)], 100, "page 2 shows what earlier pages showed"),
        # It says 150, and shows 120.
        (
            [page(range(100), 1, 2, 150), page(range(100, 120), 2, 2, 150), page(range(0), 3, 2, 150)],
            120,
            "the list is said to have 150 entries, and shows 120",
        ),
        ([page(range(100), 1, 2, 150), UNREADABLE], 100, "page 2 can't be read"),
        ([page(range(100), 1, 2, 150), NotThere("gone")], 100, "page 2 went away while the list was read"),
        ([page(range(3), 1, 1, 5, unread=2)], 3, "2 entries can't be read"),
    ],
)
def test_what_may_be_missing_is_said(shown: list[Shown], count: int, gaps: str) -> None:
    assert walked(pages(*shown)) == Walked(tuple(range(count)), gaps)


def test_a_list_that_changed_while_it_was_read_is_read_once_more() -> None:
    first = [page(range(100), 1, 2, 101), page(range(101, 102), 2, 2, 100)]
    again = [page(range(1, 100), 1, 1, 99)]
    assert walked(pages(*first, *again)) == Walked(tuple(range(1, 100)), "")
    assert walked(pages(*first, *first)).gaps == "the list changed while it was read"


def test_a_list_without_end_is_cut_and_says_so() -> None:
    endless = walk(lambda number: page(range(number * 100, number * 100 + 100), number, 10**9, 10**11), lambda one: one, lambda: None, 250)
    assert (len(endless.items), endless.gaps) == (250, "only the first 250 entries are kept")


@pytest.mark.parametrize("reason", [NotNowReason.RATE_LIMITED, NotNowReason.UNREACHABLE])
def test_a_provider_that_is_away_gives_no_half_list(reason: NotNowReason) -> None:
    with pytest.raises(ReadFailed):
        walked(pages(page(range(100), 1, 2, 150), ReadFailed(NotNow(reason))))
    with pytest.raises(ReadFailed):
        walked(pages(UNREADABLE))
