# Written by `make generate` from didflow/client/aio/deliveries.py: change that file.
"""A result delivered to a consumer: at least once, until it is acknowledged."""

from collections.abc import Callable
from dataclasses import dataclass, field

from didflow.contract.events import Event


@dataclass(frozen=True)
class Delivery:
    """`deliveries` counts the deliveries of this entry, this one included. The same event always has the same `event.id`."""

    event: Event
    entry_id: str
    deliveries: int
    _ack: Callable[[], None] = field(repr=False)

    def ack(self) -> None:
        """Acknowledge the event: it isn't delivered again. An event without an acknowledgement is delivered again.

        Waits while Redis is unavailable; raises ServiceUnavailable instead if the results were requested with `wait_for_redis=False`.
        """
        self._ack()
