"""What looks for the catalogue write."""

import time
from collections.abc import Callable

from didflow.contract.catalogue import Look
from didflow.ledger.catalogue import MOST_LOOK_CHARS, emergency_under_way, look_text
from didflow.ledger.catalogue import keep as keep_look
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.rate_limit import others_wait
from worker.jobs.ports.endings import LostLease

#: An emergency is over when none of its jobs has called the provider for this long.
EMERGENCY_MS = 5_000
#: How often it is checked whether others still wait.
LISTEN_EVERY_S = 0.05


class LedgerCatalogue:
    """`Catalogue`."""

    def __init__(self, ledger: Ledger, claim: Claim) -> None:
        self._ledger, self._claim = ledger, claim

    def keep(self, look: Look, *, kept_s: float, most: int) -> None:
        text = look_text(look)
        while len(text) > MOST_LOOK_CHARS:
            look = _halved(look)
            text = look_text(look)
        kept = keep_look(self._claim.job_id, self._claim.token, look, text, kept_ms=int(kept_s * 1000), most=most)
        if not self._ledger.run(kept):
            raise LostLease

    def give_way(self, at_most_s: float, check: Callable[[], None]) -> None:
        until_s = time.monotonic() + at_most_s
        while time.monotonic() < until_s and self._ledger.perform(others_wait(self._ledger.keys, self._claim.account)):
            time.sleep(LISTEN_EVERY_S)
            check()

    def emergency_under_way(self) -> bool:
        keys, account = self._ledger.keys, self._claim.account
        return self._ledger.perform(emergency_under_way(keys, account, self._ledger.now_ms(), EMERGENCY_MS))


def _halved(look: Look) -> Look:
    """The first half of what is too long to be stored. Names of thousands of characters do that."""
    lists = {name: getattr(look, name) for name in ("countries", "regions", "cities", "offers")}
    halves = {name: some[: len(some) // 2] for name, some in lists.items()}
    return look.model_copy(update=halves | {"gaps": "it is too long to be kept whole", "document_titles": {}})
