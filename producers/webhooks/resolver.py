"""Name resolution in threads of its own, so that a slow name server delays only the endpoints that it serves."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable

#: A name to its addresses as text, in the order of preference. Raises OSError if it has none.
Resolve = Callable[[str], Awaitable[list[str]]]

#: Lookups under way at once. A lookup ends by the system's own limit, which may be half a minute.
MOST_LOOKUPS = 256

_Found = list[str] | OSError


class Resolver:
    """The system's resolver. Deliveries to the same name at the same moment share one lookup; nothing is kept after it.

    asyncio's own resolver shares a handful of threads: a few names without an answer would stop all others.
    """

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Future[_Found]] = {}

    async def __call__(self, host: str) -> list[str]:
        """Raises OSError if the name has no address, or too many lookups are under way."""
        lookup = self._under_way.get(host)
        if lookup is None:
            if len(self._under_way) >= MOST_LOOKUPS:
                raise OSError("too many lookups of names are under way")
            lookup = self._begin(host)
        found = await asyncio.shield(lookup)  # Other deliveries may wait for the same lookup.
        if isinstance(found, OSError):
            raise found
        return found

    def _begin(self, host: str) -> asyncio.Future[_Found]:
        loop = asyncio.get_running_loop()
        lookup = self._under_way[host] = loop.create_future()

        def end(found: _Found) -> None:
            del self._under_way[host]
            lookup.set_result(found)

        def look_up() -> None:
            found = _addresses(host)
            if not loop.is_closed():
                loop.call_soon_threadsafe(end, found)

        # A daemon: the process may end while a name server is silent.
        threading.Thread(target=look_up, daemon=True, name=f"resolve {host}").start()
        return lookup


def _addresses(host: str) -> _Found:
    try:
        return [str(address[0]) for _, _, _, _, address in socket.getaddrinfo(host.encode(), None, type=socket.SOCK_STREAM)]
    except OSError as error:
        return error
