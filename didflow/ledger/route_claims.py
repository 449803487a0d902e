"""Which job is the newest to route a number, and routes that are wanted of releases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from didflow.contract.destinations import Route
from didflow.contract.job_kinds import names_that_buy, names_that_give_back
from didflow.ledger.client import LedgerClient
from didflow.ledger.ledger import Claim
from didflow.ledger.parked_numbers import route_text
from didflow.ledger.script_calls import Call
from didflow.ledger.serialization import in_script_parts

#: Later than any moment.
NEVER_MS = 2**53


@dataclass(frozen=True)
class RoutesClaimed:
    """`newer`: numbers with a newer job. `since_ms`: since when older calls may still act on others; `moved_by`: which job was answered for
    those of them on which none may. `parked`: those of `newer` that a release has, which knows now what they are to have if they stay."""

    newer: frozenset[str] = frozenset()
    since_ms: Mapping[str, int] = field(default_factory=dict)
    moved_by: Mapping[str, str] = field(default_factory=dict)
    parked: frozenset[str] = frozenset()


def claim_routes(
    ledger: LedgerClient,
    claim: Claim,
    numbers: Sequence[str],
    *,
    calling: bool = True,
    seen_ms: int | None = None,
    wanted: Route | None = None,
    parking: bool = False,
) -> RoutesClaimed | None:
    """Note this job as the newest to route the numbers, where it is. None if the lease is lost.

    `wanted`: what those that a release has are to have if they stay. `parking`: this job is a release, which takes them to park them.
    """
    mode = "park" if parking else str(int(calling))
    asked = (mode, NEVER_MS if seen_ms is None else seen_ms, "" if wanted is None else route_text(wanted))
    kinds = (names_that_buy(), names_that_give_back())
    every = RoutesClaimed()
    for some in in_script_parts(numbers):
        reply = ledger.run(Call("routes", (claim.job_id, claim.token, *asked, *kinds, *some), tuple))
        if reply[0] == "lost":
            return None
        _, newer, disturbed, lately, noted = reply
        since_ms = zip(map(str, disturbed[::2]), map(int, disturbed[1::2]), strict=True)
        by = zip(map(str, lately[::2]), map(str, lately[1::2]), strict=True)
        every = RoutesClaimed(
            every.newer.union(map(str, newer)),
            {**every.since_ms, **dict(since_ms)},
            {**every.moved_by, **dict(by)},
            every.parked.union(map(str, noted)),
        )
    return every


def want_routes(ledger: LedgerClient, claim: Claim, routes: Mapping[str, Route]) -> frozenset[str] | None:
    """Ask for routes of numbers that releases have. Those that have been noted; None if the lease is lost."""
    found: set[str] = set()
    for some in in_script_parts(list(routes)):
        pairs = (text for number in some for text in (number, route_text(routes[number])))
        verdict, *noted = ledger.run(Call("want", (claim.job_id, claim.token, *pairs), tuple))
        if verdict == "lost":
            return None
        found |= set(map(str, noted))
    return frozenset(found)
