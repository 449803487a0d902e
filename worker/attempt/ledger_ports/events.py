"""Events of numbers, on the events stream."""

from collections.abc import Sequence

from didflow.ledger.ledger import Claim, Ledger
from worker.jobs.ports.endings import LostLease


class LedgerEvents:
    """`Events`."""

    def __init__(self, ledger: Ledger, claim: Claim) -> None:
        self._ledger, self._claim = ledger, claim

    def emit(self, numbers: Sequence[tuple[str, str, str, str]]) -> None:
        if not self._ledger.emit(self._claim, numbers):
            raise LostLease
