"""Whom an owned number was bought for, and who borrows it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Holder:
    """The purchase of a number that is ours: its record, and the reference that the order had (None: it had none)."""

    record_id: int | None
    account: str
    reference: str | None


@dataclass(frozen=True)
class Loan:
    """A number that a release has parked, for a purchase: the release's job, what it keeps of the number (JSON), and what it keeps of it
    once that is lent (JSON)."""

    job_id: str
    kept: str
    lent: str
