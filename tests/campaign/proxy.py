"""A TCP proxy between workers and Valkey that swallows replies: it forwards a command and hangs up, so that nobody knows what it did."""

import selectors
import socket
import threading
from collections import Counter
from contextlib import suppress
from types import TracebackType
from typing import Self

#: A reply is awaited for this long before the connection is cut: the command must have been carried out.
REPLY_WITHIN_S = 2.0


class Proxy:
    """Listens on loopback and connects each client to a Unix socket. `cut_after` arms one cut; `cuts` counts them."""

    def __init__(self, unix_socket: str) -> None:
        self._target = unix_socket
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._lock = threading.Lock()
        self._armed: dict[bytes, str] = {}
        self._open: set[socket.socket] = set()
        self._closed = False
        self.cuts: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()

    def cut_after(self, sha1: str, name: str) -> None:
        """The next command that names this script is carried out, and its reply is lost with the connection."""
        with self._lock:
            self._armed[sha1.encode()] = name

    def cut_all(self) -> None:
        """Every connection breaks now."""
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            _hang_up(connection)

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), name="proxied", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self._target)
            with self._lock:
                self._open |= {client, server}
            self._pump(client, server)
        except OSError:
            return  # One side is gone; so is the other, below.
        finally:
            with self._lock:
                self._open -= {client, server}
            client.close()
            server.close()

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ)
            selector.register(server, selectors.EVENT_READ)
            while True:
                for ready, _ in selector.select():
                    source = client if ready.fileobj is client else server
                    chunk = source.recv(65536)
                    if not chunk:
                        return
                    if source is server:
                        client.sendall(chunk)
                        continue
                    name = self._taken(chunk)
                    server.sendall(chunk)
                    if name:
                        self._await_reply(server)
                        self.cuts[name] += 1
                        return

    def _taken(self, chunk: bytes) -> str | None:
        if not self._armed:
            return None
        with self._lock:
            sha1 = next((sha1 for sha1 in self._armed if sha1 in chunk), None)
            return self._armed.pop(sha1) if sha1 else None

    def _await_reply(self, server: socket.socket) -> None:
        server.settimeout(REPLY_WITHIN_S)
        with suppress(OSError):
            server.recv(65536)


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
