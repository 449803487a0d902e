"""Which numbers are reserved by another job, or for no job for a time."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.going_numbers import going
from didflow.ledger.keys import Keys
from didflow.ledger.records import read_record


class Reservation(BaseModel):
    """As `scripts/include/reservations.lua` writes it. `holder`: a job, or ``quarantine``. `until_ms`: 0 while that job lives."""

    model_config = ConfigDict(frozen=True)

    holder: str
    until_ms: int


def reserved(keys: Keys, account: str, numbers: Sequence[str], *, besides: str, now_ms: int) -> Command[frozenset[str]]:
    """Those of these numbers that are reserved now, and not for the job `besides`; a release that has begun with one counts."""
    if not numbers:
        return frozenset()
    texts: list[str | None] = yield RedisCommand("hmget", (keys.reserved(account), list(numbers)))
    held = (number for number, text in zip(numbers, texts, strict=True) if text is not None and _holds(text, besides, now_ms))
    return frozenset(held) | (yield from going(keys, account, numbers))


def strays(keys: Keys, account: str) -> Command[frozenset[str]]:
    """Tainted numbers, which a late add may bring into the cart."""
    numbers: set[str] = yield RedisCommand("smembers", (keys.strays(account),))
    return frozenset(numbers)


def _holds(text: str, besides: str, now_ms: int) -> bool:
    """An unreadable reservation stays in force: no job gets the number."""
    found = read_record(Reservation, text)
    return found is None or (found.holder != besides and (found.until_ms == 0 or found.until_ms > now_ms))
