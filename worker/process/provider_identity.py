"""Whether the ledger belongs to the provider account that the settings name: else its answers would be about another account's numbers.

An order that the sandbox fulfilled would be answered with "succeeded" for a real account. So each account of a namespace
belongs to a server, which is noted by the first worker that starts, and to an account there, which is known by the numbers that it owns.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from didflow.contract.errors import ServiceUnavailable, WrongLedger
from didflow.contract.provider import NotThere, ReadFailed
from didflow.ledger.ledger import Ledger
from didflow.ledger.provider_identity import Claimed, OwnedRecord, ProviderNote, claim_ledger, not_released, noted_provider
from didflow.settings import SANDBOX, Account
from didflow.terminal.own_command import own_command
from worker.attempt.patience import UntilStopped
from worker.jobs.ports.provider import OwnedPort, Provider
from worker.wavix.request_gate import with_patience

#: What the account owns is noted again after this time, so that it can be known again although all its numbers were replaced.
NOTED_AGAIN_S = 3600.0
#: How soon that is tried again.
NOTE_AFTER_TROUBLE_S, CHECK_AGAIN_S = 60.0, 5.0
#: Of the noted records that the first page doesn't show this many are requested by id.
ASKED_FOR = 10

log = structlog.stdlib.get_logger("didflow.identity")


def claim_server(ledger: Ledger, name: str, account: Account) -> None:
    """Note that the account's jobs belong to this server. Raises WrongLedger if they belong to another one, ServiceUnavailable."""
    if not (claimed := ledger.run(claim_ledger(name, account.server))).ours:
        raise other_server(name, account.server, claimed)


def check_server(ledger: Ledger, name: str, account: Account) -> None:
    """The same for who only looks: nothing is noted. Raises WrongLedger, ServiceUnavailable."""
    note = noted_provider(ledger, name)
    if note is not None and note.server != account.server:
        raise other_server(name, account.server, note)


def other_server(name: str, server: str, found: Claimed | ProviderNote) -> WrongLedger:
    return WrongLedger(
        f"the jobs of account {name!r} in this ledger belong to {found.server}, since {found.since:%Y-%m-%d %H:%M} UTC, and the settings"
        f" name {server}: {_WAYS_OUT}"
    )


def other_account(name: str, server: str, note: ProviderNote) -> WrongLedger:
    some = ", ".join(number for _, number in note.records[:3])
    return WrongLedger(
        f"the jobs of account {name!r} in this ledger belong to another account of {server}: it owned {some} on"
        f" {note.seen_at:%Y-%m-%d %H:%M} UTC, and the account of this key owns none of its numbers: {_WAYS_OUT}"
    )


_WAYS_OUT = (
    "give this account another DIDFLOW_NAMESPACE, Redis or account name; or, if it is the same account that has moved,"
    f" stop the workers and run `{own_command()} adopt`"
)


@dataclass(frozen=True)
class Seen:
    """What the account shows: `records` of its first page, and noted ones if none of them is on it. `is_other`: it is another account."""

    records: tuple[OwnedRecord, ...]
    is_other: bool


def look_at(provider: OwnedPort, note: ProviderNote | None, ledger: Ledger) -> Seen:
    """Compare what the account owns with the note. Raises ReadFailed, ServiceUnavailable.

    It is another account if it has none of the noted records that we haven't released since. One that owned nothing when it was noted
    can't be distinguished from another one.
    """
    shown = tuple((one.record_id, one.number) for one in provider.owned(page=1).items)
    noted = note.records if note is not None else ()
    if not noted or set(noted) & set(shown):
        return Seen(shown, is_other=False)
    expected = not_released(ledger, noted)
    found = tuple(record for record in expected[:ASKED_FOR] if _is_owned(provider, record))
    return Seen(found + shown, is_other=bool(expected) and not found)


def _is_owned(provider: OwnedPort, record: OwnedRecord) -> bool:
    try:
        return provider.owned_one(record[0]).number == record[1]
    except NotThere:
        return False


class IdentityGuard:
    """One process's. Every attempt passes it; it asks the provider once, and then once an hour."""

    def __init__(self, ledger: Ledger, accounts: dict[str, Account]) -> None:
        self._ledger, self._accounts = ledger, accounts
        self._locks = {name: threading.Lock() for name in accounts}
        self._known_s: dict[str, float] = {}
        self.names = tuple(accounts)
        #: Why this process must end.
        self.refused: WrongLedger | None = None

    def check(self, name: str, provider: OwnedPort) -> None:
        """Raises WrongLedger; ReadFailed where it can't be known, and was not known before."""
        if self.refused is not None:
            raise self.refused
        if self._is_fresh(name):
            return
        with self._locks[name]:
            if self._is_fresh(name):
                return
            try:
                self._look(name, self._accounts[name], provider)
            except (ReadFailed, ServiceUnavailable):
                if name not in self._known_s:
                    raise
                self._known_s[name] += NOTE_AFTER_TROUBLE_S

    def is_known(self, name: str) -> bool:
        """Whether it was checked, and is the account that the ledger belongs to."""
        return self.refused is None and (name in self._known_s or self._is_fresh(name))

    def _is_fresh(self, name: str) -> bool:
        account = self._accounts.get(name)
        if account is None or account.server == SANDBOX:
            return True
        return time.monotonic() - self._known_s.get(name, float("-inf")) < NOTED_AGAIN_S

    def _look(self, name: str, account: Account, provider: OwnedPort) -> None:
        server, note = account.server, noted_provider(self._ledger, name)
        if note is not None and note.server != server:
            self._refuse(other_server(name, server, note))
        seen = look_at(provider, note, self._ledger)
        if seen.is_other and note is not None:
            self._refuse(other_account(name, server, note))
        self._ledger.run(claim_ledger(name, server, seen.records))
        self._known_s[name] = time.monotonic()

    def _refuse(self, error: WrongLedger) -> None:
        self.refused = error
        raise error


class IdentityWatch(threading.Thread):
    """Has the guard check every account when the process has started, and from then on, also while there is no job."""

    def __init__(self, guard: IdentityGuard, providers: Callable[[str], Provider], stopping: threading.Event) -> None:
        super().__init__(name="identity", daemon=True)
        self._guard, self._providers, self._stopping = guard, providers, stopping

    def run(self) -> None:
        with with_patience(UntilStopped(self._stopping)):
            while self._guard.refused is None:
                for name in self._guard.names:
                    self._check(name)
                if self._stopping.wait(CHECK_AGAIN_S):
                    return

    def _check(self, name: str) -> None:
        try:
            self._guard.check(name, self._providers(name))
        except WrongLedger as error:
            log.error("identity.wrong_ledger", account=name, error=str(error))
        except (ReadFailed, ServiceUnavailable) as error:
            log.warning("identity.unknown", account=name, error=str(error))
