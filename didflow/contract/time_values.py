"""Times and durations as producers give them, within bounds that every part of didflow can count, write and show."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator

#: A later moment, or an earlier one, would overflow in another time zone, or in milliseconds since the epoch.
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
OUT_OF_BOUNDS = "needs a time between 1970 and 9999 (UTC)"

_DATED = re.compile(r"[0-9]{4}-")
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
        return timedelta(microseconds=int(Decimal(read[1]) * _SECONDS[read[2]] * 1_000_000))
    except OverflowError:
        raise ValueError(f"{text[:40]!r} is longer than can be counted") from None


def span_text(span: timedelta) -> str:
    """As `read_span` reads it, exactly, in the largest unit of which it is a whole number: ``7d``, ``90s``, ``0.5s``."""
    whole, rest = divmod(span, timedelta(seconds=1))
    if rest:
        return f"{Decimal(span // timedelta(microseconds=1)).scaleb(-6).normalize():f}s"
    unit = next(unit for unit, seconds in reversed(_SECONDS.items()) if whole % seconds == 0 and (whole or seconds == 1))
    return f"{whole // _SECONDS[unit]}{unit}"


def about(seconds: float) -> str:
    """A duration for a person, in a unit of which it has at least two: ``3 days``, ``20 min``, ``45 s``."""
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _span(given: object) -> object:
    if isinstance(given, bool):
        raise ValueError("needs a duration: give one such as 90s, 10m, 2h or 7d")
    span = read_span(given) if isinstance(given, str) else None
    return given if span is None else span


def _no_count(given: object) -> object:
    """A number, also one in a text, would be read as seconds since 1970, or as milliseconds: a year as a moment that is over."""
    if isinstance(given, date) or (isinstance(given, str) and _DATED.match(given)):
        return given
    raise ValueError("needs a time: give one with its zone, such as 2026-12-01T08:00+01:00")


#: A moment with its time zone, kept in UTC.
Moment = Annotated[AwareDatetime, AfterValidator(bounded), BeforeValidator(_no_count)]
#: Seconds, ``90s``, ``10m``, ``2h``, ``7d``, or an ISO 8601 duration (``P7D``). Each field sets its own limits.
Span = Annotated[timedelta, BeforeValidator(_span)]
