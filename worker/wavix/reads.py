"""Reads of one account: repeated while that can help, in the dialect that the server knows."""

from collections.abc import Callable
from typing import Literal, TypeVar

import httpx
import stamina
import structlog
from pydantic import SecretStr

from didflow.contract.provider import Barred, No, NotNow, NotNowReason, NotThere, ReadFailed, Unclear
from worker.wavix.answers import Said, not_now
from worker.wavix.calls_in_flight import CallsUnderWay
from worker.wavix.dialect_detection import DialectFinder, DialectSource, FixedDialect, meaning_of
from worker.wavix.dialects import PUBLISHED, Dialect, candidates
from worker.wavix.locations import LocationCache
from worker.wavix.parsing import Fields, Unreadable
from worker.wavix.request_gate import Admission, Free, NotAdmitted
from worker.wavix.transport import Params, Wire

T = TypeVar("T")

#: A million records.
MAX_PAGES = 10_000
READ_ATTEMPTS = 4
READ_WITHIN_S = 20.0
#: A read that the provider wants repeated later than this isn't waited for here: the job waits, without holding a thread.
READ_WAIT_MAX_S = 5.0
#: After a 429 that asks for no longer a pause than this, a read in the middle of an attempt waits in its thread.
LIMITED_MAX_S = 120.0

#: What a 403 to a read under these paths is about. The published contract gives keys scopes, and each call names the one that it needs.
RIGHTS = (("/v1/buy/", "search and buy numbers"), ("/v1/trunks", "read SIP trunks"), ("/v1/profile/", "read the balance"))

log = structlog.stdlib.get_logger("didflow.wavix")


class Again(Exception):
    """A read that may work when it is repeated."""

    def __init__(self, answer: NotNow) -> None:
        super().__init__(answer.reason.value)
        self.answer = answer


class NoSuchRoute(Exception):
    """The server doesn't know the path."""


def _again_after(error: Exception) -> bool | float:
    """When stamina may repeat a read: as the provider says, else after its own backoff."""
    if not isinstance(error, Again):
        return False
    wait_s = error.answer.retry_after_s or 0.0
    return wait_s <= READ_WAIT_MAX_S and (wait_s or True)


class Reads:
    """One account, for one thread at a time. Reads raise `ReadFailed` or `NotThere`."""

    def __init__(
        self,
        base_url: str,
        key: SecretStr,
        dialect: Literal["auto", "mydids", "numbers"] | DialectSource,
        *,
        timeout_s: float = 30.0,
        transport: httpx.BaseTransport | None = None,
        admission: Admission | None = None,
        locations: LocationCache | None = None,
        read_backoff_s: float = 0.2,
        max_pages: int = MAX_PAGES,
        calls: CallsUnderWay | None = None,
    ) -> None:
        self._dialects, self._max_pages = _source(dialect), max_pages
        self._http = Wire(base_url, key, timeout_s=timeout_s, transport=transport, admission=admission or Free(), calls=calls)
        self._locations = locations or LocationCache()
        self._read_backoff_s = read_backoff_s

    def close(self) -> None:
        self._http.close()

    def await_turn(self) -> None:
        try:
            self._http.await_turn()
        except NotAdmitted as held:
            raise ReadFailed(held.answer) from None

    def dialect(self) -> Dialect:
        """The one that reads have confirmed, and the next requests have the key where it wants it. Raises ReadFailed: there is none."""
        dialect = self._dialects.current(self._probe)
        self._http.put_key_in(dialect.key_in)
        return dialect

    def _read_known(self, path: str, params: Params, parse: Callable[[Fields], T], *, insist: bool = True) -> T:
        """A read whose path both dialects' servers know; a server that doesn't isn't the provider."""
        try:
            return self._read(path, params, parse, insist=insist)
        except NoSuchRoute:
            raise _unknown(path) from None

    def _read_owned(self, path_in: Callable[[Dialect], str], params: Params, parse: Callable[[Fields], T]) -> tuple[T, Dialect]:
        """Read what lies under the path of the owned list, and the dialect that it was read in.

        Where the server refuses the dialect, it is detected once more. A server that has given the path up may answer as for an unknown
        record: NotThere is raised only where the list is there.
        """
        dialect = self.dialect()
        try:
            return self._read(path_in(dialect), params, parse), dialect
        except NotThere:
            if path_in(dialect) != dialect.owned_path and self._dialects.is_surely_there(dialect, self._probe):
                raise
            if not self._dialects.doubt(dialect):
                raise
        except ReadFailed as failed:
            if not (isinstance(failed.answer, Barred) and failed.answer.status == 401 and self._dialects.doubt(dialect)):
                raise
        except NoSuchRoute:
            if not self._dialects.doubt(dialect):
                raise _unknown(path_in(dialect)) from None
        dialect = self.dialect()
        return self._read_known(path_in(dialect), params, parse), dialect

    def _read(self, path: str, params: Params, parse: Callable[[Fields], T], *, insist: bool = True) -> T:
        """What `parse` makes of the answer. What can't be read, or answers another question, must not look like what isn't there."""
        self.dialect()
        if insist:
            return self._repeated(lambda: self._parsed(self._read_once(path, params), parse))
        try:
            return self._parsed(self._read_once(path, params), parse)
        except (NotAdmitted, Again) as error:
            raise ReadFailed(error.answer) from None

    def _repeated(self, ask: Callable[[], T]) -> T:
        """What it returns in the end. Raises ReadFailed where it raised Again each time, or wasn't admitted.

        A refusal for the rate isn't counted where the gate makes the next try wait: what was read so far of a list would be lost.
        """
        while True:
            try:
                return self._tried(ask)
            except NotAdmitted as error:
                raise ReadFailed(error.answer) from None
            except Again as error:
                limited = error.answer.reason is NotNowReason.RATE_LIMITED
                if not (limited and (error.answer.retry_after_s or 0.0) <= LIMITED_MAX_S and self._http.waits()):
                    raise ReadFailed(error.answer) from None

    def _tried(self, ask: Callable[[], T]) -> T:
        """What it returns. Raises what it raised the last time; only the time that the requests take is limited."""
        before_s = self._http.under_way_s

        def again_after(error: Exception) -> bool | float:
            return self._http.under_way_s - before_s < READ_WITHIN_S and _again_after(error)

        for attempt in stamina.retry_context(
            on=again_after,
            attempts=READ_ATTEMPTS,
            timeout=None,
            wait_initial=self._read_backoff_s,
            wait_max=2.0,
            wait_jitter=5 * self._read_backoff_s,
        ):
            with attempt:
                return ask()
        raise AssertionError("stamina ends by returning or raising")

    def _parsed(self, raw: Fields, parse: Callable[[Fields], T]) -> T:
        try:
            return parse(raw)
        except Unreadable as error:
            log.warning("wavix.answer_unreadable", field=str(error))
            self._http.distrust()
            raise Again(NotNow(NotNowReason.UNAVAILABLE)) from None

    def _read_once(self, path: str, params: Params) -> Fields:
        said = self._http.send(self._http.request("GET", path, params=params))
        if isinstance(said, NotNow):
            raise Again(said)
        if isinstance(said, Unclear):
            raise Again(NotNow(NotNowReason.UNAVAILABLE))
        body = said.json()
        match said.status:
            case 200 if isinstance(body, dict):
                return body
            case 401 | 403 if not said.is_page:
                raise ReadFailed(self._barred(said.status, said.message, _right(path)))
            case 404 if not said.is_about_a_record:
                raise NoSuchRoute(path)
            case 404 | 422 if said.is_record_answer:
                raise NotThere(said.message)
            case status if 300 <= status < 500 and status not in (408, 429):
                # The same question would get the same answer. Only the API's own word counts; a gateway's ends with its trouble.
                refused = No("read_refused", f"{path}: {said.status} {said.message}")
                raise ReadFailed(refused if said.is_record_answer else NotNow(NotNowReason.UNAVAILABLE))
        raise Again(not_now(said) or NotNow(NotNowReason.UNAVAILABLE))

    def _probe(self, dialect: Dialect) -> Said | NotNow | Unclear:
        """Ask for one record of the owned list in this dialect."""
        self._http.put_key_in(dialect.key_in)

        def ask() -> Said:
            said = self._http.send(self._http.request("GET", dialect.owned_path, params={"page": 1, "per_page": 1}))
            if isinstance(said, NotNow):
                raise Again(said)
            if isinstance(said, Unclear):
                raise Again(NotNow(NotNowReason.UNAVAILABLE, words=said.reason))
            if said.status >= 500 or not_now(said) is not None:
                raise Again(not_now(said) or NotNow(NotNowReason.UNAVAILABLE, words=f"HTTP {said.status}"))
            return said

        try:
            return self._repeated(ask)
        except ReadFailed as failed:
            return failed.answer if isinstance(failed.answer, NotNow) else NotNow(NotNowReason.UNAVAILABLE)

    def _barred(self, status: int, message: str, right: str) -> Barred:
        """What a 401 or 403 is about. A 403 is about the call, if the account's owned list can be read all the same."""
        if status == 401 or not right:
            return Barred(status, message)
        try:
            owned = meaning_of(self._probe(self.dialect()))
        except ReadFailed:
            return Barred(status, message)
        return Barred(status, message, "" if owned == "refused" else right)


def _right(path: str) -> str:
    """What a 403 to a read says that the key may not do. Every job reads the owned list, so there it is nothing in particular."""
    return next((right for begins, right in RIGHTS if path.startswith(begins)), "")


def _source(dialect: Literal["auto", "mydids", "numbers"] | DialectSource) -> DialectSource:
    if dialect == "auto":
        return DialectFinder(candidates("auto", "auto"))
    return FixedDialect(PUBLISHED[dialect]) if isinstance(dialect, str) else dialect


def _unknown(path: str) -> ReadFailed:
    """A server that doesn't have a path that every server has isn't the provider."""
    log.error("wavix.route_unknown", path=path)
    return ReadFailed(NotNow(NotNowReason.UNAVAILABLE, words=f"the server has no {path} (404): check WAVIX_BASE_URL and WAVIX_DIALECT"))
