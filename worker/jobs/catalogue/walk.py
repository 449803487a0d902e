"""Reading all pages of a list, and whether what was read is surely all of it.

A server may say that there are more or fewer pages than there are, show a page twice, or sell a number while its list is read. What is
read is kept; that something may be missing is said.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from didflow.contract.provider import NotNow, NotNowReason, NotThere, Page, ReadFailed

T = TypeVar("T")

#: A list that changed while it was read is read once more.
TRIES = 2


@dataclass(frozen=True)
class Walked(Generic[T]):
    """`gaps`: why the list may lack something; empty: it doesn't."""

    items: tuple[T, ...]
    gaps: str = ""


def walk(read: Callable[[int], Page[T]], key: Callable[[T], Hashable], before_page: Callable[[], None], most: int) -> Walked[T]:
    """All pages of a list, each entry once, at most `most` entries. A list that isn't there is empty.

    `before_page` may raise to stop the walk. Raises ReadFailed if the first page can't be read.
    """
    for _ in range(TRIES):
        walked, changed = _walk_once(read, key, before_page, most)
        if not changed:
            break
    return walked


def _walk_once(
    read: Callable[[int], Page[T]], key: Callable[[T], Hashable], before_page: Callable[[], None], most: int
) -> tuple[Walked[T], bool]:
    """What was read, and whether the list changed meanwhile."""
    found: dict[Hashable, T] = {}
    totals: set[int] = set()
    page, unread, gaps = 1, 0, ""
    while True:
        before_page()
        try:
            shown = read(page)
        except NotThere:
            gaps = "" if page == 1 else f"page {page} went away while the list was read"
            break
        except ReadFailed as failed:
            if page == 1 or not (isinstance(failed.answer, NotNow) and failed.answer.reason is NotNowReason.UNAVAILABLE):
                raise
            gaps = f"page {page} can't be read"
            break
        fresh = [one for one in shown.items if key(one) not in found]
        found |= {key(one): one for one in fresh}
        totals.add(shown.total)
        unread += len(shown.unread)
        if shown.items and not fresh:
            gaps = gaps or f"page {page} shows what earlier pages showed"
            break
        if len(found) >= most:
            more = page < shown.total_pages or shown.total > most
            return Walked(tuple(found.values())[:most], gaps or (f"only the first {most} entries are kept" if more else "")), False
        said_to_have_more = page < shown.total_pages or len(found) + unread < shown.total
        if not (shown.items or shown.unread) or not (said_to_have_more or shown.is_full):
            break
        page += 1
    changed = len(totals) > 1
    gaps = gaps or (f"{unread} entries can't be read" if unread else "")
    if changed:
        gaps = gaps or "the list changed while it was read"
    elif max(totals, default=0) > len(found):
        gaps = gaps or f"the list is said to have {max(totals)} entries, and shows {len(found)}"
    return Walked(tuple(found.values()), gaps), changed
