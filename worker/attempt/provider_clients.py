"""The provider's client for each account, one per thread, all of an account behind one rate limiter."""

import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TypeVar

from didflow.contract.errors import InvalidSettings
from didflow.contract.numbers import NumberType
from didflow.contract.provider import Offer, OwnedAsk, OwnedNumber, Page
from didflow.contract.states import Lane
from didflow.ledger.ledger import Ledger
from didflow.ledger.rate_limit import Breaker, Pace
from didflow.settings import Account, Settings
from worker.attempt.dialects import finder_of
from worker.attempt.lists_read import ListsRead, SawList
from worker.attempt.rate_limiter import SharedRateLimiter
from worker.jobs.ports.provider import Provider
from worker.pages import PER_PAGE
from worker.wavix.calls_in_flight import CallsUnderWay
from worker.wavix.client import WavixClient
from worker.wavix.dialect_detection import DialectSource
from worker.wavix.locations import LocationCache
from worker.wavix.parsing import Fields
from worker.wavix.request_gate import Admission

#: A probe is waited for this much longer than its request may take.
PROBE_GRACE_S = 10.0
#: The breaker's pause doubles up to this multiple of the first one.
BREAKER_GROWS_TO = 6.0
#: Pages of owned numbers that a process reads side by side: enough for some 200 a second from a provider that takes 50 ms.
READERS = 12

T = TypeVar("T")

#: Takes an account, when a read of owned numbers was asked for (s on `time.monotonic`), and what it showed.
Saw = Callable[[str, float, Sequence[OwnedNumber]], object]


class Providers:
    """Call it with an account's name and the job's lane. Raises InvalidSettings for an account that this worker doesn't know."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        saw: Saw | None = None,
        saw_list: SawList | None = None,
    ) -> None:
        """`clock` and `sleep` are those of the gates: seconds, monotonic. `saw` gets every owned number that is read, `saw_list` every
        whole list of the stock."""
        self._saw, self._saw_list = saw, saw_list
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
        return self._of_this_thread(account, emergency=lane is Lane.EMERGENCY, saw=self._saw)

    def of_a_sweep(self, account: str) -> Provider:
        """For a thread that writes by itself what it reads."""
        return self._of_this_thread(account, emergency=False, saw=None)

    def _of_this_thread(self, account: str, *, emergency: bool, saw: Saw | None) -> "Client":
        clients: dict[tuple[str, bool], Client] = self._mine.__dict__.setdefault("clients", {})
        if (account, emergency) not in clients:
            clients[account, emergency] = self._client(account, emergency=emergency, saw=saw)
        return clients[account, emergency]

    def _client(self, account: str, *, emergency: bool, saw: Saw | None) -> "Client":
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
            return self._of_this_thread(account, emergency=emergency, saw=saw).owned(page=ask.page, search=ask.search, label=ask.label)

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
            partial(saw, account) if saw is not None else None,
            ListsRead(account, self._saw_list) if self._saw_list is not None else None,
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
        saw: Callable[[float, Sequence[OwnedNumber]], object] | None,
        lists: ListsRead | None,
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
        self._read_beside, self._side_by_side, self._saw, self._lists = read, side_by_side, saw, lists

    def owned(self, *, page: int, search: str | None = None, label: str | None = None, per_page: int = PER_PAGE) -> Page[OwnedNumber]:
        asked_s = time.monotonic()
        shown = super().owned(page=page, search=search, label=label, per_page=per_page)
        if self._saw is not None:
            self._saw(asked_s, shown.items)
        return shown

    def offers(self, country_id: int, city_id: int, *, sms_only: bool, page: int, number_type: NumberType = "all") -> Page[Offer]:
        asked_s = time.monotonic()
        shown = super().offers(country_id, city_id, sms_only=sms_only, page=page, number_type=number_type)
        if self._lists is not None and not sms_only and number_type == "all":
            self._lists.offers(country_id, city_id, shown, asked_s, self._titles)
        return shown

    def _places_page(self, path: str, name: str, parse: Callable[[Fields], T], page: int) -> Page[T]:
        asked_s = time.monotonic()
        shown = super()._places_page(path, name, parse, page)
        if self._lists is not None:
            self._lists.places(path, shown, asked_s)
        return shown

    def owned_one(self, record_id: int) -> OwnedNumber:
        asked_s = time.monotonic()
        shown = super().owned_one(record_id)
        if self._saw is not None:
            self._saw(asked_s, (shown,))
        return shown

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
