"""The findings of `didflow reconcile` for one account, each with what to do. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from didflow.contract.destinations import Route
from didflow.contract.provider import OwnedNumber
from worker.reconcile.diff import (
    Books,
    Drift,
    LeftParked,
    Reservation,
    added_since,
    candidates,
    dead_reservations,
    drifted,
    gone,
    left_parked,
    strangers,
    unclaimed,
)

FindingKind = Literal["orphan", "gone", "drifted", "left_parked", "reserved_for_nobody", "in_cart"]


@dataclass(frozen=True)
class Finding:
    """`jobs`: those that it concerns; for an orphan those that may have bought it."""

    kind: FindingKind
    number: str
    jobs: tuple[str, ...]
    seen: str
    what_to_do: str
    record_id: int | None = None


@dataclass(frozen=True)
class Report:
    """`older`: owned numbers that are older than the ledger, so no job of it can have bought them. Money in USD."""

    account: str
    gate: Literal["open", "closed"]
    owned: int
    claimed: int
    older: int
    jobs: int
    charged_usd: Decimal
    monthly_usd: Decimal
    balance_usd: Decimal | None
    findings: tuple[Finding, ...]
    drifts: tuple[Drift, ...] = field(default=(), repr=False)
    reservations: tuple[Reservation, ...] = field(default=(), repr=False)

    @property
    def counts(self) -> dict[str, int]:
        """Findings by kind."""
        return dict(Counter(finding.kind for finding in self.findings))


def compare(
    account: str,
    books: Books,
    owned: Collection[OwnedNumber],
    in_cart: Iterable[str],
    *,
    balance_usd: Decimal | None,
    gate_closed: bool,
    now_ms: int,
    kept_ms: int,
) -> Report:
    """Everything that doesn't agree. `kept_ms`: for how long ended jobs are kept; one that is deleted can't claim its numbers."""
    nobodys = unclaimed(books, owned)
    orphans = added_since(nobodys, max(books.first_ms, now_ms - kept_ms)) if books.first_ms is not None else ()
    left, dead = left_parked(books, owned), dead_reservations(books)
    drifts = tuple(one for one in drifted(books, owned) if one.number not in {parked.number for parked in left})
    # While the gate is open, an unknown number in the cart isn't ours: no forgotten attempt exists.
    unknown = strangers(books, in_cart, now_ms) if gate_closed else ()
    findings = (
        *(_orphan(books, one) for one in orphans),
        *(Finding("in_cart", number, candidates(books, (number,)), "in the cart, put there by no job", IN_CART) for number in unknown),
        *(
            Finding("gone", one.number, (one.job_id,), "bought by the job, not owned, given back by no job", GONE)
            for one in gone(books, owned)
        ),
        *(Finding("drifted", one.number, (one.job_id,), f"{shown(one.seen)}, not {shown(one.wanted)}", DRIFTED) for one in drifts),
        *(Finding("left_parked", one.number, (one.job_id,), _left(one), LEFT_PARKED if one.wanted else LEFT_UNKNOWN) for one in left),
        *(Finding("reserved_for_nobody", one.number, (one.holder,), "reserved for a job that has ended or is gone", DEAD) for one in dead),
    )
    return Report(
        account=account,
        gate="closed" if gate_closed else "open",
        owned=len(owned),
        claimed=len(owned) - len(nobodys),
        older=len(nobodys) - len(orphans),
        jobs=len(books.jobs),
        charged_usd=sum((job.charged_usd for job in books.jobs), Decimal(0)),
        monthly_usd=sum((one.monthly_usd for one in owned), Decimal(0)),
        balance_usd=balance_usd,
        findings=findings,
        drifts=(*drifts, *(Drift(one.number, one.record_id, one.job_id, one.wanted, one.seen) for one in left if one.wanted)),
        reservations=dead,
    )


ORPHAN = "find out who bought it: --accept it if another person did, --give it to the waiting job that bought it, or release it"
IN_CART = "if none of your people put it there, take it out in the portal; otherwise --accept it"
GONE = "ask the provider, or who released it elsewhere; nothing needs fixing here"
DRIFTED = "--repair sends it to where the newest request wants it; leave it if the change was meant"
LEFT_PARKED = "--repair sends it there; leave it if the parking destination was meant"
LEFT_UNKNOWN = "reroute it to where it belongs"
DEAD = "--repair drops the reservation"


def _orphan(books: Books, one: OwnedNumber) -> Finding:
    when = f"{one.added:%Y-%m-%d %H:%M} UTC" if one.added else "at an unknown time"
    return Finding("orphan", one.number, candidates(books, (one.number,)), f"owned since {when}, bought by no job", ORPHAN, one.record_id)


def _left(one: LeftParked) -> str:
    wanted = f", not to {shown(one.wanted)}" if one.wanted else ""
    return f"goes to {shown(one.seen)}, where a release that has ended parked it{wanted}"


def shown(route: Route) -> str:
    """A route in a few words."""
    return ", ".join(str(destination) for destination in route) or "nowhere"
