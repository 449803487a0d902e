"""Which dialect each account's server takes, as the workers detected, with its age. Never the key."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from didflow.ledger.client import LedgerClient
from didflow.ledger.connection import translated
from didflow.ledger.script_calls import Call

#: A stored dialect that wasn't renewed for this long expires.
KEPT_MS = 30 * 24 * 3600 * 1000


@dataclass(frozen=True)
class DialectNote:
    """`found_at`: since when it is this one. `age_s`: how long ago the owned list was last known to be read in it."""

    path: str
    key_in: str
    found_at: datetime
    age_s: float


def note_dialect(account: str, base_url: str, path: str, key_in: str) -> Call[str]:
    """The owned list was read in it just now. Reads ``new`` where another one, or none, was noted."""
    return Call("dialect", (account, _server(base_url), path, key_in, KEPT_MS), str)


def noted_dialect(ledger: LedgerClient, account: str, base_url: str) -> DialectNote | None:
    """What is noted for the account at this address. Raises ServiceUnavailable."""
    with translated():
        fields = cast("dict[str, str]", ledger.client.hgetall(ledger.keys.dialect(account)))
    try:
        found_ms, confirmed_ms = int(fields["found_ms"]), int(fields["confirmed_ms"])
        if fields["server"] != _server(base_url):
            return None
        age_s = max(0.0, (ledger.now_ms() - confirmed_ms) / 1000)
        return DialectNote(fields["path"], fields["key_in"], datetime.fromtimestamp(found_ms / 1000, UTC), age_s)
    except (KeyError, ValueError, OverflowError, OSError):
        return None


def _server(base_url: str) -> str:
    return hashlib.sha256(base_url.rstrip("/").encode()).hexdigest()[:16]
