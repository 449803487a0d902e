"""Reads both streams into the queues of the endpoints: one step that any webhook process takes, and that takes effect once."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import structlog

from didflow.client.aio.client import AsyncDidflow
from didflow.fault_orders import Reached
from didflow.ledger.commands import BLOCK_S
from didflow.ledger.webhooks.messages import Message
from didflow.ledger.webhooks.queues import fan_out, is_here
from didflow.ledger.webhooks.targets import Targets
from producers.http.stream_reading import Item, Position, entry_id_of, id_text, read_on
from producers.webhooks.payload import message_of

log = structlog.stdlib.get_logger("didflow.webhooks")

#: Entries and queue places that one script takes at most: meanwhile the server answers no other client.
ENTRIES_MOST, PLACES_MOST = 100, 200
#: The bodies that one script takes, together.
BYTES_MOST = 500_000


class FanOut:
    """`consumer`: this process's name in the group."""

    def __init__(self, didflow: AsyncDidflow, consumer: str, reached: Reached) -> None:
        self._ledger, self._consumer, self._reached = didflow.ledger, consumer, reached
        self._foreign = 0

    async def step(self, known: Targets) -> bool | None:
        """Queue what comes next, waiting a moment for it. True: something was queued; None: others were first, or the endpoints changed."""
        keys = self._ledger.commands.keys
        await self._ledger.perform(is_here(keys, self._consumer))
        position = Position(entry_id_of(known.results or "0-0"), entry_id_of(known.events or "0-0"))
        items = await self._ledger.perform(read_on(keys, position, block_ms=int(BLOCK_S * 1000), count=ENTRIES_MOST))
        if foreign := [item for item in items if not item.is_ours]:
            self._foreign += len(foreign)
            first = {"stream": "results" if foreign[0].is_result else "events", "first": id_text(foreign[0].entry_id)}
            log.warning("webhooks.foreign_entries", skipped=len(foreign), skipped_since_start=self._foreign, **first)
        queued, last = False, position
        for some in _chunks([(item, _wanted(known, item)) for item in items]):
            messages = [one for _, one in some if one[1]]
            self._reached("before:fan_out")
            after = some[-1][0].after
            read = (sum(item.is_result for item, _ in some), sum(not item.is_result for item, _ in some))
            before = replace(known, results=id_text(last.results), events=id_text(last.events))
            ends = id_text(after.results), id_text(after.events)
            if not await self._ledger.perform(fan_out(self._ledger.commands, before, ends, read, messages)):
                return None
            self._reached("after:fan_out")
            queued, last = queued or bool(messages), after
        return queued


Wanted = tuple[Message, Sequence[str]]


def _wanted(known: Targets, item: Item) -> Wanted:
    """The message, and the endpoints that get it: none for what isn't an event of ours."""
    message = message_of(item)
    ids = [
        one
        for one, target in known.by_id.items()
        if item.is_ours
        and item.entry_id > entry_id_of(target.after_results if item.is_result else target.after_events)
        and target.endpoint.wants(message.type, message.account, message.reference)
    ]
    return message, ids


def _chunks(wanted: Sequence[tuple[Item, Wanted]]) -> Iterator[list[tuple[Item, Wanted]]]:
    """The messages in groups, each as large as one script takes."""
    some: list[tuple[Item, Wanted]] = []
    places = size = 0
    for item, (message, ids) in wanted:
        if some and (len(some) >= ENTRIES_MOST or places + len(ids) > PLACES_MOST or size + len(message.body) > BYTES_MOST):
            yield some
            some, places, size = [], 0, 0
        some.append((item, (message, ids)))
        places, size = places + len(ids), size + (len(message.body) if ids else 0)
    if some:
        yield some
