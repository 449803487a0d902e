"""When a release's numbers will be released, and which won't, during its grace period."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Standing(StrEnum):
    """Where a number of a release is. Public: others match on these words."""

    COUNTS_DOWN = "counts_down"  #: it goes at its time; its calls go where they went
    PARKED = "parked"  #: it goes at its time; its calls go to the parking destination
    GOING = "going"  #: its release was sent; what became of it is being read
    HANDED_OUT = "handed_out"  #: a purchase has been given it meanwhile
    PROTECTED = "protected"  #: a guard forbids it: it stays
    STAYS = "stays"  #: it stays for another reason
    GONE = "gone"  #: it was given back


@dataclass(frozen=True)
class Departure:
    """A number of a release. `goes_at` None: it doesn't go, or it isn't known when. `why`: what keeps it."""

    number: str
    standing: Standing
    goes_at: datetime | None = None
    why: str | None = None


@dataclass(frozen=True)
class Departures:
    """The numbers of one release that hasn't ended, those that go first.

    goes_at    when the first of them goes; None: none does, or it isn't known when
    no_sooner  that time can only be later: it is before the renewals, which no worker has read yet
    seen       a worker has read the numbers. Until then it isn't known which are protected
    """

    job: str
    reference: str | None
    account: str
    state: str
    reason: str | None
    goes_at: datetime | None
    no_sooner: bool
    seen: bool
    numbers: tuple[Departure, ...]

    def count(self, *which: Standing) -> int:
        return sum(number.standing in which for number in self.numbers)


def in_words(left: timedelta) -> str:
    """``in 6 d 3 h``, ``in 20 min``, ``now``."""
    minutes = int(left.total_seconds() // 60)
    if minutes < 1:
        return "now" if left <= timedelta(0) else "in less than a minute"
    days, rest = divmod(minutes, 24 * 60)
    hours, minutes = divmod(rest, 60)
    if days:
        return f"in {days} d {hours} h"
    return f"in {hours} h {minutes} min" if hours else f"in {minutes} min"
