"""Where a number's calls went at a moment: worked out from its history and from what the inventory shows now.

A history has the routes that didflow set and those that a sweep found changed. Between two of them a route may have been changed elsewhere
and back; that nobody knows. Where what is known contradicts itself, the route counts as unknown, with the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from didflow.contract.destinations import Destination, Route, SeenDestination
from didflow.contract.errors import InvalidRequest
from didflow.contract.history import Happening, HistoryEntry


class Source(StrEnum):
    """How the route is known, or why it isn't."""

    HISTORY = "history"
    INVENTORY = "inventory"  #: nothing has changed it since, as far as is known
    NOT_OURS = "not_ours"  #: the account didn't have the number at that moment
    UNKNOWN = "unknown"


#: Why nothing is known of a number that the inventory doesn't have.
NO_HISTORY = "it has no history"


@dataclass(frozen=True)
class PastRoute:
    """`destinations`: in their order, as text (``sip:pbx@example.net``); None where they aren't known. `why`: the reason, or a doubt."""

    number: str
    source: Source
    destinations: tuple[str, ...] | None = None
    why: str = ""

    @property
    def is_shown(self) -> bool:
        """Whether a list of an account's routes has it: not a number that wasn't the account's, as far as is known."""
        return self.source is not Source.NOT_OURS and self.why != NO_HISTORY

    def route(self) -> Route | None:
        """To be set again; None where it isn't known, or has a destination that can't be written in a request."""
        if self.destinations is None:
            return None
        try:
            return tuple(Destination.parse(text, priority=place) for place, text in enumerate(self.destinations, 1))
        except InvalidRequest:
            return None


@dataclass(frozen=True)
class RouteNow:
    """What the inventory shows of a number: since when, and the route."""

    first_seen_at: datetime
    route: Sequence[SeenDestination]


@dataclass(frozen=True)
class RouteDifference:
    """A number that went elsewhere at another moment."""

    number: str
    before: PastRoute
    after: PastRoute

    @property
    def is_one(self) -> bool:
        """Whether its calls went elsewhere, or it was the account's at one of the moments only."""
        was_ours, is_ours = (one.source is not Source.NOT_OURS for one in (self.before, self.after))
        return self.before.destinations != self.after.destinations or was_ours is not is_ours


_CAME = frozenset({Happening.BOUGHT, Happening.BOUGHT_INACTIVE, Happening.APPEARED})
_WENT = frozenset({Happening.RELEASED, Happening.ALREADY_RELEASED, Happening.DISAPPEARED})
#: How a sweep writes that a number had no destination.
NO_DESTINATION = "(none)"


def past_route(number: str, entries: Sequence[HistoryEntry], now: RouteNow | None, at: datetime, *, dropped: bool = False) -> PastRoute:
    """Where the number's calls went at that moment. `entries`: its history, oldest first; `dropped`: it began earlier. `now` None: the
    inventory doesn't have it."""
    before, after = [entry for entry in entries if entry.at <= at], [entry for entry in entries if entry.at > at]
    owned = _owned(before, after)
    if owned is False or (owned is None and now is None):
        return PastRoute(number, Source.NOT_OURS if owned is False else Source.UNKNOWN, why="" if owned is False else NO_HISTORY)
    if not before and dropped:
        return PastRoute(number, Source.UNKNOWN, why="its history of that time is no longer kept")
    left = next((route for entry in reversed(before) if (route := _after(entry)) is not None), None)
    came = next((route for entry in after if (route := _before(entry)) is not None), None)
    changed = any(_sets_a_route(entry) for entry in after)
    if left is not None and came is not None and left != came:
        return PastRoute(number, Source.UNKNOWN, why="it was changed elsewhere, before or after that moment")
    if came is not None or (left is not None and (changed or now is None)):
        return PastRoute(number, Source.HISTORY, came if came is not None else left)
    if now is None or changed:
        return PastRoute(number, Source.UNKNOWN, why="the route that it had before isn't in its history")
    shown = tuple(map(str, now.route))
    if left is not None and left != shown:
        return PastRoute(number, Source.HISTORY, left, why="the inventory shows another route now")
    if left is None and now.first_seen_at > at:
        return PastRoute(number, Source.UNKNOWN, why="the inventory has it only since later")
    return PastRoute(number, Source.HISTORY if left is not None else Source.INVENTORY, shown)


def _owned(before: Sequence[HistoryEntry], after: Sequence[HistoryEntry]) -> bool | None:
    """Whether it was the account's; None: no entry says."""
    for entry in reversed(before):
        if entry.happened.what in _CAME | _WENT:
            return entry.happened.what in _CAME
    for entry in after:
        if entry.happened.what in _CAME | _WENT:
            return entry.happened.what in _WENT
    return None if not before and not after else True


def _sets_a_route(entry: HistoryEntry) -> bool:
    said = entry.happened
    return said.what == Happening.ROUTED or (said.what == Happening.CHANGED_ELSEWHERE and said.field == "route")


def _after(entry: HistoryEntry) -> tuple[str, ...] | None:
    said = entry.happened
    return said.route_after if said.what == Happening.ROUTED else _seen(said.now) if _sets_a_route(entry) else None


def _before(entry: HistoryEntry) -> tuple[str, ...] | None:
    said = entry.happened
    return said.route_before if said.what == Happening.ROUTED else _seen(said.was) if _sets_a_route(entry) else None


def _seen(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return () if text == NO_DESTINATION else tuple(text.split(", "))
