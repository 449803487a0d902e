"""One reader of the streams for all who listen: a listener costs a queue, not a connection to Redis."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import structlog

from didflow.client.aio.client import AsyncDidflow
from didflow.contract.errors import DidflowError
from didflow.ledger.commands import BLOCK_S
from producers.ended_tasks import end
from producers.http.stream_reading import Item, Position, id_text, newest, read_on

log = structlog.stdlib.get_logger("didflow.http")

#: Items that wait for a listener. One who is slower is sent away, and continues with `Last-Event-ID`.
WAITING_AT_MOST = 1_000
#: How long a Redis that is away is left alone.
AGAIN_S = 0.5


class TooSlow(Exception):
    """More waits for this listener than is kept for one."""


@dataclass(eq=False)
class Listener:
    """Who listens to one subject, or to all (`subject` None), from the position `since` on."""

    subject: str | None
    wants: Callable[[Item], bool]
    since: Position = field(default_factory=Position)
    waiting: deque[Item] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    is_too_slow: bool = False

    def begin(self, since: Position) -> None:
        """Hear nothing that was written before this."""
        self.since = since
        self.waiting = deque(item for item in self.waiting if item.is_behind(since))

    def hear(self, item: Item) -> None:
        if not item.is_behind(self.since) or not self.wants(item):
            return
        if len(self.waiting) >= WAITING_AT_MOST:
            self.is_too_slow = True
        else:
            self.waiting.append(item)
        self.news.set()

    async def next(self, within_s: float) -> Item | None:
        """The next item; None if none comes in that time. Raises TooSlow."""
        if not self.waiting:
            if self.is_too_slow:
                raise TooSlow
            self.news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self.news.wait()
        return self.waiting.popleft() if self.waiting else None


class Feed:
    """The streams of one ledger. It reads while somebody listens."""

    def __init__(self, didflow: AsyncDidflow) -> None:
        self._ledger = didflow.ledger
        self._listeners: defaultdict[str | None, set[Listener]] = defaultdict(set)
        self._reader: asyncio.Task[None] | None = None
        self._position = Position()
        self._foreign = 0
        self._started = asyncio.Lock()

    @asynccontextmanager
    async def listening(self, wants: Callable[[Item], bool], *, subject: str | None = None) -> AsyncIterator[Listener]:
        """Hear what is written from now on. Raises ServiceUnavailable if the streams can't be read."""
        listener = Listener(subject, wants)
        self._listeners[subject].add(listener)
        try:
            await self._start()
            # The reader may be behind: what it hands out next may be older than this listener.
            listener.begin(await self.end())
            yield listener
        finally:
            self._listeners[subject].discard(listener)
            if not self._listeners[subject]:
                del self._listeners[subject]

    async def end(self) -> Position:
        """Behind everything that is written."""
        return await self._ledger.perform(newest(self._ledger.commands.keys))

    async def since(self, position: Position) -> list[Item]:
        """Some of what was written after it, oldest first, also by others; [] if there is nothing."""
        return await self._ledger.perform(read_on(self._ledger.commands.keys, position))

    def wake(self) -> None:
        """Let every listener look around: the server stops."""
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.news.set()

    async def aclose(self) -> None:
        """Stop reading."""
        if self._reader is not None:
            await end([self._reader])

    async def _start(self) -> None:
        async with self._started:
            if self._reader is None or self._reader.done():
                self._position = await self._ledger.perform(newest(self._ledger.commands.keys))
                self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        """Until nobody listens."""
        keys = self._ledger.commands.keys
        while self._listeners:
            try:
                items = await self._ledger.perform(read_on(keys, self._position, block_ms=int(BLOCK_S * 1000)))
            except DidflowError as error:
                log.warning("http.streams_away", error=error.code)
                await asyncio.sleep(AGAIN_S)
                await self._after_trouble()
                continue
            except Exception as error:
                log.exception("http.streams_unreadable", error=type(error).__name__)
                await asyncio.sleep(AGAIN_S)
                continue
            self._note_foreign(items)
            for item in items:
                self._hand_out(item)

    def _note_foreign(self, items: Sequence[Item]) -> None:
        foreign = [item for item in items if not item.is_ours]
        if foreign:
            self._foreign += len(foreign)
            first = {"stream": "results" if foreign[0].is_result else "events", "first": id_text(foreign[0].entry_id)}
            log.warning("http.foreign_entries", skipped=len(foreign), skipped_since_start=self._foreign, **first)

    def _hand_out(self, item: Item) -> None:
        """To those who listen for it. What others wrote to a stream is passed over."""
        self._position = item.after
        if not item.is_ours:
            return
        for subject in (None, item.subject):
            for listener in self._listeners.get(subject, ()):
                listener.hear(item)

    async def _after_trouble(self) -> None:
        """Another server may be there, whose streams are behind."""
        with suppress(DidflowError):
            found = await self._ledger.perform(newest(self._ledger.commands.keys))
            now = self._position
            self._position = Position(min(found.results, now.results), min(found.events, now.events))
