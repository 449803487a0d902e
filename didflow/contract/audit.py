"""The audit: every change that a person or a key makes, each entry chained to the previous one by its hash.

An entry that was changed, inserted, removed, or cut off at either end by hand is detected. A person who recomputes the whole chain is
detected only by an anchor that was stored elsewhere. `didflow.ledger.audit` has the form in which entries are kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from didflow.contract.errors import InvalidRequest
from didflow.contract.history import DIGEST_CHARACTERS
from didflow.contract.time_values import bounded

#: Characters of a reason, and of a request's id.
LONGEST_REASON, LONGEST_REQUEST_ID = 500, 100


@dataclass(frozen=True)
class AuditEntry:
    """The `n`th change of the namespace, on Redis's clock (UTC).

    actor       the person or the key that made it
    what        the verb: submit, cancel, retry, resolve, freeze, keys create, …
    on          what was changed, by kind of id: job, kind, account, reference; or subject
    detail      what else is to be known: a finding, the numbers, the scopes of a key
    reason      why, if that was given
    request_id  of the HTTP request, if it was one
    hash        of this entry
    cursor      its place, for `AuditPage`
    """

    n: int
    at: datetime
    actor: str
    what: str
    on: Mapping[str, str]
    detail: str | None
    reason: str | None
    request_id: str | None
    hash: str
    cursor: str


@dataclass(frozen=True)
class AuditPage:
    """Entries, newest first. A page may have fewer than the limit although more follow: `next_cursor` is None at the end."""

    entries: tuple[AuditEntry, ...]
    next_cursor: str | None


@dataclass(frozen=True)
class AuditFilter:
    """Which entries: by their exact actor, verb and job, and by time (`since` included, `until` not)."""

    actor: str | None = None
    what: str | None = None
    job: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        """Raises InvalidRequest for a time without a time zone."""
        for name, moment in (("since", self.since), ("until", self.until)):
            try:
                if moment is not None:
                    bounded(moment)
            except ValueError as error:
                raise InvalidRequest(f"{name}: {error}", ((name, str(error)),)) from None

    def fits(self, entry: AuditEntry) -> bool:
        wanted = (self.actor in (None, entry.actor), self.what in (None, entry.what), self.job in (None, entry.on.get("job")))
        return all(wanted) and (self.since is None or entry.at >= self.since) and (self.until is None or entry.at < self.until)

    def is_before(self, entry: AuditEntry) -> bool:
        """Whether the entry, and all that are older, are too old."""
        return self.since is not None and entry.at < self.since


@dataclass(frozen=True)
class AuditCheck:
    """The whole chain, walked.

    entries  how many are kept; `dropped`: how many older ones aren't any more
    anchor   count and hash of the newest entry (``7:3f0c…``); kept elsewhere it proves later that nothing up to there was rewritten
    faults   where the chain is broken, in words, the first hundred. Empty: it is intact
    """

    entries: int
    dropped: int
    anchor: str
    faults: tuple[str, ...] = field(default=())


def anchor_parts(anchor: str) -> tuple[int, str]:
    """Number and hash of an entry. Raises InvalidRequest for what isn't an anchor."""
    count, colon, digest = anchor.partition(":")
    if not colon or not (count.isascii() and count.isdecimal()) or len(count) > 15 or len(digest) != DIGEST_CHARACTERS:
        what = f"{anchor[:60]!r} is not one: `didflow audit --verify` prints them, such as 7:3f0c…"
        raise InvalidRequest(f"anchor: {what}", (("anchor", what),))
    return int(count), digest


def reason_given(reason: str, *, needed: bool = True) -> str:
    """The reason, if it can be stored. Raises InvalidRequest."""
    return _words("reason", reason, 1 if needed else 0, LONGEST_REASON)


def request_id_given(request_id: str) -> str:
    """The request's id, if it can be stored. Raises InvalidRequest."""
    return _words("request_id", request_id, 1, LONGEST_REQUEST_ID)


def _words(name: str, given: str, least: int, most: int) -> str:
    said = given.strip() if isinstance(given, str) else None
    if said is not None and least <= len(said) <= most and said.isprintable():
        return said
    what = f"is {least} to {most} printable characters"
    raise InvalidRequest(f"{name}: {what}", ((name, what),))
