"""Numbers that jobs share: reservations, notes of the stock, the pool."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from didflow.contract.number_holders import Loan


class Reservations(Protocol):
    """Numbers in the stock that aren't free to be bought."""

    def reserved(self, numbers: Sequence[str]) -> frozenset[str]:
        """Those of these numbers that another job has, or that are left alone for a time: this job wouldn't get them now."""
        ...

    def strays(self) -> frozenset[str]:
        """The account's tainted numbers: one of them may come into the cart late, whichever job put it there."""
        ...


class SharedNotes(Protocol):
    """Short notes that the account's jobs leave for each other, so that not each of them asks the provider. Best effort."""

    def read(self, place: str) -> str | None:
        """What a job of this account noted last of this place in the stock, or of the balance, if that isn't long ago."""
        ...

    def write(self, place: str, text: str) -> None:
        """Leave a note for the account's other jobs. It may be lost. Raises LostLease."""
        ...


class NumberPool(Protocol):
    """Numbers of ours that may be assigned instead of bought."""

    def handed_out(self) -> Mapping[str, int]:
        """The numbers of the account that purchases were given, with the record id of each."""
        ...

    def offered(self) -> Mapping[str, tuple[int, str, str]]:
        """The numbers of the account that releases have parked and may lend: record id, the release's job, what that keeps (JSON)."""
        ...

    def hand_out(self, numbers: Sequence[tuple[str, int, str]], loans: Mapping[str, Loan]) -> frozenset[str]:
        """Numbers of ours for this purchase: number, record id, what to keep of it (JSON). Returns those that are its own now: another
        job may have them, or a release have begun with them. One of `loans` is taken out of its release in the same moment, or refused if
        that has it otherwise by now, runs, or is cancelled. Raises LostLease."""
        ...

    def take_back(self, numbers: Mapping[str, str], loans: Mapping[str, Loan]) -> None:
        """Give back what was assigned to this job; what to keep of each (JSON). Those of `loans` are their releases' again. Raises
        LostLease."""
        ...

    def borrowing(self, numbers: Mapping[str, str]) -> frozenset[str]:
        """Those of these numbers, lent to these jobs, that may yet come back."""
        ...
