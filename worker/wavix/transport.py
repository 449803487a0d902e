"""One request, once. The key is added below everything that logs, keeps or prints a request, so none of that can leak it."""

import hashlib
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx
from pydantic import SecretStr

from didflow.contract.provider import NotNow, Unclear
from didflow.tracing.ports import ProviderExchange
from worker.wavix.answers import Said, classify_failure, heard_of
from worker.wavix.calls_in_flight import CallsUnderWay, path_template
from worker.wavix.connection import MAX_BODY_BYTES, AnswerTooLarge, Connection, Deadline
from worker.wavix.dialects import KeyPlace, authenticated
from worker.wavix.masking import KeyMask
from worker.wavix.request_gate import Admission, Leave

#: To reach the provider at all; the time-out of the whole call is a setting.
CONNECT_TIMEOUT_S = 5.0
#: The read that is sent ahead of a mutating call to determine whether a dead provider lives again: small, and in both dialects.
PROBE_PATH = "/v1/profile/config"
#: A connection that was idle for longer isn't used again: servers close theirs after a while.
KEEP_IDLE_S = 5.0

#: Called in the sending thread just before a request that changes something goes out, after all waiting. It raises if the sender may not
#: send it any more: a worker that was stopped for longer than its lease and continues must not do what another has taken over.
before_change: ContextVar[Callable[[], None] | None] = ContextVar("before_change", default=None)
#: Called in the sending thread after each request, where the attempt is traced. It raises nothing.
after_exchange: ContextVar[Callable[[ProviderExchange], None] | None] = ContextVar("after_exchange", default=None)

Params = Mapping[str, str | int | Sequence[int]]


@cache
def _trusted() -> ssl.SSLContext:
    """Whom a connection trusts: read once for a process, because it takes as long as a request does, and every thread has a client."""
    return httpx.create_ssl_context()


class OneDeadlineTransport(httpx.BaseTransport):
    """Sends a request once, within `timeout_s` from the first packet to the last byte. Errors are httpx's, and hold no address or header.

    Whatever changes something goes over a connection of its own. So do reads, but for the pages of one list: those say which page they
    are, so that an answer that a proxy sends twice can't be taken for the next one. No question is repeated over the same connection.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._connect_timeout_s = min(CONNECT_TIMEOUT_S, timeout_s)
        self._kept: Connection | None = None
        self._kept_for: httpx.URL | None = None
        self._pages_asked: set[str] = set()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        deadline = Deadline(self._timeout_s)
        listed = request.url.copy_remove_param("page")
        page = request.url.params.get("page") if request.method == "GET" else None
        connection = self._take_kept(listed, page) if page is not None else None
        if connection is None:
            connection = Connection.open(request.url, _trusted, deadline, self._connect_timeout_s)
            self._pages_asked = set()
        if page is None:
            request.headers["Connection"] = "close"
        try:
            head, body = connection.exchange(request, deadline)
        except BaseException:
            connection.close()
            raise
        if page is not None and connection.may_be_kept:
            self._kept, self._kept_for = connection, listed
            self._pages_asked.add(page)
        else:
            connection.close()
        return httpx.Response(head.status_code, headers=list(head.headers), stream=httpx.ByteStream(body))

    def distrust(self) -> None:
        """The last answer wasn't about what was asked: what comes next over that connection is no more to be believed."""
        if self._kept is not None:
            self._kept.close()
        self._kept = None

    def close(self) -> None:
        self.distrust()

    def _take_kept(self, listed: httpx.URL, page: str) -> Connection | None:
        kept, self._kept = self._kept, None
        if kept is None:
            return None
        fresh = time.monotonic() - kept.idle_since_s < KEEP_IDLE_S
        if fresh and listed == self._kept_for and page not in self._pages_asked and kept.is_silent:
            return kept
        kept.close()
        return None


class _WithKey(httpx.BaseTransport):
    """Puts the key on the wire. httpx logs the request it was given, and its errors carry that one: both without the key."""

    def __init__(self, inner: httpx.BaseTransport, key: SecretStr) -> None:
        self._inner, self._key = inner, key
        self.key_in: KeyPlace = "bearer"

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._inner.handle_request(authenticated(request, self._key, self.key_in))

    def close(self) -> None:
        self._inner.close()


def fingerprint(request: httpx.Request) -> str:
    """Fingerprint of a request, for the log and a job's steps: of method, path, query and body."""
    return hashlib.sha256(b"\n".join((request.method.encode(), request.url.raw_path, request.content))).hexdigest()[:8]


class Wire:
    """Sends requests, each once. For one thread at a time.

    `transport` replaces the network; `admission` is asked before every request, and hears how it went. `calls` knows what is under way.
    """

    def __init__(
        self,
        base_url: str,
        key: SecretStr,
        *,
        timeout_s: float,
        transport: httpx.BaseTransport | None,
        admission: Admission,
        calls: CallsUnderWay | None = None,
    ) -> None:
        self._mask, self._admission, self._calls = KeyMask(key.get_secret_value()), admission, calls or CallsUnderWay()
        self._kept_leave: tuple[Leave, float] | None = None  #: and until when it is good, monotonic
        #: How long the requests took so far, without the time they waited for their moment.
        self.under_way_s = 0.0
        self._network = OneDeadlineTransport(timeout_s)
        self._with_key = _WithKey(transport or self._network, key)
        self._client = httpx.Client(
            base_url=base_url.rstrip("/"),
            transport=self._with_key,
            # A megabyte of gzip can be a gigabyte of zeros; the answers are small.
            headers={"Accept-Encoding": "identity"},
            # Who sets cookies can't make a client remember them: each answer could bring new ones, and each request would send them all.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            follow_redirects=False,
            trust_env=False,
        )

    def request(self, method: str, path: str, *, params: Params | None = None, body: object = None) -> httpx.Request:
        """A request that can be sent; the key isn't in it."""
        return self._client.build_request(method, path, params=dict(params) if params else None, json=body)

    def upload(self, path: str, fields: Mapping[str, str], name: str, file: tuple[str, bytes, str]) -> httpx.Request:
        """A form with one file: what it is called, its content, its media type."""
        request = self._client.build_request("POST", path, data=dict(fields), files={name: file})
        request.read()  # As all other requests, so that it has a fingerprint.
        return request

    def put_key_in(self, place: KeyPlace) -> None:
        """Where the key goes in the next requests."""
        self._with_key.key_in = place

    def send(self, request: httpx.Request) -> Said | NotNow | Unclear:
        """Send it exactly once, when it may go; what came back, or what it means that nothing did. Raises NotAdmitted: it wasn't sent."""
        leave = self._leave_for(request.method)
        if request.method != "GET" and (may_send := before_change.get()):
            may_send()
        return self._exchange(leave, request)

    def await_turn(self) -> None:
        """Wait until a request that changes something may go, and keep that moment for the next request. Raises NotAdmitted."""
        leave = self._leave_for("")
        self._kept_leave = leave, time.monotonic() + leave.good_for_s

    def waits(self) -> bool:
        """Whether a request that was refused for its rate may be repeated: it then waits until the provider's pause is over."""
        return self._admission.waits()

    def _leave_for(self, method: str) -> Leave:
        kept, self._kept_leave = self._kept_leave, None
        if kept is not None and time.monotonic() <= kept[1]:
            return kept[0]
        leave = self._admission.ask()
        while leave.probe and method != "GET":
            # Nothing that changes something is sent to determine whether anybody is there.
            self._exchange(leave, self.request("GET", PROBE_PATH))
            leave = self._admission.ask()
        return leave

    def distrust(self) -> None:
        """The last answer can't be the one to the last question: the connection it came over isn't used again."""
        self._network.distrust()

    def _exchange(self, leave: Leave, request: httpx.Request) -> Said | NotNow | Unclear:
        began_s = time.monotonic()
        try:
            with self._calls.one():
                answer = self._once(request)
        finally:
            took_s = time.monotonic() - began_s
            self.under_way_s += took_s
        status = _status_class(answer)
        self._calls.count(request.method, request.url.path, status, took_s)
        self._admission.record(leave, heard_of(answer))
        if (traced := after_exchange.get()) is not None:
            traced(ProviderExchange(request.method, path_template(request.url.path), fingerprint(request), status, took_s))
        return answer

    def _once(self, request: httpx.Request) -> Said | NotNow | Unclear:
        try:
            answer = self._client.send(request, stream=True)
            try:
                if answer.headers.get("content-encoding", "identity").lower() != "identity":
                    return Unclear("ContentEncoding")  # It wasn't requested, and isn't unpacked to learn its size.
                body = _bounded(answer)
            finally:
                answer.close()
        except httpx.TransportError as error:
            return classify_failure(error)
        headers = {name.lower(): self._mask.text(value) for name, value in answer.headers.items()}
        # Without a backslash no text of the JSON is another one than in the body, and that is masked.
        return Said(answer.status_code, self._mask.raw(body), headers, self._mask.text if b"\\" in body else str)

    def close(self) -> None:
        self._client.close()
        self._network.close()


def _status_class(answer: Said | NotNow | Unclear) -> str:
    """For counting: ``2xx``, ``429``; ``not_sent`` if the provider wasn't reached, ``none`` if there was no whole answer."""
    match answer:
        case Said(status=429):
            return "429"
        case Said(status=status):
            return f"{status // 100}xx"
        case NotNow():
            return "not_sent"
    return "none"


def _bounded(answer: httpx.Response) -> bytes:
    """The body. Raises AnswerTooLarge."""
    body = bytearray()
    for chunk in answer.iter_bytes():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise AnswerTooLarge(f"more than {MAX_BODY_BYTES} bytes")
    return bytes(body)
