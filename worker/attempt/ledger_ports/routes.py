"""Who routes which number: claims, and the numbers that releases have parked."""

import time
from collections.abc import Mapping, Sequence

from didflow.contract.destinations import Route
from didflow.contract.parked_numbers import Parked
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.parked_numbers import all_parked, parked
from didflow.ledger.route_claims import RoutesClaimed, claim_routes, want_routes
from worker.attempt.heartbeat import LeaseFlags
from worker.jobs.ports.endings import LostLease
from worker.jobs.ports.routes import RouteClaim

#: A route change is sent within this time after its claim, or not at all, so that the next job knows how long it may still take
#: effect. Longer than a call waits for its turn; at most half a lease.
ROUTES_SENT_WITHIN_S = 6.0


class LedgerRoutes:
    """`RouteClaims`. A claim sets the time until which this attempt may send the call."""

    def __init__(self, ledger: Ledger, claim: Claim, flags: LeaseFlags, lease_s: float) -> None:
        self._ledger, self._claim, self._flags = ledger, claim, flags
        self._sent_within_s = min(ROUTES_SENT_WITHIN_S, lease_s / 2)

    def claim(self, numbers: Sequence[str], *, calling: bool = True, seen_ms: int | None = None, wanted: Route | None = None) -> RouteClaim:
        if calling:
            self._flags.send_until_s = time.monotonic() + self._sent_within_s
        return self.claimed(claim_routes(self._ledger, self._claim, numbers, calling=calling, seen_ms=seen_ms, wanted=wanted))

    def claimed(self, claimed: RoutesClaimed | None) -> RouteClaim:
        """With the times until which older calls may act."""
        if claimed is None:
            raise LostLease
        late_ms = int(self._sent_within_s * 1000)
        until_ms = {number: since_ms + late_ms for number, since_ms in claimed.since_ms.items()}
        answered_ms = {number: claimed.since_ms[number] for number in claimed.moved_by if number in claimed.since_ms}
        return RouteClaim(claimed.newer, until_ms, claimed.moved_by, claimed.parked, answered_ms=answered_ms)


class LedgerParked:
    """`ParkedNumbers`."""

    def __init__(self, ledger: Ledger, claim: Claim, routes: LedgerRoutes) -> None:
        self._ledger, self._claim, self._routes = ledger, claim, routes

    def take(self, numbers: Sequence[str], *, seen_ms: int) -> RouteClaim:
        return self._routes.claimed(claim_routes(self._ledger, self._claim, numbers, calling=False, seen_ms=seen_ms, parking=True))

    def of(self, numbers: Sequence[str]) -> Mapping[str, Parked]:
        return self._ledger.perform(parked(self._ledger.keys, self._claim.account, numbers))

    def of_account(self) -> Mapping[str, Parked]:
        return self._ledger.perform(all_parked(self._ledger.keys, self._claim.account))

    def want(self, routes: Mapping[str, Route]) -> frozenset[str]:
        if (noted := want_routes(self._ledger, self._claim, routes)) is None:
            raise LostLease
        return noted
