"""What the provider's transactions say of numbers whose purchase isn't settled.

A charge that names a number makes an owned list that doesn't show it doubtful, so the job continues looking. It never makes a number ours:
it doesn't name the job. That there is none proves nothing: charges may be listed late, or go to a linked card.
"""

from collections.abc import Collection, Set
from datetime import UTC, datetime, timedelta

from didflow.contract.numbers import to_provider
from didflow.contract.provider import NotThere, ReadFailed
from didflow.contract.transactions import NUMBER_CHARGES, Transaction
from worker.jobs.ports.provider import TransactionPort

#: For the person who looks, the charges of no more numbers are read: it is one read for each.
NUMBERS_AT_MOST = 20
#: Enough transactions for a decision: a checkout is charged for all of its numbers or for few.
DECIDING_NUMBERS = 5
#: The provider's days may be those of another time zone.
APART = timedelta(days=1)
#: How far the provider's clock and ours may be apart.
CLOCKS_APART = timedelta(minutes=5)


def charged_numbers(provider: TransactionPort, numbers: Collection[str], since_ms: int, now_ms: int) -> Set[str]:
    """Those of the first few numbers that a charge since then names. Empty where the transactions can't be read. Raises nothing."""
    since = _moment(since_ms) - CLOCKS_APART
    try:
        found = _charges(provider, sorted(numbers)[:DECIDING_NUMBERS], since_ms, now_ms)
    except (ReadFailed, NotThere):
        return frozenset()
    return {number for one in found if one.at >= since and one.charged_usd > 0 for number in one.numbers} & set(numbers)


def charges_seen(provider: TransactionPort, numbers: Collection[str], since_ms: int, now_ms: int) -> str:
    """A line for the job's story: the charges since then that name these numbers, or why that isn't known. Raises nothing."""
    try:
        found = _charges(provider, sorted(numbers)[:NUMBERS_AT_MOST], since_ms, now_ms)
    except (ReadFailed, NotThere) as failed:
        return f"not readable with this key, or not now: {failed}"
    more = f"; {len(numbers) - NUMBERS_AT_MOST} numbers weren't looked up" if len(numbers) > NUMBERS_AT_MOST else ""
    return ("; ".join(map(_shown, found)) or "no charge names the numbers") + more


def _charges(provider: TransactionPort, numbers: Collection[str], since_ms: int, now_ms: int) -> Collection[Transaction]:
    """Each charge of those days that names one of these numbers, once."""
    found: dict[int, Transaction] = {}
    first_day, last_day = (_moment(since_ms) - APART).date(), (_moment(now_ms) + APART).date()
    for number in numbers:
        digits = to_provider(number)
        page = provider.transactions(since=first_day, until=last_day, details_contains=digits, page=1, insist=False)
        found |= {one.id: one for one in page.items if number in one.numbers and one.type in NUMBER_CHARGES}
    return found.values()


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _shown(one: Transaction) -> str:
    status = f" ({one.status})" if one.status and one.status.lower() != "committed" else ""
    return f"{one.at:%Y-%m-%d %H:%M} UTC {one.charged_usd} USD {one.details[:120]}{status}"
