"""A way to Valkey that a test can close, or at which it can stop a reply."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self


class RedisRelay:
    """Listens on loopback and passes connections on to a Unix socket.

    `is_closed`: connections are hung up. `instead`: called once, in place of passing on the reply to a command that contains these bytes.
    """

    def __init__(self, unix_url: str) -> None:
        self._target = unix_url.removeprefix("unix://")
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._open: set[socket.socket] = set()
        self._is_closed = False
        self._watched: tuple[bytes, Callable[[], object]] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._listening.getsockname()[1]}/0"

    def instead_of_reply(self, to: str, do: Callable[[], object]) -> None:
        self._watched = (to.encode(), do)

    def close(self) -> None:
        """Hang up all connections, and those that come."""
        self._is_closed = True
        for one in tuple(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def open(self) -> None:
        self._is_closed = False

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                if self._is_closed:
                    near.close()
                    continue
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._target)
                self._open |= {near, far}
                seen = threading.Event()
                threading.Thread(target=self._pass, args=(near, far, seen, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(far, near, seen, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, seen: threading.Event, is_command: bool) -> None:
        with suppress(OSError):
            while received := source.recv(65_536):
                if self._watched is not None and is_command and self._watched[0] in received:
                    seen.set()
                if self._watched is not None and not is_command and seen.is_set():
                    _, do = self._watched
                    self._watched = None
                    do()
                    break
                target.sendall(received)
        for one in (source, target):
            self._open.discard(one)
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
