"""Jobs of very many numbers: chunks, and batches that run side by side."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from didflow.contract.errors import JobError


class SeenNumber(NamedTuple):
    """A number of a chunk: `text` is what the job keeps of it (JSON, without an outcome), from what was read at `seen_ms` (the ledger's
    clock)."""

    number: str
    seen_ms: int
    text: str


class Chunks(Protocol):
    """The numbers of a large job, in chunks of a fixed order."""

    def numbers(self, index: int, job_id: str | None = None) -> tuple[str, ...] | None:
        """The numbers of that chunk of this job, or of another one of the account; None behind the last."""
        ...

    def count(self) -> int:
        """How many chunks this job has."""
        ...

    def add(self, index: int, numbers: Sequence[SeenNumber], *, settle_s: float, batch: str | None) -> frozenset[str]:
        """Write a chunk with the next index, claim its routes without a call, and submit its `batch`, if there is one (its request, JSON):
        all of it in one write, for a call of very many numbers in several, the last of which submits the batch.

        Returns the numbers that were left out: the job has them already, or another job's call may have changed their route since it was
        read. A chunk of which nothing is left isn't written. Raises CancelRequested, and nothing is written; LostLease.
        """
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
