"""The provider account to which the ledger's jobs belong: its address, and some of the numbers that it last owned.

No key is part of it, so that a key can be replaced. The API has no id of an account; the records of its numbers distinguish two accounts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, cast

from didflow.ledger.client import LedgerClient
from didflow.ledger.connection import translated
from didflow.ledger.script_calls import Call

#: An owned number as it is noted: the id of its record, which is new with each purchase, and the number.
OwnedRecord = tuple[int, str]


@dataclass(frozen=True)
class ProviderNote:
    """`server`: the address, or `sandbox`. `records`: some that the account owned at `seen_at`; none where its list was empty or unread."""

    server: str
    records: tuple[OwnedRecord, ...]
    since: datetime
    seen_at: datetime


@dataclass(frozen=True)
class Claimed:
    """`ours`: the ledger belongs to the caller's server. Else to `server`, since then."""

    ours: bool
    server: str
    since: datetime


def claim_ledger(
    account: str,
    server: str,
    records: Iterable[OwnedRecord] = (),
    *,
    how: Literal["claim", "adopt"] = "claim",
    actor: str = "",
    seen: str = "",
) -> Call[Claimed]:
    """Note the server, if none is, and the records, if it is this server's. `adopt`: also in place of the server that was `seen` to be
    noted ('' = none), as `actor` says; in place of no other."""
    text = " ".join(f"{record_id}:{number}" for record_id, number in records)
    return Call("provider", (account, server, text, how, actor, seen), _claimed)


def noted_provider(ledger: LedgerClient, account: str) -> ProviderNote | None:
    """None if the account's jobs belong to no provider yet. Raises ServiceUnavailable."""
    with translated():
        fields = cast("dict[str, str]", ledger.client.hgetall(ledger.keys.provider(account)))
    if not fields.get("server"):
        return None
    records = tuple(_record(word) for word in fields.get("records", "").split())
    return ProviderNote(fields["server"], records, _moment(fields.get("since_ms")), _moment(fields.get("seen_ms")))


def not_released(ledger: LedgerClient, records: Sequence[OwnedRecord]) -> tuple[OwnedRecord, ...]:
    """Those of the records that the ledger doesn't know to be gone. Raises ServiceUnavailable."""
    if not records:
        return ()
    with translated():
        gone = ledger.client.zmscore(ledger.keys.history_gone, [number for _, number in records])
    return tuple(record for record, went in zip(records, gone, strict=True) if went is None)


def _claimed(reply: Sequence[str]) -> Claimed:
    word, server, since_ms = reply
    return Claimed(word == "ok", server, _moment(since_ms))


def _record(word: str) -> OwnedRecord:
    record_id, _, number = word.partition(":")
    return (int(record_id) if record_id.isdigit() else 0, number)


def _moment(milliseconds: str | None) -> datetime:
    return datetime.fromtimestamp(int(milliseconds or 0) / 1000, UTC)
