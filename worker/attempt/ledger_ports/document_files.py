"""Asks the HTTP servers for the file of a document."""

import time
from collections.abc import Callable

from didflow.ledger.document_transfer import fetch
from didflow.ledger.ledger import Claim, Ledger


class LedgerDocumentFiles:
    """`DocumentFiles` over Redis publish/subscribe."""

    def __init__(self, ledger: Ledger, claim: Claim) -> None:
        self._ledger, self._claim = ledger, claim

    def fetch(self, sha256: str, size_bytes: int, check: Callable[[], None]) -> bytes | None:
        return fetch(self._ledger.client, self._ledger.keys, self._claim.job_id, sha256, size_bytes, check)

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)
