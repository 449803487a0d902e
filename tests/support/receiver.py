"""A receiver of webhooks in the same event loop: raw bytes, so that it can answer as badly as a test wants."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

#: Writes the answer to one request. The connection is closed when it returns.
Answering = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Receiver:
    """port      where it listens
    requests  head and body of each request, as they came
    arrived   how many connections were made, also those without a request
    """

    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    arrived: int = 0


def says(text: str | bytes) -> Answering:
    """Answers these bytes."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(text if isinstance(text, bytes) else text.encode())
        await writer.drain()

    return answer


def replies(status: int = 200, body: str = "", *headers: str) -> Answering:
    """Answers with a status, a body, and these headers."""
    head = "".join(f"{one}\r\n" for one in (f"HTTP/1.1 {status} X", *headers, f"Content-Length: {len(body.encode())}"))
    return says(f"{head}\r\n{body}")


@asynccontextmanager
async def receiving(answer: Answering, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[Receiver]:
    """A running receiver."""
    receiver, serving = Receiver(), set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        receiver.arrived += 1
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            receiver.requests.append(await _request(reader))
            await answer(writer)
        with suppress(OSError):
            writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)

    server = await asyncio.start_server(begin, host, 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = (line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    return head + await reader.readexactly(int(next(lengths, b"0")))
