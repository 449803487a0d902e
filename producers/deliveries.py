"""A result as a consumer gets it: at least once, until it is acknowledged."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from worker.contract.events import Event


@dataclass(frozen=True)
class Delivery:
    """`deliveries` counts how often it was handed out, this time included. The same event has the same `event.id` each time."""

    event: Event
    entry_id: str
    deliveries: int
    _ack: Callable[[], None] = field(repr=False)

    def ack(self) -> None:
        """Say that the event is dealt with; without it the event comes again. Raises ServiceUnavailable."""
        self._ack()


@dataclass(frozen=True)
class AsyncDelivery:
    """The same for asyncio."""

    event: Event
    entry_id: str
    deliveries: int
    _ack: Callable[[], Awaitable[None]] = field(repr=False)

    async def ack(self) -> None:
        """Say that the event is dealt with; without it the event comes again. Raises ServiceUnavailable."""
        await self._ack()
