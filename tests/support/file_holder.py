"""What holds files in the HTTP server, in a thread, for tests without a server."""

import asyncio
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from didflow import AsyncDidflow
from producers.http.held_files import HeldFiles

Hold = Callable[..., None]


@contextmanager
def holding(redis_url: str, namespace: str) -> Iterator[Hold]:
    """A function that holds this content for a job: under its own digest, or under the one that is named."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def started() -> tuple[AsyncDidflow, HeldFiles]:
        didflow = AsyncDidflow.from_url(redis_url, namespace)
        return didflow, HeldFiles(didflow)

    didflow, files = asyncio.run_coroutine_threadsafe(started(), loop).result()

    def hold(job_id: str, content: bytes, sha256: str | None = None) -> None:
        loop.call_soon_threadsafe(files.hold, job_id, sha256 or hashlib.sha256(content).hexdigest(), content)

    async def ended() -> None:
        await files.aclose()
        await didflow.aclose()

    try:
        yield hold
    finally:
        asyncio.run_coroutine_threadsafe(ended(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
