"""The references that our numbers were bought for: read from what the histories' script stores beside them."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from didflow.contract.number_holders import Holder
from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.keys import Keys
from didflow.ledger.records import read_record
from didflow.ledger.views import whole

#: Numbers per query.
TOGETHER = 1000


class _Holder(BaseModel):
    """As `scripts/include/holders.lua` writes it; empty where it isn't known, or there is none."""

    record_id: str
    account: str
    reference: str

    def holder(self) -> Holder:
        return Holder(whole(self.record_id) or None, self.account, self.reference or None)


def holders(keys: Keys, numbers: Sequence[str]) -> Command[Mapping[str, Holder]]:
    """The purchases of those of these numbers that are ours and were bought through us."""
    found: dict[str, Holder] = {}
    for start in range(0, len(numbers), TOGETHER):
        some = numbers[start : start + TOGETHER]
        texts: list[str | None] = yield RedisCommand("hmget", (keys.holders, list(some)))
        read = ((number, read_record(_Holder, text)) for number, text in zip(some, texts, strict=True))
        found |= {number: one.holder() for number, one in read if one is not None}
    return found


def held_for(keys: Keys, reference: str) -> Command[tuple[str, ...]]:
    """The numbers that were bought for this reference and are ours, in order."""
    numbers: set[str] = yield RedisCommand("smembers", (keys.holdings(reference),))
    return tuple(sorted(numbers))
