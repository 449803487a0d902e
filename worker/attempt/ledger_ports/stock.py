"""What purchases of an account share: reservations, notes, the pool of own numbers, and the signature of quotes."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from didflow.contract.errors import ServiceUnavailable
from didflow.contract.number_holders import Loan
from didflow.contract.quotes import signature
from didflow.contract.results import Quote
from didflow.ledger import script_calls
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.number_pool import borrowing, hand_out, handed_out, offered, take_back
from didflow.ledger.reservations import reserved, strays
from didflow.ledger.stock_notes import note_stock, stock_note
from worker.jobs.ports.endings import LostLease


class LedgerReservations:
    """`Reservations`."""

    def __init__(self, ledger: Ledger, claim: Claim) -> None:
        self._ledger, self._claim = ledger, claim

    def reserved(self, numbers: Sequence[str]) -> frozenset[str]:
        account, own = self._claim.account, self._claim.whole_id
        return self._ledger.perform(reserved(self._ledger.keys, account, numbers, besides=own, now_ms=self._ledger.now_ms()))

    def strays(self) -> frozenset[str]:
        return self._ledger.perform(strays(self._ledger.keys, self._claim.account))


class LedgerNotes:
    """`SharedNotes`."""

    def __init__(self, ledger: Ledger, claim: Claim) -> None:
        self._ledger, self._claim = ledger, claim

    def read(self, place: str) -> str | None:
        return self._ledger.perform(stock_note(self._ledger.keys, self._claim.account, place))

    def write(self, place: str, text: str) -> None:
        with suppress(ServiceUnavailable):  # Memory is full, perhaps: then each job looks for itself.
            if not self._ledger.run(note_stock(self._claim, place, text)):
                raise LostLease


class LedgerPool:
    """`NumberPool`."""

    def __init__(self, ledger: Ledger, claim: Claim) -> None:
        self._ledger, self._claim = ledger, claim

    def handed_out(self) -> Mapping[str, int]:
        return {one.number: one.record_id for one in self._ledger.perform(handed_out(self._ledger.keys, self._claim.account))}

    def offered(self) -> Mapping[str, tuple[int, str, str]]:
        found = self._ledger.perform(offered(self._ledger.keys, self._claim.account))
        return {one.number: (one.record_id, one.job_id, one.text) for one in found}

    def hand_out(self, numbers: Sequence[tuple[str, int, str]], loans: Mapping[str, Loan]) -> frozenset[str]:
        if (granted := hand_out(self._ledger, self._claim, numbers, loans)) is None:
            raise LostLease
        return granted

    def take_back(self, numbers: Mapping[str, str], loans: Mapping[str, Loan]) -> None:
        if not take_back(self._ledger, self._claim, numbers, loans):
            raise LostLease

    def borrowing(self, numbers: Mapping[str, str]) -> frozenset[str]:
        return self._ledger.perform(borrowing(self._ledger.keys, self._claim.account, numbers))


class LedgerQuotes:
    """`Quotes`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def signed(self, quote: Quote) -> Quote:
        return quote.model_copy(update={"signature": signature(quote, self._ledger.run(script_calls.quote_secret()))})
