"""How fast jobs come to a lane. Where they come fast, a consumer that pauses before each take gets several with it."""

from collections import deque
from collections.abc import Sequence

from didflow.ledger.ledger import Claim

#: How many jobs in a row must have come fast before a consumer pauses. A client that waits for each result before it submits the next job
#: doesn't submit that fast.
RECENT = 12
#: Jobs come fast if there was a submit at least this often, on average.
FAST_MS = 1.5
#: After this many takes in a row that found nothing, jobs don't come fast any more.
EMPTY_TAKES = 4


class Arrivals:
    """Remembers when the jobs were submitted that the last takes got."""

    def __init__(self) -> None:
        self._recent: deque[tuple[int, int]] = deque(maxlen=RECENT)  #: of each job: its place among all submits, and its time, ms
        self._empty = 0

    @property
    def are_fast(self) -> bool:
        """Submits are counted, and not only the jobs seen here: other processes take their part of them."""
        if len(self._recent) < RECENT:
            return False
        (first, began_ms), (last, ended_ms) = self._recent[0], self._recent[-1]
        return ended_ms - began_ms < FAST_MS * (last - first)

    def note(self, claims: Sequence[Claim]) -> None:
        """Note the jobs of a take. A job whose record is damaged isn't counted."""
        self._empty = 0 if claims else self._empty + 1
        if self._empty == EMPTY_TAKES:
            self._recent.clear()
        for claim in claims:
            order, created_ms = claim.fields.get("order", ""), claim.fields.get("created_ms", "")
            if order.isdecimal() and created_ms.isdecimal():
                self._recent.append((int(order), int(created_ms)))
