"""Numbers that a selector means by the route that they had before a release parked them.

A failover from a trunk has to know of them: cancelled, the release would bring them back to the dead trunk. They aren't moved, because the
release has them; it is asked to give them the new route if they stay.
"""

from collections.abc import Mapping, Sequence

from didflow.contract.destinations import Transport
from didflow.contract.errors import JobError
from didflow.contract.parked_numbers import PARKED, Parked
from didflow.contract.provider import OwnedNumber
from didflow.contract.requests import Reroute, Selector
from didflow.contract.states import Outcome, WaitReason
from worker.jobs.owned_numbers import find_surely
from worker.jobs.ports.context import RerouteContext
from worker.jobs.ports.endings import Wait
from worker.jobs.ports.provider import ReroutePorts
from worker.jobs.reroute.route_change import RouteChange
from worker.jobs.selection import fits, goes_to

#: How soon it is looked again at a number of which a release has let go just now.
LET_GO_AGAIN_S = 1.0


class ParkedSelection:
    """What releases have parked of a request's numbers. Made before the owned list is read, so that none of them slips through."""

    def __init__(self, request: Reroute, context: RerouteContext, provider: ReroutePorts) -> None:
        self._request, self._context, self._provider = request, context, provider
        self._before = self._meant()
        self._to_ask: list[RouteChange] = []

    def candidates(self) -> list[str]:
        """The numbers that may be meant."""
        return sorted(self._before)

    def let_go(self, selected: Mapping[str, object]) -> list[RouteChange]:
        """The moves of those that the list didn't show as meant, and that no release has any more."""
        meant = {number: parked for number, parked in self._before.items() if number not in selected}
        if self._request.selector is None or not meant:
            return []
        owned = find_surely(self._provider, sorted(meant))
        selector = self._request.selector
        as_they_were = {n: one.model_copy(update={"route": meant[n].way_back}) for n, one in owned.items()}
        found = {n: one for n, one in as_they_were.items() if fits(one, selector)}
        if (conditions := selector.conditions) is not None:
            found = {one.number: one for one in self._context.mirror.fitting(list(found.values()), conditions)}
        self._to_ask = [self._asked(one) for n, one in found.items() if meant[n].is_at(owned[n].route)]
        return [RouteChange.of(owned[n], self._request.destinations) for n in found if fits(owned[n], selector)]

    def asked(self) -> list[RouteChange]:
        """The others, which releases were asked for just now. Raises Wait if a release is letting go of one."""
        return [move for move in ask_releases(self._to_ask, self._context) if move.outcome is Outcome.SUPERSEDED]

    def _meant(self) -> dict[str, Parked]:
        selector = self._request.selector
        if self._request.dry_run or self._request.back_to is not None:
            return {}
        if selector is None or (selector.trunk_id is None and selector.destination is None):
            return {}
        return {
            number: parked for number, parked in self._context.parked.of_account().items() if parked.live and _is_meant(parked, selector)
        }

    def _asked(self, as_it_was: OwnedNumber) -> RouteChange:
        return RouteChange.of(as_it_was, self._request.destinations).became(Outcome.SUPERSEDED, PARKED)


def _is_meant(parked: Parked, selector: Selector) -> bool:
    """By its route alone."""
    route = parked.way_back
    if route is None:
        return False
    on_trunk = any(one.transport == Transport.SIP_TRUNK and one.trunk_id == selector.trunk_id for one in route)
    return (selector.trunk_id is None or on_trunk) and (selector.destination is None or goes_to(route, selector.destination))


def ask_releases(planned: Sequence[RouteChange], context: RerouteContext) -> list[RouteChange]:
    """Ask releases to give the numbers that they have these routes, if they stay. Raises Wait if one has let go of its number just now, so
    that it is checked again where that goes."""
    asked = {move.number: move.target for move in planned if move.error == PARKED}
    if not asked:
        return list(planned)
    left = asked.keys() - context.parked.want(asked)
    if left - context.parked.of(sorted(left)).keys():
        raise Wait(WaitReason.SETTLING, LET_GO_AGAIN_S, "a release has just let go of numbers")
    newer = JobError(code="changed_elsewhere", message="a newer job has requested another route; left to that job")
    return [move.became(Outcome.CHANGED_ELSEWHERE, newer) if move.number in left else move for move in planned]
