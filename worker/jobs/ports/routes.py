"""Whose route of a number counts, and which numbers a release has parked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from didflow.contract.destinations import Route
from didflow.contract.parked_numbers import Parked


@dataclass(frozen=True)
class RouteClaim:
    """`newer`: numbers that a newer job routes, which this one leaves alone (superseded).

    `disturbed_ms`: numbers for which an older job's call was out without an answer, and until when, on the ledger's clock, it may have
    been sent: it may still act. Or was answered after the routes were read; where that is all, `moved_by` says which job's.

    `answered_ms`: when the last call for those of `moved_by` was answered.

    `parked`: those of `newer` that a release counts down; it knows which route they are to have if they stay.
    """

    newer: frozenset[str]
    disturbed_ms: Mapping[str, int]
    moved_by: Mapping[str, str] = field(default_factory=dict)
    answered_ms: Mapping[str, int] = field(default_factory=dict, kw_only=True)
    parked: frozenset[str] = frozenset()


class RouteClaims(Protocol):
    """Which job is the newest to route a number."""

    def claim(
        self, numbers: Sequence[str], *, calling: bool = True, seen_ms: int | None = None, wanted: Route | None = None
    ) -> "RouteClaim":
        """Note that this job is the newest to route these numbers, where it is.

        `calling`: a call that routes them follows; until a save names them as `answered` it may act at any time. `seen_ms`: the
        caller goes by routes that it began to read then, so that what was answered to others since disturbs it too. `wanted`: the
        route that those are to have which a release counts down, if they stay.
        """
        ...


class ParkedNumbers(Protocol):
    """Numbers that releases have parked and count down."""

    def take(self, numbers: Sequence[str], *, seen_ms: int) -> "RouteClaim":
        """Claim the routes of these numbers for a release, before it reads them: from here on no older job routes them.

        What such a job would have sent is noted as what they are to have if they stay. `disturbed_ms`: until when what was sent may yet
        show. Raises LostLease.
        """
        ...

    def of(self, numbers: Sequence[str]) -> Mapping[str, Parked]:
        """Those of these numbers that a release has, and what it knows of them."""
        ...

    def of_account(self) -> Mapping[str, Parked]:
        """Those of the whole account."""
        ...

    def want(self, routes: Mapping[str, Route]) -> frozenset[str]:
        """Ask for routes of numbers that releases have: each gets its own if it stays. Returns those that are noted; the others aren't
        parked any more, or a newer job has asked. Raises LostLease."""
        ...
