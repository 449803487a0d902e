"""What every attempt has: who it is, its record, a clock, and interrupts."""

from collections.abc import Sequence
from typing import Protocol

from didflow.contract.attempt_write import Write


class Identity(Protocol):
    """Which job this is, and which of its attempts."""

    @property
    def job_id(self) -> str: ...
    @property
    def account(self) -> str: ...
    @property
    def reference(self) -> str:
        """The submitter's own word for it; empty if none was given."""
        ...

    @property
    def attempt(self) -> int: ...


class Record(Protocol):
    """What the job has written."""

    @property
    def checkpoint(self) -> str | None:
        """The job's own state, as the last `save` left it (JSON)."""
        ...

    def numbers(self, only: Sequence[str] | None = None) -> dict[str, str]:
        """What was saved for each number (JSON), by number; of all, or of these only. A batch's are its parent's."""
        ...

    def save(self, write: Write) -> None:
        """Write all of it or nothing, in one script; the calls since the last write go into the job's story with it.

        Raises LostLease, NumbersTaken, SpendLimitReached, WantedElsewhere (with these nothing was written), with `unless_cancelled`
        CancelRequested, with `money` Wait, as `MoneyGate.check` does.
        """
        ...


class Clock(Protocol):
    """The ledger's time."""

    def now_ms(self) -> int:
        """The ledger's clock, not the worker's."""
        ...


class Interrupts(Protocol):
    """What may stop an attempt at a safe point."""

    def check_interrupts(self) -> None:
        """Call where stopping is harmless. Raises `HandBack` on shutdown, `CancelRequested` if the job was cancelled, LostLease."""
        ...


class AttemptContext(Identity, Record, Clock, Interrupts, Protocol):
    """What every job uses."""
