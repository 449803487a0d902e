"""Which numbers are reserved by another job, or for no job for a time."""

from collections.abc import Sequence

from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.keys import Keys
from didflow.ledger.number_pool import going


def reserved(keys: Keys, account: str, numbers: Sequence[str], *, besides: str, now_ms: int) -> Command[frozenset[str]]:
    """Those of these numbers that are reserved now, and not for the job `besides`; a release that has begun with one counts."""
    if not numbers:
        return frozenset()
    holders: list[str | None] = yield RedisCommand("hmget", (keys.reserved(account), list(numbers)))
    held = (number for number, holder in zip(numbers, holders, strict=True) if holder is not None and _holds(holder, besides, now_ms))
    return frozenset(held) | (yield from going(keys, account, numbers))


def _holds(holder: str, besides: str, now_ms: int) -> bool:
    """A reservation is `job|0`, or `job|until` in ms. An unreadable reservation stays in force: no job gets the number."""
    job_id, _, until = holder.rpartition("|")
    if job_id == besides:
        return False
    return not until.isdecimal() or until == "0" or int(until) > now_ms
