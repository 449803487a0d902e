"""Times and durations as producers give them, within bounds that every part of didflow can count, write and show."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator

#: A later moment, or an earlier one, would overflow in another time zone, or in milliseconds since the epoch.
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
OUT_OF_BOUNDS = "needs a time between 1970 and 9999 (UTC)"

_SPAN = re.compile(r"^(-?[0-9]{1,30}(?:\.[0-9]{1,6})?)(s|m|h|d)$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def bounded(moment: datetime) -> datetime:
    """The same moment in UTC. Raises ValueError if it has no time zone or lies outside of the bounds."""
    if moment.utcoffset() is None:
        raise ValueError("needs a time zone")
    try:
        utc = moment.astimezone(UTC)
    except (OverflowError, ValueError):  # Near year 1 or 9999 the conversion itself leaves what Python can hold.
        raise ValueError(OUT_OF_BOUNDS) from None
    if not EARLIEST <= utc <= LATEST:
        raise ValueError(OUT_OF_BOUNDS)
    return utc


def later(moment: datetime, by: timedelta) -> datetime:
    """The moment that much later, in UTC. Raises ValueError if that is outside of the bounds."""
    try:
        return bounded(moment + by)
    except OverflowError:
        raise ValueError(OUT_OF_BOUNDS) from None


def read_span(text: str) -> timedelta | None:
    """``90s``, ``10m``, ``2h``, ``7d``; None for a text of another form. Raises ValueError for one that is too long to count."""
    if (read := _SPAN.match(text)) is None:
        return None
    try:
        return timedelta(seconds=float(read[1]) * _SECONDS[read[2]])
    except OverflowError:
        raise ValueError(f"{text[:40]!r} is longer than can be counted") from None


def _span(given: object) -> object:
    span = read_span(given) if isinstance(given, str) else None
    return given if span is None else span


#: A moment with its time zone, kept in UTC.
Moment = Annotated[AwareDatetime, AfterValidator(bounded)]
#: Seconds, ``90s``, ``10m``, ``2h``, ``7d``, or an ISO 8601 duration (``P7D``). Each field sets its own limits.
Span = Annotated[timedelta, BeforeValidator(_span)]
