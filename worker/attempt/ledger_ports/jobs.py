"""Other jobs: those of the account, and the chunks and batches of a large one."""

from collections.abc import Mapping, Sequence

from didflow.contract.errors import JobError, JobNotFound
from didflow.contract.job_kinds import MOVE_BATCH
from didflow.contract.requests import Request, Reroute
from didflow.contract.states import OURS
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.replies import BatchesSubmitted
from didflow.ledger.serialization import in_script_parts
from worker.jobs.ports.endings import CancelRequested, LostLease
from worker.jobs.ports.large_jobs import SeenNumber
from worker.jobs.ports.other_jobs import OtherJob


class LedgerJobs:
    """`OtherJobs`."""

    def __init__(self, ledger: Ledger, claim: Claim) -> None:
        self._ledger, self._claim = ledger, claim

    def get(self, job_id: str) -> OtherJob | None:
        try:
            view = self._ledger.get(job_id)
        except JobNotFound:
            return None
        selector = view.request.selector if isinstance(view.request, Reroute) else None
        return OtherJob(
            view.kind,
            view.state,
            view.account,
            dry_run=bool(view.request and view.request.dry_run),
            error_code=view.error.code if view.error else None,
            ended_ms=int(view.finished_at.timestamp() * 1000) if view.finished_at else None,
            label=selector.label if selector else None,
            ours=frozenset(one.number for one in view.result.numbers if one.outcome in OURS) if view.result else frozenset(),
        )

    def numbers_of(self, job_id: str, only: Sequence[str] | None = None) -> dict[str, str]:
        if only is None:
            return self._ledger.numbers(job_id)
        return self._ledger.perform(self._ledger.commands.some_numbers(job_id, only))

    def follow_up(self, name: str, request: Request, *, after_s: float) -> None:
        if not self._ledger.follow_up(self._claim, name, request, delay_ms=int(after_s * 1000)):
            raise LostLease


class LedgerChunks:
    """`Chunks`."""

    def __init__(self, ledger: Ledger, claim: Claim) -> None:
        self._ledger, self._claim = ledger, claim

    def numbers(self, index: int, job_id: str | None = None) -> tuple[str, ...] | None:
        return self._ledger.perform(self._ledger.commands.page(job_id or self._claim.whole_id, index))

    def count(self) -> int:
        return self._ledger.perform(self._ledger.commands.pages(self._claim.whole_id))

    def add(self, index: int, numbers: Sequence[SeenNumber], *, settle_s: float, batch: str | None) -> frozenset[str]:
        left_out: frozenset[str] = frozenset()
        parts = list(in_script_parts(numbers))
        for part in parts:
            # With the last part. If this attempt dies before that, the chunk is sent in another round.
            sent = {"kind": MOVE_BATCH, "request": batch} if batch is not None and part is parts[-1] else {}
            reply = self._ledger.write_chunk(self._claim, index, part, settle_ms=int(settle_s * 1000), **sent)
            if isinstance(reply, BatchesSubmitted):
                raise CancelRequested if reply is BatchesSubmitted.CANCELLED else LostLease
            left_out |= reply
        return left_out

    def outcomes(self) -> dict[str, int]:
        return self._ledger.perform(self._ledger.commands.outcomes(self._claim.whole_id))


class LedgerBatches:
    """`Batches`."""

    def __init__(self, ledger: Ledger, claim: Claim) -> None:
        self._ledger, self._claim = ledger, claim

    def submit(self, batches: Mapping[str, str]) -> None:
        match self._ledger.fan_out(self._claim, MOVE_BATCH, batches):
            case BatchesSubmitted.LOST:
                raise LostLease
            case BatchesSubmitted.CANCELLED:
                raise CancelRequested

    def open_count(self) -> int:
        return self._ledger.perform(self._ledger.commands.open_children(self._claim.job_id))

    def error(self, index: str) -> JobError | None:
        try:
            return self._ledger.get(f"{self._claim.job_id}:{index}").error
        except JobNotFound:
            return None
