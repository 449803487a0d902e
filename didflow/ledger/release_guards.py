"""What a release checks before it gives numbers back: who may have them by now, and how many may go today."""

from collections.abc import Sequence

from didflow.ledger.client import LedgerClient
from didflow.ledger.ledger import Claim
from didflow.ledger.replies import ReleaseQuota
from didflow.ledger.script_calls import Call
from didflow.ledger.serialization import in_script_parts

#: A number that we gave back stays out of our own search for this long.
QUARANTINE_MS = 24 * 3600 * 1000


def quarantine(ledger: LedgerClient, claim: Claim, numbers: Sequence[str]) -> frozenset[str] | None:
    """Keep our own search off numbers about to be given back; those that were handed out since stay. None if the lease is lost."""
    stay = set[str]()
    for some in in_script_parts(numbers):
        verdict, *handed_out = ledger.run(Call("quarantine", (claim.job_id, claim.token, QUARANTINE_MS, *some), tuple))
        if verdict == "lost":
            return None
        stay |= set(map(str, handed_out))
    return frozenset(stay)


def count_releases(ledger: LedgerClient, claim: Claim, record_ids: Sequence[int], most: int) -> ReleaseQuota | None:
    """Count these records against the day's releases. None if the lease is lost."""
    may_go, next_day_ms = set[int](), 0
    for some in in_script_parts(record_ids):
        verdict, *rest = ledger.run(Call("count_releases", (claim.job_id, claim.token, most, *some), tuple))
        if verdict != "ok":
            return None
        next_day_ms = int(rest[0])
        may_go |= set(map(int, rest[1:]))
    return ReleaseQuota(frozenset(may_go), next_day_ms)
