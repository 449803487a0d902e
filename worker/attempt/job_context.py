"""One attempt's context of its job: `worker.jobs.ports.context.JobContext` over the ledger's scripts, the lease token in every write."""

import threading
from collections.abc import Sequence
from typing import assert_never

from didflow.contract.attempt_write import Write
from didflow.contract.jobs import ProviderCall
from didflow.contract.spending import LimitReached
from didflow.contract.states import JobState, Lane, WaitReason
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.observed_behaviour import Learned
from didflow.ledger.replies import (
    Applied,
    Frozen,
    GateClosed,
    JobCancelled,
    LeaseLost,
    NumbersReserved,
    RoutesWanted,
    Saved,
    SaveReply,
)
from didflow.ledger.script_calls import Call
from didflow.ledger.serialization import in_parts
from worker.attempt.heartbeat import LeaseFlags
from worker.attempt.ledger_ports.catalogue import LedgerCatalogue
from worker.attempt.ledger_ports.document_files import LedgerDocumentFiles
from worker.attempt.ledger_ports.events import LedgerEvents
from worker.attempt.ledger_ports.inventory import LedgerMirror
from worker.attempt.ledger_ports.jobs import LedgerBatches, LedgerChunks, LedgerJobs
from worker.attempt.ledger_ports.money import GATE_AGAIN_S, LedgerMoney, waiting_for_end
from worker.attempt.ledger_ports.release import LedgerForms, LedgerReleaseGuards
from worker.attempt.ledger_ports.routes import LedgerParked, LedgerRoutes
from worker.attempt.ledger_ports.stock import LedgerNotes, LedgerPool, LedgerQuotes, LedgerReservations
from worker.jobs.history_entries import left_unclear
from worker.jobs.ports.endings import (
    CancelRequested,
    Ended,
    HandBack,
    LostLease,
    NumbersTaken,
    SpendLimitReached,
    Wait,
    WantedElsewhere,
)


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
        self._ledger, self.claim, self._flags, self._stopping = ledger, claim, flags, stopping
        #: Once the attempt is over: the write that is left, and, if it ends the job, with what.
        self.end: Call[bool] | None = None
        self.ended: Ended | None = None
        #: What this leaves the job in, and why it waits; None where nothing is left to write.
        self.next_state: JobState | None = None
        self.wait_reason: WaitReason | None = None
        self._writes = 0
        self._checkpoint = claim.fields.get("memo") or None
        self._calls: list[ProviderCall] = []
        self.batches, self.chunks, self.jobs = LedgerBatches(ledger, claim), LedgerChunks(ledger, claim), LedgerJobs(ledger, claim)
        self.events, self.guards = LedgerEvents(ledger, claim), LedgerReleaseGuards(ledger, claim)
        self.forms = LedgerForms(ledger, claim, learned_here if learned_here is not None else {})
        self.money = LedgerMoney(ledger, claim, self, stopping)
        self.notes, self.pool, self.quotes = LedgerNotes(ledger, claim), LedgerPool(ledger, claim), LedgerQuotes(ledger)
        self.reservations, self.routes = LedgerReservations(ledger, claim), LedgerRoutes(ledger, claim, flags, lease_s)
        self.mirror, self.parked = LedgerMirror(ledger, claim), LedgerParked(ledger, claim, self.routes)
        self.catalogue, self.files = LedgerCatalogue(ledger, claim), LedgerDocumentFiles(ledger, claim)

    @property
    def job_id(self) -> str:
        return self.claim.job_id

    @property
    def account(self) -> str:
        return self.claim.account

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
    def checkpoint(self) -> str | None:
        return self._checkpoint

    def numbers(self, only: Sequence[str] | None = None) -> dict[str, str]:
        return self.jobs.numbers_of(self.claim.whole_id, only)

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
        _check_saved(reply)
        self._checkpoint = write.checkpoint if write.checkpoint is not None else self._checkpoint

    def complete_write(self) -> None:
        """Before anything else: an attempt may have died when it had saved a large write and not all of it was applied."""
        if self.claim.fields.get("staged") == "1":
            self._apply()

    def _apply(self) -> None:
        while (applied := self._ledger.apply(self.claim)) is not Applied.DONE:
            if applied is Applied.LOST:
                raise LostLease

    def record_call(self, call: ProviderCall) -> None:
        """Note a call to the provider; it goes into the story with the next write, so that it costs none of its own."""
        self._calls.append(call)

    def finish(self, ended: Ended) -> None:
        """End the job, once `end` is written."""
        self.ended, self.next_state, self.wait_reason = ended, ended.state, None
        detail = ended.result.error.message if ended.result.error else ""
        unclear = left_unclear(ended.result.numbers)
        self.end = self._ledger.ending(self.claim, ended.state, ended.result, detail, self._take_calls(), unclear)

    def suspend(self, state: JobState, reason: WaitReason | None, *, delay_ms: int, refund: bool, detail: str) -> None:
        """End the attempt and not the job, once `end` is written."""
        self.ended, self.next_state, self.wait_reason = None, state, reason
        calls = self._take_calls()
        self.end = self._ledger.suspending(self.claim, state, reason, delay_ms=delay_ms, refund=refund, detail=detail, calls=calls)

    def _take_calls(self) -> tuple[ProviderCall, ...]:
        taken = tuple(self._calls)
        self._calls.clear()
        return taken

    def now_ms(self) -> int:
        return self._ledger.now_ms()

    def check_interrupts(self) -> None:
        if self._flags.lost:
            raise LostLease
        if self._flags.cancel:
            raise CancelRequested
        if self._stopping.is_set():
            raise HandBack


def _check_saved(reply: SaveReply) -> None:
    """Raise what says why a write didn't take effect."""
    match reply:
        case Saved():
            return
        case LeaseLost():
            raise LostLease
        case GateClosed():
            raise Wait(WaitReason.RECONCILING, GATE_AGAIN_S)
        case Frozen(freeze):
            raise waiting_for_end(freeze)
        case JobCancelled():
            raise CancelRequested
        case NumbersReserved(numbers):
            raise NumbersTaken(numbers)
        case RoutesWanted(numbers):
            raise WantedElsewhere(numbers)
        case LimitReached():
            raise SpendLimitReached(reply)
    assert_never(reply)
