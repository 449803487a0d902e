"""Finds out by reads alone which dialect a server takes, and notices when that changes.

A dialect is confirmed by a page of the owned list that was read in it. Nothing that changes something is sent in another one.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from didflow.contract.provider import Barred, NotNow, NotNowReason, ReadFailed, Unclear
from worker.wavix.answers import Said
from worker.wavix.dialects import Dialect

#: A dialect that no read has confirmed for this long is confirmed once more before it is used.
BELIEVED_S = 3600.0
#: "That record isn't there" is believed where the owned list was read in the same dialect within this time, or is read then.
SURELY_THERE_S = 5.0
#: A confirmation is shared with the other processes this often at most.
SHARE_EVERY_S = 60.0

#: Sends the read of one record of the owned list in that dialect, once or a few times; what came back.
Probe = Callable[[Dialect], Said | NotNow | Unclear]


class DialectSource(Protocol):
    """Says in which dialect an account's server is to be asked. Threads may share one."""

    def current(self, probe: Probe, /) -> Dialect:
        """A dialect that reads have confirmed. Raises ReadFailed: none is, so nothing may be sent."""
        ...

    def confirm(self, dialect: Dialect, /) -> None:
        """The owned list was read in it just now."""
        ...

    def doubt(self, dialect: Dialect, /) -> bool:
        """The server refused it. Whether another one may be found."""
        ...

    def is_surely_there(self, dialect: Dialect, probe: Probe, /) -> bool:
        """Whether the owned list can be read in it right now."""
        ...


class FixedDialect:
    """The one that the caller names, unchecked."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def current(self, _probe: Probe, /) -> Dialect:
        return self._dialect

    def confirm(self, dialect: Dialect, /) -> None:
        """Without shared storage."""

    def doubt(self, _dialect: Dialect, /) -> bool:
        return False

    def is_surely_there(self, _dialect: Dialect, _probe: Probe, /) -> bool:
        return True


@dataclass(frozen=True)
class Remembered:
    """What the account's processes know together: the dialect, and how long ago the owned list was last read in it."""

    dialect: Dialect
    age_s: float


class DialectMemory(Protocol):
    """Where the processes of an account share what they found. It may fail silently: then each process detects the dialect itself."""

    def recall(self) -> Remembered | None: ...
    def remember(self, dialect: Dialect) -> None: ...


@dataclass(frozen=True)
class _Known:
    dialect: Dialect
    confirmed_s: float
    shared_s: float


class DialectFinder:
    """Finds out for one account, in one process: one thread asks, the others wait for what it finds.

    `candidates` in the order of preference. `memory` None: nothing is shared.
    """

    def __init__(
        self, candidates: Sequence[Dialect], memory: DialectMemory | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._candidates, self._memory, self._clock = tuple(candidates), memory, clock
        self._finding = threading.Lock()
        self._known: _Known | None = None
        self._last: Dialect | None = None  #: what was known last, whether or not it is doubted
        self._failure: ReadFailed | None = None
        self._times_asked = 0

    def current(self, probe: Probe) -> Dialect:
        known = self._known
        if known is not None and self._clock() - known.confirmed_s < BELIEVED_S:
            return known.dialect
        times_asked = self._times_asked
        with self._finding:
            if self._times_asked != times_asked and self._failure is not None:
                raise ReadFailed(self._failure.answer)  # Another thread has just asked.
            known = self._known
            if known is not None and self._clock() - known.confirmed_s < BELIEVED_S:
                return known.dialect
            return self._recalled() or self._found(probe)

    def confirm(self, dialect: Dialect) -> None:
        now_s, known = self._clock(), self._known
        same = known is not None and known.dialect == dialect
        shared_s = known.shared_s if known is not None and same else float("-inf")
        share = self._memory is not None and now_s - shared_s >= SHARE_EVERY_S
        self._known, self._last = _Known(dialect, now_s, now_s if share else shared_s), dialect
        if share and self._memory is not None:
            self._memory.remember(dialect)

    def doubt(self, dialect: Dialect) -> bool:
        known = self._known
        if known is not None and known.dialect == dialect:
            self._known = None
        return True

    def is_surely_there(self, dialect: Dialect, probe: Probe) -> bool:
        known = self._known
        if known is not None and known.dialect == dialect and self._clock() - known.confirmed_s < SURELY_THERE_S:
            return True
        if meaning_of(probe(dialect)) != "taken":
            self.doubt(dialect)
            return False
        self.confirm(dialect)
        return True

    def _recalled(self) -> Dialect | None:
        """What another process has confirmed lately; not after this one has seen it refused."""
        if self._memory is None or self._last is not None:
            return None
        remembered = self._memory.recall()
        if remembered is None or remembered.dialect not in self._candidates:
            return None
        self._last = remembered.dialect
        if remembered.age_s >= BELIEVED_S:
            return None
        now_s = self._clock()
        self._known = _Known(remembered.dialect, now_s - remembered.age_s, now_s)
        return remembered.dialect

    def _found(self, probe: Probe) -> Dialect:
        self._failure = None
        try:
            dialect = find(self._order(), probe)
        except ReadFailed as failure:
            self._failure = failure
            raise
        finally:
            self._times_asked += 1
        self.confirm(dialect)
        return dialect

    def _order(self) -> tuple[Dialect, ...]:
        """What was known last is tried first, but never a URL with the key in it before a Bearer token."""
        return tuple(sorted(self._candidates, key=lambda one: (one.key_in == "query", one != self._last)))


Meaning = Literal["taken", "no_route", "refused", "not_now"]


def meaning_of(said: Said | NotNow | Unclear) -> Meaning:
    """What the answer to a read of the owned list says about the dialect it was asked in.

    refused   the key isn't taken there, or lacks the right: 401 or 403 of the API itself. A page of HTML is a gateway's
    no_route  any other refusal: a list has no record that could be missing, so a 404 can only mean the path
    """
    if not isinstance(said, Said) or (said.is_page and said.status != 404):
        return "not_now"
    match said.status:
        case 200:
            return "taken" if _is_owned_list(said) else "not_now"
        case 401 | 403:
            return "refused"
        case status if 300 <= status < 500 and status not in (408, 425, 429):
            return "no_route"
    return "not_now"


def _is_owned_list(said: Said) -> bool:
    """Whether it has the shape of one. A record in it that can't be read says nothing about the dialect."""
    body = said.json()
    return isinstance(body, dict) and body.get("success") is not False and "items" in body and isinstance(body.get("pagination"), dict)


def find(order: Sequence[Dialect], probe: Probe) -> Dialect:
    """The first of these in which the owned list can be read. Raises ReadFailed where it can in none, or can't be detected.

    The key goes into a URL only after every dialect with a Bearer token was clearly refused.
    """
    refused: list[tuple[Dialect, Said]] = []
    waiting: NotNow | None = None
    for dialect in order:
        if waiting is not None and dialect.key_in == "query":
            break
        said = probe(dialect)
        match meaning_of(said):
            case "taken":
                return dialect
            case "not_now":
                waiting = said if isinstance(said, NotNow) else NotNow(NotNowReason.UNAVAILABLE, words=f"{dialect}: {_words(said)}")
                if waiting.reason is not NotNowReason.UNAVAILABLE:
                    break  # Unreachable, or the rate is used up: the next one would get the same.
            case "refused" | "no_route" if isinstance(said, Said):
                refused.append((dialect, said))
    raise ReadFailed(waiting or _verdict(refused))


def _verdict(refused: Sequence[tuple[Dialect, Said]]) -> Barred | NotNow:
    """Why the owned list can be read in no dialect. A 403 says more than a 401: the key was checked."""
    for status in (403, 401):
        for _, said in refused:
            if said.status == status:
                return Barred(status, said.message)
    tried = "; ".join(f"{dialect}: {said.status}" for dialect, said in refused)
    return NotNow(NotNowReason.UNAVAILABLE, words=f"the owned list can't be read ({tried}): check WAVIX_BASE_URL and WAVIX_DIALECT")


def _words(said: Said | NotNow | Unclear) -> str:
    match said:
        case Said():
            return f"HTTP {said.status}" + ("" if said.status != 200 else ", unreadable")
        case Unclear(reason=reason):
            return reason
        case NotNow(reason=why):
            return why.value
