"""One attempt's page in the ledger: `worker.jobs.ports.JobContext` over the ledger's scripts, the lease token in every write."""

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import assert_never

from didflow.contract.attempt_write import Write
from didflow.contract.destinations import Route
from didflow.contract.errors import JobError, JobNotFound, ServiceUnavailable
from didflow.contract.ids_form import IdsForm
from didflow.contract.job_kinds import MOVE_BATCH
from didflow.contract.jobs import AskedCall
from didflow.contract.number_holders import Holder, Loan
from didflow.contract.parked_numbers import Parked
from didflow.contract.quotes import signature
from didflow.contract.requests import Request, Reroute
from didflow.contract.results import Quote
from didflow.contract.spending import LimitReached, Spend, SpendLimit
from didflow.contract.states import OURS, JobState, Lane, WaitReason
from didflow.ledger import script_calls
from didflow.ledger.ledger import Claim, Ledger, RoutesClaimed
from didflow.ledger.number_holders import holders
from didflow.ledger.number_pool import borrowing, handed_out, offered
from didflow.ledger.observed_behaviour import IDS_FORM, Learned, ids_form_of, learned
from didflow.ledger.parked_numbers import all_parked, parked
from didflow.ledger.replies import (
    Applied,
    BatchesSubmitted,
    GateClosed,
    JobCancelled,
    LeaseLost,
    NumbersReserved,
    RoutesWanted,
    Saved,
)
from didflow.ledger.reservations import reserved
from didflow.ledger.serialization import in_parts
from worker.attempt.heartbeat import LeaseFlags
from worker.jobs.history_entries import left_unclear
from worker.jobs.ports import (
    CancelRequested,
    Ended,
    HandBack,
    LostLease,
    NumbersTaken,
    OtherJob,
    RouteClaim,
    SpendLimitReached,
    Wait,
    WantedElsewhere,
)

#: A job that has settled waits in the ledger for the gate; this is only until it is claimed again and held there.
GATE_AGAIN_S = 1.0


#: How soon a new process looks again whether others have written since it came.
SEEN_AGAIN_S = 0.05
#: A change of routes is sent within this after it was claimed, or not at all: whoever comes next knows how long it has to be minded.
#: Longer than a call waits for its turn; at most half a lease.
ROUTES_SENT_WITHIN_S = 6.0


class LedgerJobContext:
    """What the job writes goes straight to the ledger; a stale token raises LostLease."""

    def __init__(
        self,
        ledger: Ledger,
        claim: Claim,
        flags: LeaseFlags,
        stopping: threading.Event,
        *,
        lease_s: float,
        learned_here: dict[str, Learned] | None = None,
    ) -> None:
        """`learned_here`: what this process knows of each account's server; shared by its attempts."""
        self._learned = learned_here if learned_here is not None else {}
        self._ledger, self.claim, self._flags, self._stopping = ledger, claim, flags, stopping
        self._writes = 0
        self._sent_within_s = min(ROUTES_SENT_WITHIN_S, lease_s / 2)
        self._checkpoint = claim.fields.get("memo") or None
        self._calls: list[AskedCall] = []

    @property
    def job_id(self) -> str:
        return self.claim.job_id

    @property
    def account(self) -> str:
        return self.claim.fields.get("account", "")

    @property
    def reference(self) -> str:
        return self.claim.fields.get("reference", "")

    @property
    def lane(self) -> Lane:
        """The queue that it came through; one that can't be read is no emergency."""
        return next((lane for lane in Lane if lane == self.claim.fields.get("lane")), Lane.BULK)

    @property
    def attempt(self) -> int:
        return int(self.claim.fields["attempt"])

    @property
    def epoch(self) -> int:
        return self.claim.epoch

    @property
    def checkpoint(self) -> str | None:
        return self._checkpoint

    @property
    def whole_id(self) -> str:
        """The job with which the numbers are kept: for a batch its parent."""
        return self.claim.fields.get("parent") or self.job_id

    def numbers(self, only: Sequence[str] | None = None) -> dict[str, str]:
        return self.numbers_of(self.whole_id, only)

    def page_of_numbers(self, index: int, job_id: str | None = None) -> tuple[str, ...] | None:
        return self._ledger.perform(self._ledger.commands.page(job_id or self.whole_id, index))

    def outcomes(self) -> dict[str, int]:
        return self._ledger.perform(self._ledger.commands.outcomes(self.whole_id))

    def save(self, write: Write) -> None:
        self._writes += 1
        parts, rest = in_parts(write)
        for index, part in enumerate(parts):
            if not self._ledger.stage(self.claim, index, part):
                raise LostLease
        reply = self._ledger.save(self.claim, self._writes, rest, self._take_calls(), staged=len(parts))
        if parts and isinstance(reply, Saved):
            self._apply()
        if write.answered:
            self._flags.send_until_s = float("inf")
        match reply:
            case Saved():
                self._checkpoint = write.checkpoint if write.checkpoint is not None else self._checkpoint
            case LeaseLost():
                raise LostLease
            case GateClosed():
                raise Wait(WaitReason.RECONCILING, GATE_AGAIN_S)
            case JobCancelled():
                raise CancelRequested
            case NumbersReserved(numbers):
                raise NumbersTaken(numbers)
            case RoutesWanted(numbers):
                raise WantedElsewhere(numbers)
            case LimitReached():
                raise SpendLimitReached(reply)
            case _:
                assert_never(reply)

    def complete_write(self) -> None:
        """Before anything else: an attempt may have died when it had saved a large write and not all of it was made true."""
        if self.claim.fields.get("staged") == "1":
            self._apply()

    def _apply(self) -> None:
        while (applied := self._ledger.apply(self.claim)) is not Applied.DONE:
            if applied is Applied.LOST:
                raise LostLease

    def asked(self, call: AskedCall) -> None:
        """Note a call to the provider; it goes into the story with the next write, so that it costs none of its own."""
        self._calls.append(call)

    def finish(self, ended: Ended) -> bool:
        """End the job. False if a newer attempt has it."""
        detail = ended.result.error.message if ended.result.error else ""
        unclear = left_unclear(ended.result.numbers)
        return self._ledger.finish(self.claim, ended.state, ended.result, detail, self._take_calls(), unclear)

    def suspend(self, state: JobState, reason: WaitReason | None, *, delay_ms: int, refund: bool, detail: str) -> bool:
        """End the attempt and not the job. False if a newer attempt has it."""
        calls = self._take_calls()
        return self._ledger.suspend(self.claim, state, reason, delay_ms=delay_ms, refund=refund, detail=detail, calls=calls)

    def _take_calls(self) -> tuple[AskedCall, ...]:
        taken = tuple(self._calls)
        self._calls.clear()
        return taken

    def limit_against(self, spend: Spend, limits: Sequence[SpendLimit]) -> LimitReached | None:
        return self._ledger.limit_against(self.claim, spend, limits)

    def now_ms(self) -> int:
        return self._ledger.now_ms()

    def check_interrupts(self) -> None:
        if self._flags.lost:
            raise LostLease
        if self._flags.cancel:
            raise CancelRequested
        if self._stopping.is_set():
            raise HandBack

    def check_before_money(self) -> None:
        if self.claim.gate_closed:
            raise Wait(WaitReason.RECONCILING, GATE_AGAIN_S)
        while not self._ledger.is_seen():  # A process that has just begun, for a second or some.
            self.check_interrupts()
            self._stopping.wait(SEEN_AGAIN_S)

    def claim_routes(
        self, numbers: Sequence[str], *, calling: bool = True, seen_ms: int | None = None, wanted: Route | None = None
    ) -> RouteClaim:
        if calling:
            self._flags.send_until_s = time.monotonic() + self._sent_within_s
        return self._claimed(self._ledger.claim_routes(self.claim, numbers, calling=calling, seen_ms=seen_ms, wanted=wanted))

    def take_to_park(self, numbers: Sequence[str], *, seen_ms: int) -> RouteClaim:
        return self._claimed(self._ledger.claim_routes(self.claim, numbers, calling=False, seen_ms=seen_ms, parking=True))

    def _claimed(self, claimed: RoutesClaimed | None) -> RouteClaim:
        if claimed is None:
            raise LostLease
        late_ms = int(self._sent_within_s * 1000)
        until_ms = {number: since_ms + late_ms for number, since_ms in claimed.since_ms.items()}
        return RouteClaim(claimed.newer, until_ms, claimed.moved_by, claimed.parked)

    def parked(self, numbers: Sequence[str]) -> Mapping[str, Parked]:
        return self._ledger.perform(parked(self._ledger.keys, self.account, numbers))

    def all_parked(self) -> Mapping[str, Parked]:
        return self._ledger.perform(all_parked(self._ledger.keys, self.account))

    def want_routes(self, routes: Mapping[str, Route]) -> frozenset[str]:
        if (noted := self._ledger.want(self.claim, routes)) is None:
            raise LostLease
        return noted

    def reserved(self, numbers: Sequence[str]) -> frozenset[str]:
        return self._ledger.perform(reserved(self._ledger.keys, self.account, numbers, besides=self.whole_id, now_ms=self.now_ms()))

    def strays(self) -> frozenset[str]:
        return self._ledger.strays(self.account)

    def quarantine(self, numbers: Sequence[str]) -> frozenset[str]:
        if (handed_out := self._ledger.quarantine(self.claim, numbers)) is None:
            raise LostLease
        return handed_out

    def handed_out(self) -> Mapping[str, int]:
        return {one.number: one.record_id for one in self._ledger.perform(handed_out(self._ledger.keys, self.account))}

    def offered(self) -> Mapping[str, tuple[int, str, str]]:
        found = self._ledger.perform(offered(self._ledger.keys, self.account))
        return {one.number: (one.record_id, one.job_id, one.text) for one in found}

    def hand_out(self, numbers: Sequence[tuple[str, int, str]], loans: Mapping[str, Loan]) -> frozenset[str]:
        if (granted := self._ledger.hand_out(self.claim, numbers, loans)) is None:
            raise LostLease
        return granted

    def take_back(self, numbers: Mapping[str, str], loans: Mapping[str, Loan]) -> None:
        if not self._ledger.take_back(self.claim, numbers, loans):
            raise LostLease

    def stock_note(self, place: str) -> str | None:
        return self._ledger.stock_note(self.account, place)

    def note_stock(self, place: str, text: str) -> None:
        with suppress(ServiceUnavailable):  # Memory is full, perhaps: then each job looks for itself.
            if not self._ledger.note_stock(self.claim, place, text):
                raise LostLease

    def ids_form(self) -> IdsForm | None:
        """From the ledger; a ledger that has forgotten it is told again by this process's own memory."""
        kept = self._ledger.perform(learned(self._ledger.keys, self.account, IDS_FORM)) or self._learned.get(self.account)
        return ids_form_of(kept, self.now_ms())

    def learn_ids_form(self, form: IdsForm) -> None:
        self._learned[self.account] = Learned(form, self.now_ms())
        with suppress(ServiceUnavailable):
            if not self._ledger.learn(self.claim, IDS_FORM, form):
                raise LostLease

    def signed(self, quote: Quote) -> Quote:
        return quote.model_copy(update={"signature": signature(quote, self._ledger.run(script_calls.seal()))})

    def other_job(self, job_id: str) -> OtherJob | None:
        try:
            view = self._ledger.get(job_id)
        except JobNotFound:
            return None
        dry_run, error_code = bool(view.request and view.request.dry_run), view.error.code if view.error else None
        ended_ms = int(view.finished_at.timestamp() * 1000) if view.finished_at else None
        selector = view.request.selector if isinstance(view.request, Reroute) else None
        label = selector.label if selector else None
        ours = frozenset(one.number for one in view.result.numbers if one.outcome in OURS) if view.result else frozenset()
        return OtherJob(
            view.kind, view.state, view.account, dry_run=dry_run, error_code=error_code, ended_ms=ended_ms, label=label, ours=ours
        )

    def numbers_of(self, job_id: str, only: Sequence[str] | None = None) -> dict[str, str]:
        if only is None:
            return self._ledger.numbers(job_id)
        return self._ledger.perform(self._ledger.commands.some_numbers(job_id, only))

    def fan_out(self, batches: Mapping[str, str]) -> None:
        match self._ledger.fan_out(self.claim, MOVE_BATCH, batches):
            case BatchesSubmitted.LOST:
                raise LostLease
            case BatchesSubmitted.CANCELLED:
                raise CancelRequested

    def follow_up(self, name: str, request: Request, *, after_s: float) -> None:
        if not self._ledger.follow_up(self.claim, name, request, delay_ms=int(after_s * 1000)):
            raise LostLease

    def emit(self, numbers: Sequence[tuple[str, str, str, str]]) -> None:
        if not self._ledger.emit(self.claim, numbers):
            raise LostLease

    def borrowing(self, numbers: Mapping[str, str]) -> frozenset[str]:
        return self._ledger.perform(borrowing(self._ledger.keys, self.account, numbers))

    def holders(self, numbers: Sequence[str]) -> Mapping[str, Holder]:
        return self._ledger.perform(holders(self._ledger.keys, numbers))

    def count_releases(self, record_ids: Sequence[int], most: int) -> tuple[frozenset[int], float]:
        counted = self._ledger.count_releases(self.claim, record_ids, most)
        if counted is None:
            raise LostLease
        return counted.may_go, counted.next_day_ms / 1000

    def open_batches(self) -> int:
        return self._ledger.perform(self._ledger.commands.open_children(self.job_id))

    def batch_error(self, index: str) -> JobError | None:
        try:
            return self._ledger.get(f"{self.job_id}:{index}").error
        except JobNotFound:
            return None
