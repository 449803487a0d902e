"""When a release takes effect: how its times are read, and where a time is uncertain, which side is the safe one.

Safe is late for "not before this", and early for "before the number renews". A date without a time means the whole of it, everywhere:
the last place on earth leaves a day at UTC-12, the first one enters it at UTC+14.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from didflow.contract.time_values import Moment, Span, later

_DATE = re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
#: When a date is over everywhere, and when it begins somewhere, both from its midnight in UTC.
OVER_EVERYWHERE, BEGINS_SOMEWHERE = timedelta(days=1, hours=12), timedelta(hours=-14)
#: Default margin between a number's release and its renewal.
RENEWAL_MARGIN = timedelta(hours=24)


def _end_of_date(given: object) -> object:
    if isinstance(given, str) and _DATE.match(given):
        given = date.fromisoformat(given)
    if isinstance(given, date) and not isinstance(given, datetime):
        return later(datetime.combine(given, time(), UTC), OVER_EVERYWHERE)
    return given


#: A moment with its time zone; a date alone is the moment at which it is over everywhere.
AfterMoment = Annotated[Moment, BeforeValidator(_end_of_date)]
Grace = Annotated[Span, Field(ge=timedelta(0), le=timedelta(days=400))]
#: Less than a month: a longer margin would be before the renewal that came last.
Margin = Annotated[Span, Field(ge=timedelta(0), le=timedelta(days=27))]


def renews_ms(paid_until: datetime) -> int:
    """The earliest moment at which a number that is paid until then may renew.

    The provider gives a date in a time zone that it doesn't name, which is read as midnight in UTC; so does a time of exactly midnight.
    """
    paid = paid_until.astimezone(UTC)
    return int((paid + BEGINS_SOMEWHERE if paid.time() == time() else paid).timestamp() * 1000)


def calls_came(seen_s: int, seen_ms: int, now_s: int, now_ms: int) -> bool:
    """Whether calls came in between two reads of the counter of inbound seconds, which resets each month in an unknown time zone.

    A counter that is as it was, above zero, days into another month, has been at zero in between.
    """
    if now_s == seen_s:
        seen, now = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (seen_ms, now_ms))
        return now_s > 0 and (seen.year, seen.month) != (now.year, now.month) and now.day > 1
    return now_s > 0
