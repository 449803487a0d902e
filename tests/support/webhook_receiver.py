"""A server that webhooks are posted to: it keeps what it gets, and answers as the test sets it."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: Long enough for a busy machine.
WITHIN_S = 60.0


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass(frozen=True)
class Reply:
    """An answer. `hold`: it waits for this."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    hold: threading.Event | None = None


class Receiver:
    """`answers`: what it replies to a request, by all that it got until then."""

    def __init__(self, answers: Callable[[Received, int], Reply]) -> None:
        self.answers = answers
        self._got: list[Received] = []
        self._news = threading.Condition()
        self.url = ""

    @property
    def got(self) -> list[Received]:
        with self._news:
            return list(self._got)

    def take_in(self, received: Received) -> Reply:
        with self._news:
            self._got.append(received)
            count = len(self._got)
            self._news.notify_all()
        return self.answers(received, count)

    def wait_for(self, enough: Callable[[list[Received]], bool], within_s: float = WITHIN_S) -> list[Received]:
        """What it has got, once that is enough."""
        with self._news:
            if not self._news.wait_for(lambda: enough(self._got), within_s):
                raise AssertionError(f"after {within_s:g} s it has {[one.id for one in self._got]}")
            return list(self._got)


@contextmanager
def receiving(answers: Callable[[Received, int], Reply] = lambda _, __: Reply()) -> Iterator[Receiver]:
    """A receiver on a port of its own."""
    receiver = Receiver(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            body = self.rfile.read(length)
            if len(body) < length:  # Its sender died between the head and the body: a receiver has got nothing.
                self.close_connection = True
                return
            reply = receiver.take_in(Received({name.lower(): text for name, text in self.headers.items()}, body))
            if reply.hold is not None:
                reply.hold.wait(WITHIN_S)
            self.send_response(reply.status)
            for name, text in reply.headers.items():
                self.send_header(name, text)
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
