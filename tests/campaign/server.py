"""The campaign's Valkey: killed, stopped, filled up and started again on the same folder."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from tests.support.cluster import until
from worker.local.embedded_valkey import EmbeddedValkey


class Server:
    """One data folder and whichever server process serves it now. `restarted` is called after each start but the first."""

    def __init__(self, folder: Path) -> None:
        self._valkey = EmbeddedValkey(folder)
        self.restarted: Callable[[], None] = lambda: None
        self._down = False

    def __enter__(self) -> Self:
        self._valkey.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.signal(signal.SIGCONT)
        self._valkey.stop()

    @property
    def url(self) -> str:
        return self._valkey.url

    @property
    def socket(self) -> str:
        return self.url.removeprefix("unix://")

    def client(self) -> redis.Redis:
        """For the campaign's own orders. Replies are text."""
        return redis.Redis.from_url(self.url, decode_responses=True, socket_timeout=3)

    def signal(self, number: signal.Signals) -> None:
        if self._valkey.pid is not None and not self._valkey.died:
            os.kill(self._valkey.pid, number)

    def kill(self) -> None:
        """As a power cut of the process: nothing is said goodbye to."""
        self.signal(signal.SIGKILL)
        until(lambda: self._valkey.died, what="the server's death")
        self._down = True

    def start(self) -> None:
        """A new process on the same data."""
        self._valkey.start()
        self._down = False
        self.restarted()

    def heal(self) -> None:
        """Running, writable, with room."""
        self.signal(signal.SIGCONT)
        if self._down:
            self.start()
        client = self.client()
        with suppress(redis.RedisError):
            client.slaveof()
        with suppress(redis.RedisError):
            client.config_set("maxmemory", "0")
