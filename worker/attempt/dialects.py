"""Each account's dialect, detected once by a process and shared with the others in Redis."""

import structlog

from didflow.contract.errors import ServiceUnavailable
from didflow.ledger.dialects import note_dialect, noted_dialect
from didflow.ledger.ledger import Ledger
from didflow.settings import Account
from worker.wavix.dialect_detection import DialectFinder, Remembered
from worker.wavix.dialects import Dialect, candidates

log = structlog.stdlib.get_logger("didflow.dialect")


class SharedMemory:
    """`worker.wavix.dialect_detection.DialectMemory` over the ledger. Without Redis it knows nothing: a process determines for itself."""

    def __init__(self, ledger: Ledger, name: str, account: Account) -> None:
        self._ledger, self._name, self._account = ledger, name, account

    def recall(self) -> Remembered | None:
        try:
            note = noted_dialect(self._ledger, self._name, self._account.base_url)
        except ServiceUnavailable:
            return None
        if note is None:
            return None
        known = next((one for one in candidates("auto", "auto") if (one.path, one.key_in) == (note.path, note.key_in)), None)
        return Remembered(known, note.age_s) if known is not None else None

    def remember(self, dialect: Dialect) -> None:
        try:
            noted = self._ledger.run(note_dialect(self._name, self._account.base_url, dialect.path, dialect.key_in))
        except ServiceUnavailable as error:
            log.warning("dialect.not_shared", account=self._name, error=str(error))
            return
        if noted == "new":
            log.info("dialect.found", account=self._name, path=dialect.owned_path, key_in=dialect.key_in)


def finder_of(name: str, account: Account, ledger: Ledger | None) -> DialectFinder:
    """Finds out the account's dialect among those that its settings allow. `ledger` None: nothing is shared."""
    memory = SharedMemory(ledger, name, account) if ledger is not None else None
    return DialectFinder(candidates(account.dialect, account.key_in), memory)
