"""Compares the jobs' records with the provider's data: pure decisions, for the gate and for `didflow reconcile`."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from didflow.contract.destinations import Route, same_route
from didflow.contract.job_kinds import buys
from didflow.contract.parked_numbers import Parked
from didflow.contract.provider import OwnedNumber
from didflow.contract.states import JobState

#: How far the provider's clock, which says when a number was added, may be from Redis's.
CLOCKS_APART_MS = 600_000


@dataclass(frozen=True)
class JobBook:
    """What one job wrote of its numbers.

    bought      purchase: record id by number that is ours for certain; None where a person found it out
    open        purchase: numbers in the cart or bought, which isn't known yet
    burned      purchase: numbers that it gave up
    released    release: record ids that went, or may go yet
    costs       purchase: what each number that it bought cost, activation and first month
    ended_ms    None until it has ended
    routes      reroute, failback, purchase: the route it gave a number; None: it can't vouch for that one
    """

    job_id: str
    kind: str
    state: JobState
    created_ms: int
    order: int
    bought: Mapping[str, int | None] = field(default_factory=dict)
    open: frozenset[str] = frozenset()
    burned: frozenset[str] = frozenset()
    released: frozenset[int] = frozenset()
    routes: Mapping[str, Route | None] = field(default_factory=dict)
    charged_usd: Decimal = Decimal(0)
    costs: Mapping[str, Decimal] = field(default_factory=dict)
    ended_ms: int | None = None


@dataclass(frozen=True)
class Reservation:
    """A number that is kept for a job: until a moment (ms), or as long as the job lives (0)."""

    number: str
    holder: str
    until_ms: int


@dataclass(frozen=True)
class Books:
    """One account in the ledger. `newest` is the order of the newest job that routes a number; `accepted` see `Gate.accept`; `parked`:
    what releases have, or have left parked."""

    jobs: tuple[JobBook, ...]
    reservations: tuple[Reservation, ...] = ()
    newest: Mapping[str, int] = field(default_factory=dict)
    accepted: frozenset[str] = frozenset()
    parked: Mapping[str, Parked] = field(default_factory=dict)

    @property
    def first_ms(self) -> int | None:
        """When the oldest job that is kept was submitted."""
        return min((job.created_ms for job in self.jobs), default=None)


@dataclass(frozen=True)
class Gone:
    """A number that a job bought, that no release of ours gave back, and that isn't owned."""

    number: str
    job_id: str


@dataclass(frozen=True)
class Drift:
    """A number whose route isn't the one that the newest job gave it."""

    number: str
    record_id: int
    job_id: str
    wanted: Route
    seen: Route


def unclaimed(books: Books, owned: Iterable[OwnedNumber]) -> tuple[OwnedNumber, ...]:
    """Owned numbers that no job bought or has open, and that no person accepted. A number bought again is another record."""
    known = {(number, record_id) for job in books.jobs for number, record_id in job.bought.items()}
    opened = {number for job in books.jobs for number in job.open}
    return tuple(
        one
        for one in owned
        if one.number not in opened
        and not {(one.number, one.record_id), (one.number, None)} & known
        and str(one.record_id) not in books.accepted
    )


def added_since(numbers: Iterable[OwnedNumber], since_ms: int) -> tuple[OwnedNumber, ...]:
    """Those that may have been added after that moment. One without a time may; one with a date only was added on that day."""
    return tuple(one for one in numbers if (latest := _latest_ms(one)) is None or latest >= since_ms - CLOCKS_APART_MS)


def _latest_ms(one: OwnedNumber) -> int | None:
    if one.added is None:
        return None
    only_a_date = one.added.time().replace(tzinfo=None).isoformat() == "00:00:00"
    return int((one.added + timedelta(days=1 if only_a_date else 0)).timestamp() * 1000)


def strangers(books: Books, in_cart: Iterable[str], now_ms: int) -> tuple[str, ...]:
    """Numbers in the cart that the ledger keeps for no job and that no person accepted."""
    kept = {one.number for one in books.reservations if one.until_ms == 0 or one.until_ms > now_ms}
    return tuple(sorted(number for number in in_cart if number not in kept and number not in books.accepted))


def candidates(books: Books, numbers: Collection[str]) -> tuple[str, ...]:
    """Purchases that may have bought such numbers: those that gave one of them up, and those that haven't ended. Oldest first."""
    may = [
        job
        for job in sorted(books.jobs, key=lambda job: job.order)
        if buys(job.kind) and (job.burned & set(numbers) or not job.state.is_terminal)
    ]
    return tuple(job.job_id for job in may)


def gone(books: Books, owned: Iterable[OwnedNumber]) -> tuple[Gone, ...]:
    """What jobs bought and the account doesn't have, though no job gave it back."""
    here = {one.number: one.record_id for one in owned}
    released = {record_id for job in books.jobs for record_id in job.released}
    return tuple(
        Gone(number, job.job_id)
        for job in books.jobs
        for number, record_id in sorted(job.bought.items())
        if record_id not in released and (number not in here if record_id is None else here.get(number) != record_id)
    )


def drifted(books: Books, owned: Iterable[OwnedNumber]) -> tuple[Drift, ...]:
    """Routes that aren't those of the newest request. Nothing is said of a number whose newest request hasn't ended, or didn't succeed."""
    last: dict[str, JobBook] = {}
    for job in sorted(books.jobs, key=lambda job: job.order):
        last |= dict.fromkeys(job.routes, job)
    found = []
    for one in owned:
        newest = last.get(one.number)
        if newest is None or not newest.state.is_terminal or books.newest.get(one.number, 0) > newest.order:
            continue
        wanted = newest.routes[one.number]
        if wanted is not None and not same_route(one.route, wanted):
            found.append(Drift(one.number, one.record_id, newest.job_id, wanted, one.route))
    return tuple(found)


@dataclass(frozen=True)
class LeftParked:
    """A number that an ended release has left at its parking destination. `wanted`: its intended route; None: unknown."""

    number: str
    record_id: int
    job_id: str
    wanted: Route | None
    seen: Route


def left_parked(books: Books, owned: Iterable[OwnedNumber]) -> tuple[LeftParked, ...]:
    """Those that no running release knows."""
    found = ((one, parked) for one in owned if (parked := books.parked.get(one.number)) is not None)
    return tuple(
        LeftParked(one.number, one.record_id, parked.release, parked.way_back, one.route)
        for one, parked in found
        if not parked.live and parked.is_at(one.route)
    )


def dead_reservations(books: Books) -> tuple[Reservation, ...]:
    """Reservations for as long as a job lives, of jobs that don't."""
    living = {job.job_id for job in books.jobs if not job.state.is_terminal}
    return tuple(one for one in books.reservations if one.until_ms == 0 and one.holder not in living)
