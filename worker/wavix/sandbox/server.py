"""The sandbox's socket side: HTTP/1.1 with keep-alive, answers in one write, connections that can be cut."""

import http.server
import json
import socket
import struct
import threading
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from worker.wavix.sandbox.admin import SandboxAdmin, administer
from worker.wavix.sandbox.options import SandboxOptions
from worker.wavix.sandbox.service import Reply, Service


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], service: Service) -> None:
        self.service = service
        self.open_sockets: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # The standard library would look the host's name up here, which can take seconds and isn't needed.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no error of ours."""

    def cut_all(self) -> None:
        for connection in list(self.open_sockets):
            cut(connection)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self._server.open_sockets.add(self.connection)

    def finish(self) -> None:
        self._server.open_sockets.discard(self.connection)
        super().finish()

    @property
    def _server(self) -> _Server:
        return cast("_Server", self.server)

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        service = self._server.service
        if self.path.startswith("/sandbox/"):
            status, answer = administer(service, self.command, self.path, body)
            self._send(Reply(status, json.dumps(answer).encode()))
            return
        authorization, content_type = self.headers.get("Authorization") or "", self.headers.get("Content-Type") or ""
        reply = service.serve(self.command, self.path, authorization, body, content_type)
        if reply.hang_s:
            service.stopping.wait(reply.hang_s)
        if reply.payload is None:
            self.close_connection = True
            cut(self.connection)
        else:
            self._send(reply)

    do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = _serve  # noqa: N815 - the standard library's names

    def _send(self, reply: Reply) -> None:
        payload = reply.payload or b""
        head = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}", f"Content-Type: {reply.content_type}"]
        head += [f"Content-Length: {len(payload)}", *(f"{name}: {value}" for name, value in reply.headers)]
        # In one write: a body that follows its head in a packet of its own waits for a delayed acknowledgement.
        answer = "\r\n".join((*head, "", "")).encode() + payload
        if reply.byte_every_s:
            at_once = 0 if reply.trickled_head else len(answer) - len(payload)
            self._trickle(answer, at_once, reply.byte_every_s)
        elif reply.again_after_s == 0:
            self.wfile.write(answer * 2)
        else:
            self.wfile.write(answer)
            if reply.again_after_s:
                self._server.service.stopping.wait(reply.again_after_s)
                self.wfile.write(answer)

    def _trickle(self, answer: bytes, at_once: int, every_s: float) -> None:
        """Byte by byte, until the client hangs up or the sandbox stops."""
        self.wfile.write(answer[:at_once])
        for byte in answer[at_once:]:
            if self._server.service.stopping.wait(every_s):
                return
            self.wfile.write(bytes((byte,)))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """Silent: request lines hold keys."""


def cut(connection: socket.socket) -> None:
    """Close with a reset, as a crashed peer or a firewall does."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # The other side was faster.


class Sandbox(SandboxAdmin):
    """A sandbox in this process. Its admin verbs go over HTTP too, so that they are the same for one in another process."""

    def __init__(self, options: SandboxOptions | None = None, *, host: str = "127.0.0.1", port: int = 0, state: Path | None = None) -> None:
        """`state`: the file that keeps what was sold, for the next sandbox. Raises OSError, UnreadableState."""
        self._service = Service(options or SandboxOptions(), state)
        self._server = _Server((host, port), self._service)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, name="sandbox", daemon=True)
        super().__init__(f"http://{host}:{self._server.server_port}")

    def start(self) -> Self:
        if self._service.state is not None:
            self._service.state.start()
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening and cut what is open; hanging calls end at once."""
        self._service.stopping.set()
        self._server.shutdown()
        self._server.cut_all()
        self._server.server_close()
        if self._service.state is not None:
            self._service.state.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
