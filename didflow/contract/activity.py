"""What happened in the last hours, minute by minute."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

#: The longest time that can be read, minutes; and how much is read by default.
MOST_MINUTES, MINUTES = 24 * 60, 180


@dataclass(frozen=True)
class ActivityMinute:
    """What happened in one minute.

    at              its beginning
    ended           jobs that ended or were parked, by state
    spent_usd       what purchases were charged
    calls           requests to the provider
    p50_ms, p95_ms  the bound below which half of them, or 95 %, were answered; None: no request, or above the last bound
    """

    at: datetime
    ended: Mapping[str, int]
    spent_usd: Decimal
    calls: int
    p50_ms: float | None
    p95_ms: float | None
