"""Whom an owned number was bought for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Holder:
    """The purchase of a number that is ours: its record, and the reference that the order had (None: it had none)."""

    record_id: int | None
    account: str
    reference: str | None
