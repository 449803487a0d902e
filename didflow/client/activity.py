"""The last hours by the minute, over all accounts."""

from datetime import UTC, datetime
from math import isinf

from didflow.contract.activity import MOST_MINUTES, ActivityMinute
from didflow.contract.errors import InvalidRequest
from didflow.ledger.commands import Command, Commands
from didflow.ledger.metrics import measures
from didflow.ledger.minute_history import Minute, minute_history


def activity(commands: Commands, minutes: int) -> Command[tuple[ActivityMinute, ...]]:
    """The last `minutes`, oldest first, the present one among them. Raises InvalidRequest."""
    if not 1 <= minutes <= MOST_MINUTES:
        what = f"is a whole number from 1 to {MOST_MINUTES}"
        raise InvalidRequest(f"minutes: {what}", (("minutes", what),))
    accounts = tuple((yield from measures(commands)).accounts) or ("default",)
    return tuple(map(_shown, (yield from minute_history(commands, minutes, accounts))))


def _shown(one: Minute) -> ActivityMinute:
    at = datetime.fromtimestamp(one.at_s, UTC)
    return ActivityMinute(at, one.ended, one.usd, sum(one.calls.values()), _ms(one, 0.5), _ms(one, 0.95))


def _ms(one: Minute, share: float) -> float | None:
    found = one.call_ms(share)
    return None if found is None or isinf(found) else found
