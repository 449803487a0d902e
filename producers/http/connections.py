"""Connections: how long a client may take to send the head of a request, and what is answered to one that is none."""

import asyncio
import json
import sys
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from producers.http.problems import MEDIA_TYPE, TITLES

#: A client that sends its headers more slowly holds a connection for nothing.
HEAD_WITHIN_S = 20.0
#: Bytes of a request's line and headers together.
MOST_HEAD_BYTES = 65_536


class GatheringTransport:
    """What is written at one moment goes out with one call. uvicorn writes the head and the body of an answer separately, and a call costs
    more than all that is done for either of them."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._waiting: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        self._flush()
        self._transport.abort()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        data = b"".join(self._waiting)
        self._waiting.clear()
        if data and not self._transport.is_closing():
            self._transport.write(data)


class GuardedProtocol(H11Protocol):
    """uvicorn's, which waits for a head as long as the client likes, and answers a wrong one in plain text."""

    head_within_s = HEAD_WITHIN_S
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast("asyncio.Transport", GatheringTransport(transport, self.loop)))
        self._late = self.loop.call_later(self.head_within_s, self._end)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_answering:
            self._expect_nothing()
        elif self._late is None and self.timeout_keep_alive_task is None:  # A part of the next head.
            self._late = self.loop.call_later(self.head_within_s, self._end)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words
        """What isn't HTTP, and a head that is too long."""
        error = sys.exc_info()[1]  # uvicorn calls this where it catches it.
        if isinstance(error, h11.RemoteProtocolError) and error.error_status_hint == 431:
            self._refuse(431, "head_too_large", f"the line and the headers of a request have {MOST_HEAD_BYTES} bytes at most")
        else:
            self._refuse(400, "not_http", "this is no HTTP request that can be read")

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_nothing(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _end(self) -> None:
        self._late = None
        if not self._is_answering and not self.transport.is_closing():
            self._refuse(408, "head_too_slow", f"the headers didn't come within {self.head_within_s:g} seconds")

    def _refuse(self, status: int, code: str, detail: str) -> None:
        body = {"type": f"urn:didflow:problem:{code}", "title": TITLES[status], "status": status, "detail": detail, "code": code}
        text = json.dumps({**body, "retryable": status == 408, "errors": []}).encode()
        head = (
            f"HTTP/1.1 {status} {TITLES[status]}\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + text)
        self.transport.close()
