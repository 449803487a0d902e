"""One request, once. The key is added below everything that logs, keeps or prints a request, so none of that can leak it."""

import hashlib
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import cache

import httpx
from pydantic import SecretStr

from worker.contract.provider import NotNow, Unclear
from worker.wavix.admission import Admission, Leave
from worker.wavix.answers import Said, classify_failure, heard_of
from worker.wavix.dialects import Dialect

#: To reach the provider at all; the time-out of the whole call is a setting.
CONNECT_TIMEOUT_S = 5.0
#: The read that is sent ahead of a mutating call to find out whether a dead provider lives again: small, and in both dialects.
PROBE_PATH = "/v1/profile/config"

#: Called in the sending thread just before a request that changes something goes out, after all waiting. It raises if the sender may not
#: send it any more: a worker that was stopped for longer than its lease and goes on must not do what another has taken over.
before_change: ContextVar[Callable[[], None] | None] = ContextVar("before_change", default=None)

Params = Mapping[str, str | int | Sequence[int]]


@cache
def _trusted() -> ssl.SSLContext:
    """Whom a connection trusts: read once for a process, because it takes as long as a request does, and every thread has a client."""
    return httpx.create_ssl_context()


class _WithKey(httpx.BaseTransport):
    """Puts the key on the wire. httpx logs the request it was given, and its errors carry that one: both without the key."""

    def __init__(self, inner: httpx.BaseTransport, dialect: Dialect, key: SecretStr) -> None:
        self._inner, self._dialect, self._key = inner, dialect, key

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._inner.handle_request(self._dialect.authenticated(request, self._key))

    def close(self) -> None:
        self._inner.close()


def fingerprint(request: httpx.Request) -> str:
    """What tells a request from another one in the log and in a job's story: of method, path, query and body."""
    return hashlib.sha256(b"\n".join((request.method.encode(), request.url.raw_path, request.content))).hexdigest()[:8]


class Wire:
    """Sends requests over few kept connections. For one thread at a time.

    `transport` replaces the network; `admission` is asked before every request, and told how it went.
    """

    def __init__(
        self,
        base_url: str,
        key: SecretStr,
        dialect: Dialect,
        *,
        timeout_s: float,
        transport: httpx.BaseTransport | None,
        admission: Admission,
    ) -> None:
        self._key, self._admission = key, admission
        # retries=0: also for a connection that failed, because nobody but the job decides what is sent again.
        network = transport or httpx.HTTPTransport(
            verify=_trusted(), retries=0, limits=httpx.Limits(max_connections=2, max_keepalive_connections=1)
        )
        self._client = httpx.Client(
            base_url=base_url.rstrip("/"),
            transport=_WithKey(network, dialect, key),
            timeout=httpx.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s)),
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

    def send(self, request: httpx.Request) -> Said | NotNow | Unclear:
        """Send it exactly once, when it may go; what came back, or what it means that nothing did. Raises NotAdmitted: it wasn't sent."""
        leave = self._admission.ask()
        while leave.probe and request.method != "GET":
            # Nothing that changes something is sent to find out whether anybody is there.
            self._exchange(leave, self.request("GET", PROBE_PATH))
            leave = self._admission.ask()
        if request.method != "GET" and (may_send := before_change.get()):
            may_send()
        return self._exchange(leave, request)

    def _exchange(self, leave: Leave, request: httpx.Request) -> Said | NotNow | Unclear:
        answer = self._once(request)
        self._admission.tell(leave, heard_of(answer))
        return answer

    def _once(self, request: httpx.Request) -> Said | NotNow | Unclear:
        try:
            answer = self._client.send(request)
        except httpx.TransportError as error:
            return classify_failure(error)
        except httpx.DecodingError as error:
            return Unclear(type(error).__name__)
        return Said(answer.status_code, self._masked(answer.content), {name.lower(): value for name, value in answer.headers.items()})

    def _masked(self, body: bytes) -> bytes:
        """A provider that quotes the key in an error would have it stored and shown."""
        return body.replace(self._key.get_secret_value().encode(), b"***")

    def close(self) -> None:
        self._client.close()
