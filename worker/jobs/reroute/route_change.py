"""One number on its way to its route, and how far a job that moves numbers is: what the ledger keeps of a reroute or failback."""

from collections.abc import Collection

from pydantic import AwareDatetime, BaseModel, ConfigDict

from didflow.contract.destinations import Route, same_route
from didflow.contract.errors import JobError
from didflow.contract.parked_numbers import PARKED, Parked
from didflow.contract.provider import OwnedNumber
from didflow.contract.results import NumberResult
from didflow.contract.states import Outcome

GOOD = frozenset({Outcome.CONFIRMED, Outcome.UNCHANGED, Outcome.SUPERSEDED})
#: Stands for the record of a number that isn't ours.
NO_RECORD = 0
#: Follows the number of a record of ours that can't be read, in the place of one that isn't ours.
UNREADABLE_MARK = " (unreadable)"
UNREADABLE_RECORD = JobError(
    code="unreadable_record", message="the provider's record of it can't be read, so it was not changed: check it in the account"
)
UNCONFIRMED_RECORD = JobError(
    code="unreadable_record",
    message="accepted, but the provider's record of it can't be read, so it isn't confirmed: check it in the account",
)
NOT_OURS = JobError(code="not_found", message="this account has no such number: check the number and the account")


def is_open(text: str) -> bool:
    """Whether a stored move has no outcome yet, without reading all of it: inside a JSON text no other can look like that."""
    return '"outcome":null' in text


def takes_no_calls(text: str) -> bool:
    """Whether the number of a stored move takes no calls, in the same way."""
    return '"takes_calls":false' in text


class RouteChange(BaseModel):
    """One number on its way. `outcome` None: still to be sent. `before` is the snapshot that a failback gives back.

    taken_ms        which snapshot it belongs to. One that was left unfinished may hold numbers that are not meant any more
    refusal         what the answer to its own call refused: no proof, so it is read back before it is reported
    unparked        the route that it had before a release parked it, if it was parked in the snapshot: that is what a failback gives back
    takes_calls     as `NumberResult.takes_calls`, when the snapshot was read
    check_after_ms  another job's call for this number may act until then: what is read before proves nothing. 0: there is none
    """

    model_config = ConfigDict(frozen=True)

    number: str
    record_id: int
    before: Route
    target: Route
    sms_relay_url: str | None = None
    outcome: Outcome | None = None
    error: JobError | None = None
    refusal: JobError | None = None
    taken_ms: int = 0
    unparked: Route | None = None
    takes_calls: bool | None = None
    check_after_ms: int = 0

    @classmethod
    def of(cls, owned: OwnedNumber, target: Route, parked: Parked | None = None) -> "RouteChange":
        """`parked`: what a release that has it knows of it."""
        return cls(
            number=owned.number,
            record_id=owned.record_id,
            before=owned.route,
            target=target,
            sms_relay_url=owned.sms_relay_url,
            outcome=Outcome.UNCHANGED if same_route(owned.route, target) else None,
            unparked=parked.way_back if parked and parked.is_at(owned.route) else None,
            takes_calls=owned.takes_calls,
        )

    @classmethod
    def to_send(cls, owned: OwnedNumber, target: Route, parked: Parked | None, taken_ms: int) -> "RouteChange":
        """The same of a number whose present route isn't known for sure, so that it is sent also if it seems to go there already.

        Of very many: what was checked before, as all of these parts were, isn't checked again.
        """
        changed = {
            "number": owned.number,
            "record_id": owned.record_id,
            "before": owned.route,
            "target": target,
            "sms_relay_url": owned.sms_relay_url,
            "taken_ms": taken_ms,
            "unparked": parked.way_back if parked and parked.is_at(owned.route) else None,
            "takes_calls": owned.takes_calls,
        }
        return _ANY.model_copy(update=changed)

    @classmethod
    def of_nobody(cls, name: str) -> "RouteChange":
        """A number that the request names and the account doesn't have, or one whose record can't be read."""
        error = UNREADABLE_RECORD if name.endswith(UNREADABLE_MARK) else NOT_OURS
        return cls(number=name, record_id=NO_RECORD, before=(), target=(), outcome=Outcome.NOT_FOUND, error=error)

    def has_lost_callback(self, owned: OwnedNumber) -> bool:
        """Whether the number had an SMS callback, which was sent along with the route, and shows none now. One that shows another has it
        from somebody else."""
        return self.sms_relay_url is not None and owned.sms_relay_url is None

    def accepted(self, disturbed_ms: int | None, settle_s: float) -> "RouteChange":
        """Said yes to; `disturbed_ms`: until when another job's call for this number may have been sent."""
        check_after_ms = 0 if disturbed_ms is None else disturbed_ms + int(settle_s * 1000)
        return self.model_copy(update={"outcome": Outcome.ACCEPTED, "error": None, "refusal": None, "check_after_ms": check_after_ms})

    def refused(self, refusal: JobError) -> "RouteChange":
        """Said no to, alone. To be read back as what was accepted is: a proxy may have passed the call on before."""
        return self.model_copy(update={"outcome": Outcome.ACCEPTED, "error": None, "refusal": refusal, "check_after_ms": 0})

    def unreadable(self) -> "RouteChange":
        """The settle time is over, and its record can't be read. One that was refused alone is unclear: a refusal is no proof."""
        if self.refusal is not None:
            return self.became(Outcome.UNCLEAR, self.refusal)
        return self.became(Outcome.ACCEPTED, UNCONFIRMED_RECORD)

    def became(self, outcome: Outcome | None, error: JobError | None = None) -> "RouteChange":
        return self.model_copy(update={"outcome": outcome, "error": error})

    def superseded(self, parked: Collection[str]) -> "RouteChange":
        """A newer job has it; `parked`: the numbers that a release counts down, which give it this route if they stay."""
        return self.became(Outcome.SUPERSEDED, PARKED if self.number in parked else None)

    def result(self) -> NumberResult:
        if self.record_id == NO_RECORD:
            return NumberResult(number=self.number, outcome=self.outcome, error=self.error)
        return NumberResult(
            number=self.number,
            record_id=self.record_id,
            outcome=self.outcome or Outcome.FAILED,
            route_before=self.before,
            route_after=self.target,
            error=self.error,
            takes_calls=self.takes_calls,
        )


#: Of which those are copies that aren't checked again.
_ANY = RouteChange(number="", record_id=NO_RECORD, before=(), target=())


class RerouteCheckpoint(BaseModel):
    """How far the job is. Times are the ledger's, ms.

    selected     the snapshot is complete
    taken_ms     when the snapshot's reading began, which its moves bear
    accepted_ms  when the provider last accepted something
    claimed      the numbers that are already as asked were claimed against older jobs
    canary       the numbers that go first; kept, so that an attempt that continues asks for the same ones

    Of a job of many numbers also:

    paged        its moves lie in pages, and batches send them
    inactive     how many of its numbers take no calls, when the snapshot was read
    search, label   how the owned list is best read for these numbers
    cleared      the canary is confirmed
    round        how often batches were submitted for what had no outcome yet; `fanned_out`: all of this round's were,
                 `read_back`: and have ended
    doubtful     it was parked with unclear numbers, which are to be sent again
    prepared     its snapshot is what a dry run read; batches are sent while it is written
    mirror_age_s its snapshot is what the inventory shows, which was this old; batches are sent while it is written. None: it was listed
    mirrored     how many pages, the first ones, are from the inventory
    swept        the whole list was read since, and what the inventory lacked is on pages, too
    """

    model_config = ConfigDict(frozen=True)

    selected: bool = False
    taken_ms: int = 0
    accepted_ms: int = 0
    claimed: bool = False
    not_found: tuple[str, ...] = ()
    canary: tuple[str, ...] = ()
    paged: bool = False
    inactive: int = 0
    search: str | None = None
    label: str | None = None
    cleared: bool = False
    round: int = 0
    fanned_out: bool = False
    read_back: bool = False
    doubtful: bool = False
    prepared: bool = False
    mirror_age_s: float | None = None
    mirrored: int = 0
    swept: bool = False


class RouteChangeBatch(BaseModel):
    """What a batch is to do: send the changes in that chunk of its parent that have no outcome yet."""

    model_config = ConfigDict(frozen=True)

    page: int
    taken_ms: int
    deadline: AwareDatetime | None = None
