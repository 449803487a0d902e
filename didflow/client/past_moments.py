"""Moments of the past that a caller asks about."""

from datetime import UTC, datetime, timedelta

from didflow.contract.errors import Fault, InvalidRequest
from didflow.contract.time_values import bounded

#: A clock may be ahead of another one by this much.
AHEAD = timedelta(minutes=5)


def past(moment: datetime, name: str) -> datetime:
    """The moment in UTC. Raises InvalidRequest for one without a time zone, or in the future."""
    try:
        found = bounded(moment)
        if found > datetime.now(UTC) + AHEAD:
            raise ValueError("is in the future: give a moment that has passed")
    except ValueError as error:
        raise InvalidRequest(f"{name}: {error}", (Fault(name, str(error)),)) from None
    return found
