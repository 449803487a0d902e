"""The results stream: consume it as a member of a consumer group, and look after the groups."""

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial

from didflow.client.aio.base import AsyncClient
from didflow.client.aio.deliveries import AsyncDelivery
from didflow.client.redis_away import log_away
from didflow.contract.errors import ServiceUnavailable
from didflow.ledger.consumer_groups import Pause, acknowledge, follow, parse_event, pauses, results_of
from didflow.ledger.conversations import converse_async
from didflow.ledger.group_membership import Membership
from didflow.ledger.group_progress import Group, StreamName, all_groups, delete_group, newest_results


class AsyncResults(AsyncClient):
    """The results of all jobs of the namespace."""

    def results(
        self,
        group: str,
        consumer: str,
        *,
        block_s: float = 2.0,
        min_idle_s: float = 60.0,
        max_deliveries: int = 5,
        give_up_idle: bool = False,
        wait_for_redis: bool = True,
    ) -> AsyncIterator[AsyncDelivery]:
        """Iterate over every result for this group, from the oldest kept, without end. Acknowledge each with `.ack()`.

            async for delivery in didflow.results(group="billing", consumer="billing-1"):
                print(delivery.event.data.reference, delivery.event.data.state)
                await delivery.ack()

        Delivery is at least once. An entry that a consumer held for `min_idle_s` without an acknowledgement is delivered to another one.
        Entries are read one by one, so only delivered entries count as held. An entry delivered more than `max_deliveries` times goes
        to `{namespace}:results:poison`.
        `give_up_idle` ends the iterator when no entry came for `block_s`.
        While Redis is unavailable, the iterator and `.ack()` wait; each try is logged (`didflow.results`). With
        `wait_for_redis=False`, and with `give_up_idle`, they raise ServiceUnavailable instead: create a new iterator then.
        Raises InvalidRequest with every fault of the arguments.
        """
        waits = wait_for_redis and not give_up_idle
        return self._deliveries(Membership(group, consumer, block_s, min_idle_s, max_deliveries, give_up_idle, waits))

    async def _deliveries(self, member: Membership) -> AsyncIterator[AsyncDelivery]:
        held = set[str]()
        conversation = follow(results_of(self.ledger.keys), member, parse_event, time.monotonic, held)
        async for entry in converse_async(self.ledger, conversation, _pause):
            acknowledge_it = partial(self._acknowledge, member, entry.entry_id, held)
            yield AsyncDelivery(entry.event, entry.entry_id, entry.deliveries, acknowledge_it)

    async def _acknowledge(self, member: Membership, entry_id: str, held: set[str]) -> None:
        for again_s in pauses():
            try:
                await self.ledger.perform(acknowledge(results_of(self.ledger.keys), member, entry_id))
            except ServiceUnavailable as error:
                if not member.waits_for_redis:
                    raise
                await _pause(Pause(again_s, error))
            else:
                held.discard(entry_id)
                return

    async def recent(self, limit: int = 20) -> list[tuple[str, dict[str, str]]]:
        """Return the newest entries of the results stream as stored, oldest first.

            for entry_id, fields in await didflow.recent(limit=5):
                print(entry_id, fields["subject"])

        Needs no consumer group, and doesn't change the position of any.
        """
        return await self.ledger.perform(newest_results(self.ledger.keys, limit))

    async def groups(self) -> tuple[Group, ...]:
        """List every consumer group of the requests, results and events streams, with its lag.

            for group in await didflow.groups():
                print(group.stream, group.name, group.unread, group.pending)

        `unread` entries were delivered to none of its consumers; `pending` ones have no acknowledgement yet.
        """
        return tuple(group for stream in await self.ledger.perform(all_groups(self.ledger.keys)) for group in stream.groups)

    async def delete_group(self, group: str, *, stream: StreamName = "results") -> None:
        """Delete an unused consumer group, with its position, so that no entries are kept for it.

            await didflow.delete_group("billing-old")

        Raises InvalidRequest if there is none, or if a consumer of it was seen within the last minute.
        """
        await self.ledger.perform(delete_group(self.ledger.commands, stream, group))


async def _pause(pause: Pause) -> None:
    log_away(pause.error, pause.seconds)
    await asyncio.sleep(pause.seconds)
