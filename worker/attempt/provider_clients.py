"""The provider's client for each account, one per thread, all of an account behind one rate limiter."""

import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context

from didflow.contract.errors import InvalidSettings
from didflow.contract.provider import OwnedAsk, OwnedNumber, Page
from didflow.contract.states import Lane
from didflow.ledger.ledger import Ledger
from didflow.ledger.rate_limit import Breaker, Pace
from didflow.settings import Account, Settings
from worker.attempt.dialects import finder_of
from worker.attempt.rate_limiter import SharedRateLimiter
from worker.jobs.ports.provider import Provider
from worker.wavix.calls_in_flight import CallsUnderWay
from worker.wavix.client import WavixClient
from worker.wavix.dialect_detection import DialectSource
from worker.wavix.locations import LocationCache
from worker.wavix.request_gate import Admission

#: A probe is waited for this much longer than its request may take.
PROBE_GRACE_S = 10.0
#: The breaker's pause doubles up to this multiple of the first one.
BREAKER_GROWS_TO = 6.0
#: Pages of owned numbers that a process reads side by side: enough for some 200 a second from a provider that takes 50 ms.
READERS = 12


class Providers:
    """Call it with an account's name and the job's lane. Raises InvalidSettings for an account that this worker doesn't know."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """`clock` and `sleep` are those of the gates: seconds, monotonic."""
        self._clock, self._sleep = clock, sleep
        self._timeout_s, self._max_pages, self._ledger = settings.http_timeout, settings.list_pages, ledger
        #: What is under way, of all accounts and threads.
        self.calls = CallsUnderWay()
        self._accounts = settings.all_accounts()
        self._pace = pace_from(settings)
        pause_s = settings.breaker_seconds
        self._breaker = Breaker(first_s=pause_s, last_s=BREAKER_GROWS_TO * pause_s, probe_s=settings.http_timeout + PROBE_GRACE_S)
        self._locations = {name: LocationCache() for name in self._accounts}
        self._dialects = {name: finder_of(name, account, ledger) for name, account in self._accounts.items()}
        self._mine = threading.local()
        # As many pages as the rate limiter lets through in two seconds, and not more: others wait behind them.
        self._side_by_side = max(1, min(READERS, math.ceil(2 * settings.rate_limit)))
        # Their own for emergencies and for each account: the readers of one may have to wait long for their moment.
        self._readers = {
            (name, emergency): ThreadPoolExecutor(READERS, thread_name_prefix=f"reader {name}")
            for name in self._accounts
            for emergency in (True, False)
        }

    def __call__(self, account: str, lane: Lane) -> Provider:
        return self._of_this_thread(account, emergency=lane is Lane.EMERGENCY)

    def _of_this_thread(self, account: str, *, emergency: bool) -> "Client":
        clients: dict[tuple[str, bool], Client] = self._mine.__dict__.setdefault("clients", {})
        if (account, emergency) not in clients:
            clients[account, emergency] = self._client(account, emergency=emergency)
        return clients[account, emergency]

    def _client(self, account: str, *, emergency: bool) -> "Client":
        known = self._accounts.get(account)
        if known is None:
            raise InvalidSettings(
                f"this worker has no account {account!r}: set WAVIX_API_KEY for `default`, or add a table to the file in DIDFLOW_ACCOUNTS"
            )
        limiter = SharedRateLimiter(
            self._ledger, account, self._pace, self._breaker, emergency=emergency, clock=self._clock, sleep=self._sleep
        )
        readers = self._readers[account, emergency]

        def read(ask: OwnedAsk) -> Page[OwnedNumber]:
            return self._of_this_thread(account, emergency=emergency).owned(page=ask.page, search=ask.search, label=ask.label)

        return Client(
            known,
            self._dialects[account],
            self._timeout_s,
            self._max_pages,
            limiter,
            self._locations[account],
            self.calls,
            # With the context: a reader waits as patiently as the attempt that it reads for.
            lambda ask: readers.submit(copy_context().run, read, ask),
            self._side_by_side,
        )


class Client(WavixClient):
    """A client of one thread that has the process's readers help it with long lists; each of them has a client of its own."""

    def __init__(
        self,
        account: Account,
        dialects: DialectSource,
        timeout_s: float,
        max_pages: int,
        admission: Admission,
        locations: LocationCache,
        calls: CallsUnderWay,
        read: Callable[[OwnedAsk], Future[Page[OwnedNumber]]],
        side_by_side: int,
    ) -> None:
        super().__init__(
            account.base_url,
            account.api_key,
            dialects,
            timeout_s=timeout_s,
            max_pages=max_pages,
            admission=admission,
            locations=locations,
            calls=calls,
        )
        self._read_beside, self._side_by_side = read, side_by_side

    def owned_many(self, asks: Iterable[OwnedAsk]) -> Iterator[Page[OwnedNumber]]:
        """In the order of the questions, with a few answers in memory at a time. Raises what the first one that fails raises."""
        if self._side_by_side == 1:
            yield from super().owned_many(asks)
            return
        left, under_way = iter(asks), deque[Future[Page[OwnedNumber]]]()
        try:
            under_way.extend(self._read_beside(ask) for ask in itertools.islice(left, self._side_by_side))
            while under_way:
                yield under_way.popleft().result()
                under_way.extend(self._read_beside(ask) for ask in itertools.islice(left, 1))
        finally:
            for reading in under_way:
                reading.cancel()


def pace_from(settings: Settings) -> Pace:
    """How fast the settings allow an account to be asked."""
    return Pace.of(settings.rate_limit, settings.emergency_share)


def client_of(
    account: Account,
    dialects: DialectSource,
    *,
    timeout_s: float,
    admission: Admission | None = None,
    locations: LocationCache | None = None,
) -> WavixClient:
    """A client of one account; not shared between threads."""
    return WavixClient(account.base_url, account.api_key, dialects, timeout_s=timeout_s, admission=admission, locations=locations)
