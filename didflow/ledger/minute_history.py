"""The last hours by the minute: jobs that ended, money that was spent, how fast the provider answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from pydantic import BaseModel

from didflow.contract.metric_counts import BOUNDS_MS
from didflow.ledger.commands import Command, Commands, RedisCommand
from didflow.ledger.records import read_record
from didflow.ledger.spending import UNITS_PER_USD

#: The longest history that can be read, minutes.
MOST_MINUTES = 24 * 60


class _Spent(BaseModel):
    usd: int


@dataclass
class Minute:
    """What happened in one minute.

    at_s    its beginning, seconds since the epoch
    ended   jobs that ended or were parked, by state
    usd     what was settled as spent
    calls   requests to the provider, by the bound that they stayed below, ms
    """

    at_s: int
    ended: dict[str, int] = field(default_factory=dict)
    usd: Decimal = Decimal(0)
    calls: dict[float, int] = field(default_factory=dict)

    def call_ms(self, share: float) -> float | None:
        """The bound below which this share of the requests stayed, ms; infinity above the last, None without any request."""
        total, seen = sum(self.calls.values()), 0
        for bound in (*BOUNDS_MS, float("inf")):
            seen += self.calls.get(bound, 0)
            if total and seen >= total * share:
                return float(bound)
        return None


def minute_history(commands: Commands, minutes: int, accounts: tuple[str, ...]) -> Command[tuple[Minute, ...]]:
    """The last `minutes`, oldest first, the present one among them. Spending is that of these accounts."""
    keys = commands.keys
    seconds, _ = yield RedisCommand("time")
    last = seconds // 60
    found = {minute: Minute(minute * 60) for minute in range(last - min(minutes, MOST_MINUTES) + 1, last + 1)}
    hours = sorted({minute // 60 for minute in found})
    replies = yield (
        *(RedisCommand("hgetall", (keys.metrics_hour(hour),)) for hour in hours),
        *(RedisCommand("hgetall", (keys.spent(f"account:{account}"),)) for account in accounts),
    )
    for hour, counts in zip(hours, replies, strict=False):
        _add_counts(found, hour, counts)
    for spent in replies[len(hours) :]:
        _add_spent(found, spent)
    return tuple(found.values())


def _add_counts(found: Mapping[int, Minute], hour: int, counts: Mapping[str, str]) -> None:
    for name, count in counts.items():
        minute = found.get(hour * 60 + int(name.partition(":")[0]))
        match name.split(":")[1:]:
            case ["ended", state] if minute is not None:
                minute.ended[state] = int(count)
            case ["call", bound] if minute is not None:
                minute.calls[float(bound)] = int(count)


def _add_spent(found: Mapping[int, Minute], spent: Mapping[str, str]) -> None:
    for name, text in spent.items():
        minute = found.get(int(name))
        spent_then = read_record(_Spent, text)
        if minute is not None and spent_then is not None:
            minute.usd += Decimal(spent_then.usd) / UNITS_PER_USD
