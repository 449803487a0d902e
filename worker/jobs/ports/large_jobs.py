"""Jobs of very many numbers: chunks, and batches that run side by side."""

from collections.abc import Mapping
from typing import Protocol

from didflow.contract.errors import JobError


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
