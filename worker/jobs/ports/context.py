"""The job context: what an attempt may read and write. `worker.attempt.job_context` implements it over the ledger.

Every write names the attempt's lease token: if a newer attempt exists, the write changes nothing and `LostLease` is raised. A write has
reached the disk when it returns.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from didflow.contract.attempt_write import Write
from didflow.contract.catalogue import Look
from didflow.contract.destinations import Route
from didflow.contract.errors import JobError
from didflow.contract.ids_form import IdsForm
from didflow.contract.number_holders import Holder, Loan
from didflow.contract.parked_numbers import Parked
from didflow.contract.provider import OwnedNumber
from didflow.contract.requests import Request, Selector
from didflow.contract.results import Quote
from didflow.contract.spending import LimitReached, Spend, SpendLimit
from didflow.contract.states import JobState


@dataclass(frozen=True)
class OtherJob:
    """What a failback reads of the reroute it undoes, a sweep of the one that it follows, a reroute of the dry run before it, and a
    follower of documents of its purchase.

    `ended_ms`: None until it is reported. `label`: all its numbers have it. `ours`: the numbers that a purchase's result lists as ours.
    """

    kind: str
    state: JobState
    account: str
    dry_run: bool
    error_code: str | None = None
    ended_ms: int | None = None
    label: str | None = None
    ours: frozenset[str] = frozenset()


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


class MirrorSelection(Protocol):
    """The numbers of the inventory that a selector means.

    age_s   since its last complete sweep began
    total   numbers of the account
    count   of those that are meant
    """

    @property
    def age_s(self) -> float: ...
    @property
    def total(self) -> int: ...
    @property
    def count(self) -> int: ...
    def numbers(self, together: int) -> Iterator[Mapping[int, Sequence[OwnedNumber]]]:
        """The numbers, so many at a time, by when each was read or confirmed (the ledger's clock, ms)."""
        ...


class MirroredNumbers(Protocol):
    """The account's numbers as the inventory shows them."""

    def select(self, selector: Selector) -> MirrorSelection | None:
        """What the selector means; None if it can't say: it was never complete, its last sweep wasn't, or the gate is closed."""
        ...


class Identity(Protocol):
    """Which job this is, and which of its attempts."""

    @property
    def job_id(self) -> str: ...
    @property
    def account(self) -> str: ...
    @property
    def reference(self) -> str:
        """The submitter's own word for it; empty if none was given."""
        ...

    @property
    def attempt(self) -> int: ...


class Record(Protocol):
    """What the job has written."""

    @property
    def checkpoint(self) -> str | None:
        """The job's own state, as the last `save` left it (JSON)."""
        ...

    def numbers(self, only: Sequence[str] | None = None) -> dict[str, str]:
        """What was saved for each number (JSON), by number; of all, or of these only. A batch's are its parent's."""
        ...

    def save(self, write: Write) -> None:
        """Write all of it or nothing, in one script; the calls since the last write go into the job's story with it.

        Raises LostLease, NumbersTaken, SpendLimitReached, WantedElsewhere (with these nothing was written), with `unless_cancelled`
        CancelRequested, with `money` Wait, as `MoneyGate.check` does.
        """
        ...


class Clock(Protocol):
    """The ledger's time."""

    def now_ms(self) -> int:
        """The ledger's clock, not the worker's."""
        ...


class Interrupts(Protocol):
    """What may stop an attempt at a safe point."""

    def check_interrupts(self) -> None:
        """Call where stopping is harmless. Raises `HandBack` on shutdown, `CancelRequested` if the job was cancelled, LostLease."""
        ...


class AttemptContext(Identity, Record, Clock, Interrupts, Protocol):
    """What every job uses."""


class OtherJobs(Protocol):
    """Jobs of the same account beside this one."""

    def get(self, job_id: str) -> OtherJob | None: ...
    def numbers_of(self, job_id: str, only: Sequence[str] | None = None) -> dict[str, str]:
        """What another job of the same account saved for each number, or for these only."""
        ...

    def follow_up(self, name: str, request: Request, *, after_s: float) -> None:
        """Submit another job, which begins after this time, as job ``{id}-{name}``: once, however often it is called. Raises LostLease."""
        ...


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


class MoneyGate(Protocol):
    """Whether money may move."""

    @property
    def epoch(self) -> int:
        """Changes when the ledger's server did: then the last of what was written before may be lost."""
        ...

    def check(self) -> None:
        """Call before money is meant to move. Raises Wait while it may not: the ledger may have forgotten what was bought last."""
        ...

    def limit_against(self, spend: Spend, limits: Sequence[SpendLimit]) -> LimitReached | None:
        """The limit that a hold would run into now; None if there is none. Holds nothing."""
        ...


class Reservations(Protocol):
    """Numbers in the stock that aren't free to be bought."""

    def reserved(self, numbers: Sequence[str]) -> frozenset[str]:
        """Those of these numbers that another job has, or that are left alone for a time: this job wouldn't get them now."""
        ...

    def strays(self) -> frozenset[str]:
        """The account's tainted numbers: one of them may come into the cart late, whichever job put it there."""
        ...


class SharedNotes(Protocol):
    """Short notes that the account's jobs leave for each other, so that not each of them asks the provider. Best effort."""

    def read(self, place: str) -> str | None:
        """What a job of this account noted last of this place in the stock, or of the balance, if that isn't long ago."""
        ...

    def write(self, place: str, text: str) -> None:
        """Leave a note for the account's other jobs. It may be lost. Raises LostLease."""
        ...


class NumberPool(Protocol):
    """Numbers of ours that may be assigned instead of bought."""

    def handed_out(self) -> Mapping[str, int]:
        """The numbers of the account that purchases were given, with the record id of each."""
        ...

    def offered(self) -> Mapping[str, tuple[int, str, str]]:
        """The numbers of the account that releases have parked and may lend: record id, the release's job, what that keeps (JSON)."""
        ...

    def hand_out(self, numbers: Sequence[tuple[str, int, str]], loans: Mapping[str, Loan]) -> frozenset[str]:
        """Numbers of ours for this purchase: number, record id, what to keep of it (JSON). Returns those that are its own now: another
        job may have them, or a release have begun with them. One of `loans` is taken out of its release in the same moment, or refused if
        that has it otherwise by now, runs, or is cancelled. Raises LostLease."""
        ...

    def take_back(self, numbers: Mapping[str, str], loans: Mapping[str, Loan]) -> None:
        """Give back what was assigned to this job; what to keep of each (JSON). Those of `loans` are their releases' again. Raises
        LostLease."""
        ...

    def borrowing(self, numbers: Mapping[str, str]) -> frozenset[str]:
        """Those of these numbers, lent to these jobs, that may yet come back."""
        ...


class Quotes(Protocol):
    """The signature of quotes."""

    def signed(self, quote: Quote) -> Quote:
        """The quote with the signature by which a submit knows it again."""
        ...


class ReleaseGuards(Protocol):
    """What keeps a release from giving back a number that must stay."""

    def quarantine(self, numbers: Sequence[str]) -> frozenset[str]:
        """Keep our own search off numbers that we are about to give back. Returns those that mustn't go: they were assigned since."""
        ...

    def holders(self, numbers: Sequence[str]) -> Mapping[str, Holder]:
        """Whom these numbers were bought for; those that were bought through us and are still ours."""
        ...

    def count(self, record_ids: Sequence[int], most: int) -> tuple[frozenset[int], float]:
        """Count them against the account's releases of this day (UTC): those that may go, and in how many seconds the next day begins.

        What was counted today isn't counted again. Raises LostLease.
        """
        ...


class LearnedForms(Protocol):
    """What the account's server was seen to take."""

    def ids_form(self) -> IdsForm | None:
        """The form of several ids in one call that the account's server was seen to take, if that isn't long ago."""
        ...

    def learn_ids_form(self, form: IdsForm) -> None:
        """Remember it, for all jobs of the account. Best effort: it may be lost. Raises LostLease."""
        ...


class Catalogue(Protocol):
    """What can be bought, for those who may not ask the provider."""

    def keep(self, look: Look, *, kept_s: float, most: int) -> None:
        """Keep a look for this long, and at most so many looks of the account; a newer one stays. Raises LostLease."""
        ...

    def emergency_under_way(self) -> bool:
        """Whether an emergency job of this account has called the provider a moment ago."""
        ...


class Chunks(Protocol):
    """The numbers of a large job, in chunks of a fixed order."""

    def numbers(self, index: int, job_id: str | None = None) -> tuple[str, ...] | None:
        """The numbers of that chunk of this job, or of another one of the account; None behind the last."""
        ...

    def outcomes(self) -> dict[str, int]:
        """How many numbers have which outcome, ``open`` for none yet; exact at any moment. Only where there are chunks."""
        ...


class Batches(Protocol):
    """The parts of a large job that other workers run."""

    def submit(self, batches: Mapping[str, str]) -> None:
        """Submit batches of this job, each with its request (JSON), by an index that is permanently theirs: one that is there already,
        ended or not, is left as it is. Raises CancelRequested, and none is begun; LostLease.

        A job that then raises Wait(DEPENDS) continues when the last one has ended.
        """
        ...

    def open_count(self) -> int:
        """How many batches haven't ended."""
        ...

    def error(self, index: str) -> JobError | None:
        """Why a batch ended without doing all of it."""
        ...


class Events(Protocol):
    """Events of numbers, on the events stream."""

    def emit(self, numbers: Sequence[tuple[str, str, str, str]]) -> None:
        """What is new of each number: the number, what to keep of it (JSON), and the type and data (JSON) of its event.

        All is written and emitted together; what is saved already is not emitted again. Raises LostLease.
        """
        ...


class RouteChangeContext(Record, Clock, Interrupts, Protocol):
    """What changing routes needs, in a job of its own or as a part of a release."""

    @property
    def attempt(self) -> int: ...
    @property
    def jobs(self) -> OtherJobs: ...
    @property
    def routes(self) -> RouteClaims: ...


class PurchaseContext(AttemptContext, Protocol):
    """What a purchase uses."""

    @property
    def jobs(self) -> OtherJobs: ...
    @property
    def money(self) -> MoneyGate: ...
    @property
    def notes(self) -> SharedNotes: ...
    @property
    def pool(self) -> NumberPool: ...
    @property
    def quotes(self) -> Quotes: ...
    @property
    def reservations(self) -> Reservations: ...
    @property
    def routes(self) -> RouteClaims: ...


class RerouteContext(AttemptContext, Protocol):
    """What a reroute, a failback and their batches use."""

    @property
    def batches(self) -> Batches: ...
    @property
    def chunks(self) -> Chunks: ...
    @property
    def jobs(self) -> OtherJobs: ...
    @property
    def mirror(self) -> MirroredNumbers: ...
    @property
    def parked(self) -> ParkedNumbers: ...
    @property
    def routes(self) -> RouteClaims: ...


class ReleaseContext(AttemptContext, Protocol):
    """What a release uses."""

    @property
    def events(self) -> Events: ...
    @property
    def forms(self) -> LearnedForms: ...
    @property
    def guards(self) -> ReleaseGuards: ...
    @property
    def jobs(self) -> OtherJobs: ...
    @property
    def parked(self) -> ParkedNumbers: ...
    @property
    def pool(self) -> NumberPool: ...
    @property
    def routes(self) -> RouteClaims: ...


class DocumentsContext(AttemptContext, Protocol):
    """What following documents uses."""

    @property
    def events(self) -> Events: ...
    @property
    def jobs(self) -> OtherJobs: ...


class CatalogueContext(AttemptContext, Protocol):
    """What a look for the catalogue uses."""

    @property
    def catalogue(self) -> Catalogue: ...


class JobContext(PurchaseContext, RerouteContext, ReleaseContext, DocumentsContext, CatalogueContext, Protocol):
    """What any job may use: for what runs jobs of all kinds."""
