"""The history of a number as the ledger stores it: each entry chained to the previous one by its hash.

An entry is a JSON text that is never rewritten. It has the hash of the entry before it (`after`). Its own hash is the SHA-1 of the number
and that text, so that an entry that was changed, moved, inserted or removed by hand is detected.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from didflow.contract.history import Happened, History, HistoryEntry
from didflow.ledger.records import read_record
from didflow.ledger.views import moment


class _Head(BaseModel):
    """As `scripts/include/histories.lua` writes it; what else it has is for the script."""

    count: int
    hash: str
    dropped: int
    cut: str


class _Entry(BaseModel):
    n: int
    after: str | None
    at_ms: int
    job: str | None
    kind: str
    account: str
    reference: str | None
    actor: str | None
    happened: Happened


def read_history(number: str, head: str | None, kept: Sequence[str]) -> History:
    """The history as the ledger stores it: its head and its entries. Reports each broken link."""
    if head is None and not kept:
        return History(number, (), 0, "", ())
    end = read_record(_Head, head) or _Head(count=0, hash="", dropped=0, cut="")
    entries: list[HistoryEntry] = []
    faults = [] if end.hash else ["what the chain ends in isn't there, or can't be read"]
    before, n = end.cut, end.dropped
    for text in kept:
        n += 1
        digest, entry = _hash(number, text), read_record(_Entry, text)
        at = moment(str(entry.at_ms)) if entry else None
        if entry is None or at is None:
            faults.append(f"entry {n} can't be read")
        else:
            if entry.n != n:
                faults.append(f"entry {n}: entry {entry.n} is in its place")
            if (entry.after or "") != before:
                faults.append(f"entry {n}: the hash in it is not that of the entry before")
            happened = entry.happened if entry.happened.actor else entry.happened.model_copy(update={"actor": entry.actor})
            entries.append(HistoryEntry(entry.n, at, entry.job, entry.kind, entry.account, entry.reference, happened, digest))
        before = digest
    if end.hash and (n, before) != (end.count, end.hash):
        faults.append(
            f"the chain ends in entry {end.count} with hash {end.hash}, but what is kept ends in entry {n} with hash {before or 'none'}"
        )
    return History(number, tuple(entries), end.dropped, f"{end.count}:{end.hash}" if end.hash else "", tuple(faults), end.cut)


def happened_text(happened: Mapping[str, Happened]) -> str:
    """As the scripts take it; empty for none."""
    return json.dumps(happened_fields(happened)) if happened else ""


def happened_fields(happened: Mapping[str, Happened]) -> dict[str, dict[str, str]]:
    """The same as an object."""
    return {number: fields_of_one(one) for number, one in happened.items()}


def one_happened_text(happened: Happened) -> str:
    """What happened to one number, as the scripts take it."""
    return json.dumps(fields_of_one(happened))


def fields_of_one(happened: Happened) -> dict[str, str]:
    """What the scripts need to know of it, and its text, which goes into the entry as it is."""
    record_id = {} if happened.record_id is None else {"record_id": str(happened.record_id)}
    return {"what": str(happened.what), **record_id, "text": happened.model_dump_json(exclude_none=True)}


def _hash(number: str, text: str) -> str:
    return hashlib.sha1(f"{number}{text}".encode(), usedforsecurity=False).hexdigest()
