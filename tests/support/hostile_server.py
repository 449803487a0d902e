"""A server of raw bytes: what a path answers is what a test says, however little that looks like HTTP."""

import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Self

#: The request's target to the bytes of its answer, piece by piece.
Answering = Callable[[str], Iterator[bytes]]


class HostileServer:
    """Each connection's request is read, and answered by the first part of its path; then the connection is closed."""

    def __init__(self, answers: Mapping[str, Answering]) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                target = _target_of(self.request)
                try:
                    for piece in answers[target.split("/")[1]](target):
                        self.request.sendall(piece)
                except OSError:
                    return  # The client had enough.

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 128

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


def _target_of(stream: socket.socket) -> str:
    """Read one request with its body; its path and query."""
    received = b""
    while b"\r\n\r\n" not in received:
        if not (more := stream.recv(65536)):
            return "/closed"
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length and (more := stream.recv(65536)):
        body += more
    return head.split(b" ")[1].decode()
