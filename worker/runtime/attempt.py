"""One attempt's page in the ledger: `worker.jobs.ports.JobPage` over the ledger's scripts, the lease token in every write."""

import threading
from collections.abc import Mapping, Sequence

from worker.contract.errors import JobNotFound
from worker.contract.spending import LimitReached, Spend, SpendLimit
from worker.contract.states import Lane, WaitReason
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

    def numbers(self) -> dict[str, str]:
        return self._ledger.numbers(self.job_id)

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
        dry_run, error_code = bool(view.request and view.request.dry_run), view.error.code if view.error else None
        return OtherJob(view.kind, view.state, view.account, dry_run=dry_run, error_code=error_code)

    def numbers_of(self, job_id: str) -> dict[str, str]:
        return self._ledger.numbers(job_id)
