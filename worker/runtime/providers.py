"""The provider's client for each account, one per thread, all of an account behind one gate."""

import threading

from worker.contract.errors import InvalidSettings
from worker.contract.states import Lane
from worker.jobs.ports import Provider
from worker.ledger.admission import Breaker, Pace
from worker.ledger.ledger import Ledger
from worker.runtime.admission import SharedAdmission
from worker.settings import Account, Settings
from worker.wavix.admission import Admission
from worker.wavix.client import WavixClient
from worker.wavix.locations import LocationCache

#: A probe is waited for this much longer than its request may take.
PROBE_GRACE_S = 10.0
#: The breaker's pause doubles up to so many times the first one.
BREAKER_GROWS_TO = 6.0


class Providers:
    """Call it with an account's name and the job's lane. Raises InvalidSettings for an account that this worker doesn't know."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._timeout_s, self._ledger = settings.http_timeout, ledger
        self._accounts = settings.all_accounts()
        self._pace = pace_from(settings)
        pause_s = settings.breaker_seconds
        self._breaker = Breaker(first_s=pause_s, last_s=BREAKER_GROWS_TO * pause_s, probe_s=settings.http_timeout + PROBE_GRACE_S)
        self._locations = {name: LocationCache() for name in self._accounts}
        self._mine = threading.local()

    def __call__(self, account: str, lane: Lane) -> Provider:
        emergency = lane is Lane.EMERGENCY
        clients: dict[tuple[str, bool], Provider] = self._mine.__dict__.setdefault("clients", {})
        if (account, emergency) not in clients:
            clients[account, emergency] = self._client(account, emergency=emergency)
        return clients[account, emergency]

    def _client(self, account: str, *, emergency: bool) -> WavixClient:
        known = self._accounts.get(account)
        if known is None:
            raise InvalidSettings(
                f"this worker has no account {account!r}: set WAVIX_API_KEY for `default`, or add a table to the file in DIDFLOW_ACCOUNTS"
            )
        gate = SharedAdmission(self._ledger, account, self._pace, self._breaker, emergency=emergency)
        return client_of(known, timeout_s=self._timeout_s, admission=gate, locations=self._locations[account])


def pace_from(settings: Settings) -> Pace:
    """How fast the settings allow an account to be asked."""
    return Pace.of(settings.rate_limit, settings.emergency_share)


def client_of(
    account: Account, *, timeout_s: float, admission: Admission | None = None, locations: LocationCache | None = None
) -> WavixClient:
    """A client of one account; not shared between threads."""
    return WavixClient(account.base_url, account.api_key, account.dialect, timeout_s=timeout_s, admission=admission, locations=locations)
