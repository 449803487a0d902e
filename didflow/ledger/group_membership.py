"""Who reads a stream in a consumer group, and how patiently."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from didflow.contract.errors import InvalidRequest

#: Names of groups and consumers are no longer than this.
MOST_CHARACTERS = 200
#: Nothing waits for longer than this.
MOST_S = 10 * 365 * 86_400.0
MOST_DELIVERIES = 1_000_000


@dataclass(frozen=True)
class Membership:
    """One consumer of a group.

    block_s         how long it waits for a new entry before it looks for abandoned ones again
    min_idle_s      an entry that a consumer has held for this long without an ack goes to another one (or to itself again)
    max_deliveries  an entry that was delivered more often than this is poison: set aside, with the reason
    ends_idle       end when there is nothing more to read, instead of waiting for it
    waits_for_redis wait while Redis is away and continue then; else ServiceUnavailable is raised
    """

    group: str
    consumer: str
    block_s: float = 2.0
    min_idle_s: float = 60.0
    max_deliveries: int = 5
    ends_idle: bool = False
    waits_for_redis: bool = False

    def __post_init__(self) -> None:
        """Raises InvalidRequest with every fault."""
        if faults := tuple(_faults(self)):
            raise InvalidRequest("; ".join(f"{where}: {what}" for where, what in faults), faults)


def name_fault(name: object) -> str | None:
    """Why this can't name a group or a consumer."""
    if not isinstance(name, str) or not 1 <= len(name) <= MOST_CHARACTERS or not name.isprintable():
        return f"needs 1 to {MOST_CHARACTERS} printable characters"
    return None


def _faults(member: Membership) -> Iterator[tuple[str, str]]:
    for where, name in (("group", member.group), ("consumer", member.consumer)):
        if fault := name_fault(name):
            yield where, fault
    for where, seconds in (("block_s", member.block_s), ("min_idle_s", member.min_idle_s)):
        if not _is_number(seconds) or not 0 <= seconds <= MOST_S:
            yield where, f"needs a number of seconds from 0 to {MOST_S:.0f}"
    most = member.max_deliveries
    if not isinstance(most, int) or isinstance(most, bool) or not 1 <= most <= MOST_DELIVERIES:
        yield "max_deliveries", f"needs a whole number from 1 to {MOST_DELIVERIES}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
