"""What the provider's transactions say of numbers whose purchase isn't settled.

A charge that names a number makes an owned list that doesn't show it doubtful, so the job continues looking. It never makes a number ours:
it doesn't name the job. That there is none proves nothing: charges may be listed late, or go to a linked card.
"""

from collections.abc import Collection, Iterator, Set
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice

from didflow.contract.numbers import to_provider
from didflow.contract.provider import NotThere, Page, ReadFailed
from didflow.contract.transactions import NUMBER_CHARGES, Transaction
from worker.jobs.ports.provider import TransactionPort
from worker.pages import all_pages

#: For the person who looks, the charges of no more numbers are read: it is one read for each.
NUMBERS_AT_MOST = 20
#: Enough transactions for a decision: a checkout is charged for all of its numbers or for few.
DECIDING_NUMBERS = 5
#: Pages that are read at most in a search for one number: a server that finds more ignores what is searched for.
PAGES_FOR_ONE = 1
#: Pages that are read at most of the account's charges of those days. Where they come newest first, few are needed.
PAGES_FOR_ALL = 20
#: The provider's days may be those of another time zone.
APART = timedelta(days=1)
#: How far the provider's clock and ours may be apart.
CLOCKS_APART = timedelta(minutes=5)


def charged_numbers(provider: TransactionPort, numbers: Collection[str], since_ms: int, now_ms: int) -> Set[str]:
    """Those of the first few numbers that a charge since then names, as far as the transactions can be read. Raises nothing."""
    since = _moment(since_ms) - CLOCKS_APART
    charged: set[str] = set()
    with suppress(ReadFailed, NotThere):
        for one in _charges(provider, sorted(numbers)[:DECIDING_NUMBERS], since_ms, now_ms):
            charged |= set(one.numbers) if one.at >= since and one.charged_usd > 0 else set()
    return charged & set(numbers)


def charges_seen(provider: TransactionPort, numbers: Collection[str], since_ms: int, now_ms: int) -> str:
    """A line for the job's story: the charges since then that name these numbers, or why that isn't known. Raises nothing."""
    found: dict[int, Transaction] = {}
    try:
        for one in _charges(provider, sorted(numbers)[:NUMBERS_AT_MOST], since_ms, now_ms):
            found[one.id] = one
    except (ReadFailed, NotThere) as failed:
        if not found:
            return f"not readable with this key, or not now: {failed}"
    more = f"; {len(numbers) - NUMBERS_AT_MOST} numbers weren't looked up" if len(numbers) > NUMBERS_AT_MOST else ""
    return ("; ".join(map(_shown, found.values())) or "no charge names the numbers") + more


def _charges(provider: TransactionPort, numbers: Collection[str], since_ms: int, now_ms: int) -> Iterator[Transaction]:
    """The charges of those days that name one of these numbers, some of them twice.

    Each number is searched for. A server's filter may find nothing, or be ignored, so for numbers that it doesn't show the list is read
    without it. Raises ReadFailed and NotThere.
    """
    missing = set(numbers)
    for words, most_pages in (*((to_provider(number), PAGES_FOR_ONE) for number in numbers), (None, PAGES_FOR_ALL)):
        if words is not None or missing:
            for one in _matching(provider, words, most_pages, since_ms, now_ms):
                if set(numbers) & set(one.numbers):
                    missing -= set(one.numbers)
                    yield one


def _matching(provider: TransactionPort, words: str | None, most_pages: int, since_ms: int, now_ms: int) -> Iterator[Transaction]:
    """What was charged for numbers on those days, with these words."""
    first_day, last_day = (_moment(since_ms) - APART).date(), (_moment(now_ms) + APART).date()

    def read(page: int) -> Page[Transaction]:
        return provider.transactions(since=first_day, until=last_day, details_contains=words, page=page, insist=False)

    for shown in islice(all_pages(read, key=lambda one: one.id), most_pages):
        yield from (one for one in shown.items if one.type in NUMBER_CHARGES)


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _shown(one: Transaction) -> str:
    status = f" ({one.status})" if one.status and one.status.lower() != "committed" else ""
    return f"{one.at:%Y-%m-%d %H:%M} UTC {one.charged_usd} USD {one.details[:120]}{status}"
