"""HTTP/1.1 over one socket: one deadline from the first packet of the connection to the last byte of the answer, and limits on its size.

httpx's time-outs are those of single reads: a server that sends one byte a second holds a caller for as long as it likes.
"""

import select
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import h11
import httpx

#: An owned list's page of a hundred records takes some 150 kB.
MAX_BODY_BYTES = 2 * 1024 * 1024
MAX_HEAD_BYTES = 64 * 1024
#: Answers such as "100 Continue" that may come before the real one.
MAX_INFORMATIONAL = 10
_READ_BYTES = 64 * 1024

T = TypeVar("T")
SSLContextMaker = Callable[[], ssl.SSLContext]


class AnswerTooLarge(httpx.TransportError):
    """More bytes than any answer of the contract has."""


class OneAnswerTooMany(httpx.TransportError):
    """More came than was requested, so which answer belongs to which question isn't known."""


class Deadline:
    """The end of a call, on the monotonic clock."""

    def __init__(self, timeout_s: float) -> None:
        self._end_s = time.monotonic() + timeout_s

    def left_s(self) -> float:
        """Seconds that are left. Raises TimeoutError if there are none."""
        left_s = self._end_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s


class Connection:
    """One connection, for one question at a time. `used` is how many answers it has given."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._http = _protocol()
        self.used = 0
        self.idle_since_s = time.monotonic()

    @classmethod
    def open(cls, url: httpx.URL, trusted: SSLContextMaker, deadline: Deadline, connect_timeout_s: float) -> "Connection":
        """Raises ConnectError or ConnectTimeout: nothing was sent."""
        host, port = url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80)

        def dial() -> socket.socket:
            return _dial(url.scheme, host, port, trusted, Deadline(min(connect_timeout_s, deadline.left_s())))

        return cls(_failing_as(httpx.ConnectTimeout, httpx.ConnectError, dial))

    @property
    def is_silent(self) -> bool:
        """Whether nothing waits to be read: neither the end of the connection nor unrequested bytes."""
        pending = isinstance(self._stream, ssl.SSLSocket) and self._stream.pending() > 0
        return not pending and not _readable(self._stream)

    @property
    def may_be_kept(self) -> bool:
        """Whether another question may follow."""
        return self._http.our_state is h11.IDLE and self.is_silent

    def exchange(self, request: httpx.Request, deadline: Deadline) -> tuple[h11.Response, bytes]:
        """Send the request, whose body is in memory, and read its answer whole. Raises httpx.TransportError."""
        headers = [(name, value) for name, value in request.headers.raw if name.lower() != b"transfer-encoding"]
        sending = self._http.send(h11.Request(method=request.method, target=request.url.raw_path, headers=headers)) or b""
        if content := request.read():
            sending += self._http.send(h11.Data(data=content)) or b""
        sending += self._http.send(h11.EndOfMessage()) or b""
        with suppress(httpx.WriteError):  # A server may refuse a request before it has read all of it: its answer is still read.
            _failing_as(httpx.WriteTimeout, httpx.WriteError, lambda: self._send(sending, deadline))
        head, body = self._answer(deadline)
        more = bool(self._http.trailing_data[0])
        if more and self.used:
            raise OneAnswerTooMany("more than one answer came to a question")
        self.used += 1
        if not more and self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        self.idle_since_s = time.monotonic()
        return head, body

    def close(self) -> None:
        self._stream.close()

    def _answer(self, deadline: Deadline) -> tuple[h11.Response, bytes]:
        head: h11.Response | None = None
        body, informational = bytearray(), 0
        while True:
            event = self._next_event(deadline)
            if isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_BODY_BYTES:
                    raise AnswerTooLarge(f"more than {MAX_BODY_BYTES} bytes")
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                return head, bytes(body)
            elif isinstance(event, h11.InformationalResponse) and informational < MAX_INFORMATIONAL:
                informational += 1
            else:
                raise httpx.RemoteProtocolError(f"{type(event).__name__} instead of an answer")

    def _next_event(self, deadline: Deadline) -> object:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(_failing_as(httpx.ReadTimeout, httpx.ReadError, lambda: self._receive(deadline)))
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(type(error).__name__) from None
        return event

    def _send(self, content: bytes, deadline: Deadline) -> None:
        left = memoryview(content)
        while left:
            self._stream.settimeout(deadline.left_s())
            left = left[self._stream.send(left) :]

    def _receive(self, deadline: Deadline) -> bytes:
        self._stream.settimeout(deadline.left_s())
        return self._stream.recv(_READ_BYTES)


def _protocol() -> h11.Connection:
    return h11.Connection(our_role=h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)


def _dial(scheme: str, host: str, port: int, trusted: SSLContextMaker, deadline: Deadline) -> socket.socket:
    """The first address that answers; each has its share of the time that is left."""
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failed: OSError = OSError("the name has no address")
    for place, (family, kind, protocol, _, address) in enumerate(addresses):
        stream = socket.socket(family, kind, protocol)
        try:
            stream.settimeout(deadline.left_s() / (len(addresses) - place))
            stream.connect(address)
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if scheme != "https":
                return stream
            stream.settimeout(deadline.left_s())
            return trusted().wrap_socket(stream, server_hostname=host)
        except OSError as error:
            stream.close()
            failed = error
    raise failed


def _readable(stream: socket.socket) -> bool:
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    return bool(poll.poll(0))


def _failing_as(late: type[httpx.TransportError], broken: type[httpx.TransportError], act: Callable[[], T]) -> T:
    """`act`, whose errors are those of httpx; without their words, in which an address or a header may stand."""
    try:
        return act()
    except TimeoutError as error:
        raise late(type(error).__name__) from None
    except OSError as error:
        raise broken(type(error).__name__) from None
