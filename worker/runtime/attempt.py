"""One attempt's page in the ledger: `worker.jobs.ports.JobPage` over the ledger's scripts, the lease token in every write."""

import threading
from collections.abc import Mapping, Sequence

from worker.contract.errors import JobError, JobNotFound
from worker.contract.spending import LimitReached, Spend, SpendLimit
from worker.contract.states import Lane, WaitReason
from worker.jobs.move import BATCH_KIND
from worker.jobs.ports import CancelRequested, HandBack, LostLease, NumbersTaken, OtherJob, RouteClaim, SpendLimitReached, Wait
from worker.ledger.ledger import Claim, Ledger, Write
from worker.runtime.leases import LeaseFlags

#: A job that has settled waits in the ledger for the gate; this is only until it is claimed again and held there.
GATE_AGAIN_S = 1.0


class LedgerPage:
    """What the job writes goes straight to the ledger; a stale token raises LostLease."""

    def __init__(self, ledger: Ledger, claim: Claim, flags: LeaseFlags, stopping: threading.Event) -> None:
        self._ledger, self.claim, self._flags, self._stopping = ledger, claim, flags, stopping
        self._writes = 0
        self._memo = claim.fields.get("memo") or None

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
    def memo(self) -> str | None:
        return self._memo

    @property
    def whole_id(self) -> str:
        """The job with which the numbers are kept: for a batch its parent."""
        return self.claim.fields.get("parent") or self.job_id

    def numbers(self, only: Sequence[str] | None = None) -> dict[str, str]:
        return self.numbers_of(self.whole_id, only)

    def page_of_numbers(self, index: int, job_id: str | None = None) -> tuple[str, ...] | None:
        return self._ledger.perform(self._ledger.plans.page(job_id or self.whole_id, index))

    def outcomes(self) -> dict[str, int]:
        return self._ledger.perform(self._ledger.plans.outcomes(self.whole_id))

    def save(
        self,
        *,
        step: str,
        detail: str = "",
        phase: str | None = None,
        memo: str | None = None,
        numbers: Mapping[str, str] | None = None,
        reserve: Sequence[str] = (),
        taint: Sequence[str] = (),
        free: Sequence[str] = (),
        answered: Sequence[str] = (),
        hold: Spend | None = None,
        limits: Sequence[SpendLimit] = (),
        settle: Spend | None = None,
        progress: str | None = None,
        money: bool = False,
        unsettled: bool | None = None,
        clear: bool = False,
        pages: Mapping[int, Sequence[str]] | None = None,
    ) -> None:
        self._writes += 1
        write = Write(
            step=step,
            detail=detail,
            phase=phase,
            memo=memo,
            progress=progress,
            numbers=dict(numbers or {}),
            reserve=tuple(reserve),
            taint=tuple(taint),
            free=tuple(free),
            answered=tuple(answered),
            hold=hold,
            limits=limits,
            settle=settle,
            money=money,
            unsettled=unsettled,
            clear=clear,
            pages={index: " ".join(listed) for index, listed in pages.items()} if pages else None,
        )
        reply = self._ledger.save(self.claim, self._writes, write)
        if isinstance(reply, LimitReached):
            raise SpendLimitReached(reply)
        verdict, *taken = reply
        if verdict == "lost":
            raise LostLease
        if verdict == "closed":
            raise Wait(WaitReason.RECONCILING, GATE_AGAIN_S)
        if verdict == "taken":
            raise NumbersTaken(tuple(taken))
        self._memo = memo if memo is not None else self._memo

    def limit_against(self, spend: Spend, limits: Sequence[SpendLimit]) -> LimitReached | None:
        return self._ledger.limit_against(self.claim, spend, limits)

    def now_ms(self) -> int:
        return self._ledger.now_ms()

    def pause_point(self) -> None:
        if self._flags.lost:
            raise LostLease
        if self._flags.cancel:
            raise CancelRequested
        if self._stopping.is_set():
            raise HandBack

    def money_point(self) -> None:
        if self.claim.gate_closed:
            raise Wait(WaitReason.RECONCILING, GATE_AGAIN_S)

    def claim_routes(self, numbers: Sequence[str], *, calling: bool = True, seen_ms: int | None = None) -> RouteClaim:
        claimed = self._ledger.claim_routes(self.claim, numbers, calling=calling, seen_ms=seen_ms)
        if claimed is None:
            raise LostLease
        return RouteClaim(*claimed)

    def strays(self) -> frozenset[str]:
        return self._ledger.strays(self.account)

    def quarantine(self, numbers: Sequence[str]) -> None:
        if not self._ledger.quarantine(self.claim, numbers):
            raise LostLease

    def other_job(self, job_id: str) -> OtherJob | None:
        try:
            view = self._ledger.get(job_id)
        except JobNotFound:
            return None
        return OtherJob(view.kind, view.state, view.account, dry_run=bool(view.request and view.request.dry_run))

    def numbers_of(self, job_id: str, only: Sequence[str] | None = None) -> dict[str, str]:
        if only is None:
            return self._ledger.numbers(job_id)
        return self._ledger.perform(self._ledger.plans.some_numbers(job_id, only))

    def fan_out(self, batches: Mapping[str, str]) -> None:
        match self._ledger.fan_out(self.claim, BATCH_KIND, batches):
            case "lost":
                raise LostLease
            case "cancelled":
                raise CancelRequested

    def open_batches(self) -> int:
        return self._ledger.perform(self._ledger.plans.open_children(self.job_id))

    def batch_error(self, index: str) -> JobError | None:
        try:
            return self._ledger.get(f"{self.job_id}:{index}").error
        except JobNotFound:
            return None
