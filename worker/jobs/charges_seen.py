"""What the provider's transactions say of numbers whose purchase can't be settled: for the person who looks, never for a decision.

A missing line proves nothing: charges may be listed late, or go to a linked card. A line proves nothing either: it doesn't name the job.
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from worker.contract.numbers import to_provider
from worker.contract.provider import NotThere, ReadFailed
from worker.contract.transactions import NUMBER_CHARGES, Transaction
from worker.jobs.ports import Provider

#: A purchase of more is looked up for the first of them only: it is one read for each.
NUMBERS_AT_MOST = 20
#: The provider's days may be those of another time zone.
APART = timedelta(days=1)


def charges_seen(provider: Provider, numbers: Collection[str], since_ms: int, now_ms: int) -> str:
    """A line for the job's story: the charges since then that name these numbers, or why that isn't known. Raises nothing."""
    since, until = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (since_ms, now_ms))
    found: dict[int, Transaction] = {}
    try:
        for number in sorted(numbers)[:NUMBERS_AT_MOST]:
            page = provider.transactions(
                since=(since - APART).date(), until=(until + APART).date(), details_contains=to_provider(number), page=1
            )
            found |= {one.id: one for one in page.items if number in one.numbers and one.type in NUMBER_CHARGES}
    except (ReadFailed, NotThere) as failed:
        return f"not readable with this key, or not now: {failed}"
    more = f"; {len(numbers) - NUMBERS_AT_MOST} numbers weren't looked up" if len(numbers) > NUMBERS_AT_MOST else ""
    return ("; ".join(map(_shown, found.values())) or "no charge names the numbers") + more


def _shown(one: Transaction) -> str:
    status = f" ({one.status})" if one.status and one.status.lower() != "committed" else ""
    return f"{one.at:%Y-%m-%d %H:%M} UTC {one.charged_usd} USD {one.details[:120]}{status}"
