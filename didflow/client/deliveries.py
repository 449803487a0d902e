"""A result delivered to a consumer: at least once, until it is acknowledged."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from didflow.contract.errors import ServiceUnavailable
from didflow.contract.events import Event

log = logging.getLogger("didflow.results")


@dataclass(frozen=True)
class Delivery:
    """`deliveries` counts the deliveries of this entry, this one included. The same event always has the same `event.id`."""

    event: Event
    entry_id: str
    deliveries: int
    _ack: Callable[[], None] = field(repr=False)

    def ack(self) -> None:
        """Say that the event is dealt with; without it the event comes again.

        Waits while Redis is away; raises ServiceUnavailable instead if the results were requested with `wait_for_redis=False`.
        """
        self._ack()


@dataclass(frozen=True)
class AsyncDelivery:
    """The same for asyncio."""

    event: Event
    entry_id: str
    deliveries: int
    _ack: Callable[[], Awaitable[None]] = field(repr=False)

    async def ack(self) -> None:
        """The same as `Delivery.ack`."""
        await self._ack()


def log_away(error: ServiceUnavailable, again_s: float) -> None:
    """Say that Redis is waited for. Goes to the standard library's logging: a producer need not configure ours."""
    log.warning("Redis is away, next try in %g s: %s", again_s, error)
