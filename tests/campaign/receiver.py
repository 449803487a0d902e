"""A receiver of webhooks that answers badly at times; what it gets is a witness of its own of what became of the jobs."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

#: Longer than a delivery may take.
HANGS_S = 1.6
#: How it answers badly: a status, or what happens instead of an answer.
BADLY = ("500", "503", "429", "301", "404", "drop", "hang", "drip", "huge", "took it and dropped")


@dataclass(frozen=True)
class Arrived:
    """One request. `accepted`: it was answered with 2xx, as far as the receiver knows."""

    endpoint: str
    headers: Mapping[str, str]
    body: bytes
    accepted: bool
    at_s: float

    @property
    def event_id(self) -> str:
        return self.headers.get("webhook-id", "")

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class WebhookReceiver:
    """Paths are endpoints. `bad`: the share of requests that are answered badly; 0 from `calm` on."""

    rng: random.Random
    bad: float = 0.15
    arrived: list[Arrived] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    url: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._take(self)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="receiver", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def calm(self) -> None:
        self.bad = 0.0

    def of(self, endpoint: str) -> list[Arrived]:
        """What came to it, in order."""
        with self._lock:
            return [one for one in self.arrived if one.endpoint == endpoint]

    def _take(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers["content-length"])
        if len(body := request.rfile.read(length)) < length:
            return  # The sender died.
        with self._lock:
            how = self.rng.choice(BADLY) if self.rng.random() < self.bad else "204"
            self.answers[how] += 1
            accepted = how in ("204", "huge", "drip", "took it and dropped")
            headers = {name.lower(): text for name, text in request.headers.items()}
            self.arrived.append(Arrived(request.path.strip("/"), headers, body, accepted, time.time()))
        with suppress(OSError):  # The sender had enough.
            _answer(request, how)


def _answer(request: BaseHTTPRequestHandler, how: str) -> None:
    match how:
        case "drop" | "took it and dropped":
            return
        case "hang":
            time.sleep(HANGS_S)
        case "huge":
            request.send_response(200)
            request.end_headers()
            request.wfile.write(b"x" * 300_000)
        case "drip":
            request.send_response(200)
            request.end_headers()
            for _ in range(10):
                request.wfile.write(b".")
                request.wfile.flush()
                time.sleep(0.05)
        case status:
            request.send_response(int(status))
            if status in ("503", "429"):
                request.send_header("Retry-After", "1")
            if status == "301":
                request.send_header("Location", "http://127.0.0.1:1/inside")
            request.end_headers()
