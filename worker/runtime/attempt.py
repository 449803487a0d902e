"""One attempt's page in the ledger: `worker.jobs.ports.JobPage` over the ledger's scripts, the lease token in every write."""

import threading
from collections.abc import Mapping, Sequence

from worker.contract.errors import JobNotFound
from worker.contract.states import Lane
from worker.jobs.ports import CancelRequested, HandBack, LostLease, NumbersTaken, OtherJob
from worker.ledger.ledger import Claim, Ledger, Write
from worker.runtime.leases import LeaseFlags


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
    def lane(self) -> Lane:
        """The queue that it came through; one that can't be read is no emergency."""
        return next((lane for lane in Lane if lane == self.claim.fields.get("lane")), Lane.BULK)

    @property
    def attempt(self) -> int:
        return int(self.claim.fields["attempt"])

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
        progress: str | None = None,
    ) -> None:
        self._writes += 1
        write = Write(step, detail, phase, memo, progress, dict(numbers or {}), tuple(reserve), tuple(taint), tuple(free))
        verdict, *taken = self._ledger.save(self.claim, self._writes, write)
        if verdict == "lost":
            raise LostLease
        if verdict == "taken":
            raise NumbersTaken(tuple(taken))
        self._memo = memo if memo is not None else self._memo

    def now_ms(self) -> int:
        return self._ledger.now_ms()

    def pause_point(self) -> None:
        if self._flags.lost:
            raise LostLease
        if self._flags.cancel:
            raise CancelRequested
        if self._stopping.is_set():
            raise HandBack

    def claim_routes(self, numbers: Sequence[str]) -> frozenset[str]:
        newer = self._ledger.claim_routes(self.claim, numbers)
        if newer is None:
            raise LostLease
        return newer

    def quarantine(self, numbers: Sequence[str]) -> None:
        if not self._ledger.quarantine(self.claim, numbers):
            raise LostLease

    def other_job(self, job_id: str) -> OtherJob | None:
        try:
            view = self._ledger.get(job_id)
        except JobNotFound:
            return None
        return OtherJob(view.kind, view.state, view.account, dry_run=bool(view.request and view.request.dry_run))

    def numbers_of(self, job_id: str) -> dict[str, str]:
        return self._ledger.numbers(job_id)
