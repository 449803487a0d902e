"""The references that our numbers were bought for: read from what the histories' script stores beside them."""

import json
from collections.abc import Mapping, Sequence

from didflow.contract.number_holders import Holder
from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.keys import Keys

#: Numbers per query.
TOGETHER = 1000


def holders(keys: Keys, numbers: Sequence[str]) -> Command[Mapping[str, Holder]]:
    """The purchases of those of these numbers that are ours and were bought through us."""
    found: dict[str, Holder] = {}
    for start in range(0, len(numbers), TOGETHER):
        some = numbers[start : start + TOGETHER]
        texts: list[str | None] = yield RedisCommand("hmget", (keys.holders, list(some)))
        found |= {number: holder for number, text in zip(some, texts, strict=True) if (holder := _holder(text)) is not None}
    return found


def held_for(keys: Keys, reference: str) -> Command[tuple[str, ...]]:
    """The numbers that were bought for this reference and are ours, in order."""
    numbers: set[str] = yield RedisCommand("smembers", (keys.holdings(reference),))
    return tuple(sorted(numbers))


def _holder(text: str | None) -> Holder | None:
    """None for an unreadable entry: the holder isn't known."""
    try:
        record, account, reference = json.loads(text or "")
        return Holder(int(record) if record else None, account or "", reference or None)
    except (ValueError, TypeError, OverflowError):
        return None
