"""The provider's client for each account, one per thread, all of an account behind one rate limit."""

import threading
from collections.abc import Callable

from worker.contract.errors import InvalidSettings
from worker.jobs.ports import Provider
from worker.runtime.rate_limit import Throttle
from worker.settings import Account, Settings
from worker.wavix.client import WavixClient
from worker.wavix.locations import LocationCache


class Providers:
    """Call it with an account's name. Raises InvalidSettings for an account that this worker doesn't know."""

    def __init__(self, settings: Settings) -> None:
        self._timeout_s = settings.http_timeout
        self._accounts = settings.all_accounts()
        self._throttles = {name: Throttle(settings.rate_limit) for name in self._accounts}
        self._locations = {name: LocationCache() for name in self._accounts}
        self._mine = threading.local()

    def __call__(self, account: str) -> Provider:
        clients: dict[str, Provider] = self._mine.__dict__.setdefault("clients", {})
        if account not in clients:
            clients[account] = self._client(account)
        return clients[account]

    def _client(self, account: str) -> WavixClient:
        known = self._accounts.get(account)
        if known is None:
            raise InvalidSettings(
                f"this worker has no account {account!r}: set WAVIX_API_KEY for `default`, or add a table to the file in DIDFLOW_ACCOUNTS"
            )
        return client_of(known, timeout_s=self._timeout_s, throttle=self._throttles[account], locations=self._locations[account])


def client_of(
    account: Account, *, timeout_s: float, throttle: Callable[[], None] | None = None, locations: LocationCache | None = None
) -> WavixClient:
    """A client of one account; not shared between threads."""
    return WavixClient(account.base_url, account.api_key, account.dialect, timeout_s=timeout_s, throttle=throttle, locations=locations)
