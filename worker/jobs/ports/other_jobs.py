"""What a job may know of another one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from didflow.contract.requests import Request
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


class OtherJobs(Protocol):
    """Jobs of the same account beside this one."""

    def get(self, job_id: str) -> OtherJob | None: ...
    def numbers_of(self, job_id: str, only: Sequence[str] | None = None) -> dict[str, str]:
        """What another job of the same account saved for each number, or for these only."""
        ...

    def follow_up(self, name: str, request: Request, *, after_s: float) -> None:
        """Submit another job, which begins after this time, as job ``{id}-{name}``: once, however often it is called. Raises LostLease."""
        ...
