"""The inventory of the account, as jobs select from it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from didflow.contract.inventory import InventoryFilter
from didflow.contract.past_routes import PastRoute
from didflow.contract.provider import OwnedNumber
from didflow.contract.requests import Selector


class MirrorSelection(Protocol):
    """The numbers of the inventory that a selector means.

    age_s   since its last complete sweep began
    total   numbers of the account
    count   of those that are meant
    """

    @property
    def age_s(self) -> float: ...
    @property
    def total(self) -> int: ...
    @property
    def count(self) -> int: ...
    def numbers(self, first: int, then: int) -> Iterator[Sequence[tuple[int, OwnedNumber]]]:
        """The numbers, `first` of them and `then` that many at a time, each with when it was read or confirmed (the ledger's clock, ms).

        Without those that aren't meant any more, or left the account.
        """
        ...


class MirroredNumbers(Protocol):
    """The account's numbers as the inventory shows them."""

    def select(self, selector: Selector) -> MirrorSelection | None:
        """What the selector means; None if it can't say: it was never complete, its last sweep wasn't, the gate is closed, or the
        selector names what changes by itself."""
        ...

    def total(self) -> int:
        """How many numbers it shows, however old that is."""
        ...

    def records(self, conditions: InventoryFilter, max_age_s: float) -> Sequence[int] | None:
        """The records that it shows so; None if it can't say, or is older than that."""
        ...

    def fitting(self, owned: Sequence[OwnedNumber], conditions: InventoryFilter) -> list[OwnedNumber]:
        """Those of the numbers, as the provider shows them now, that are so with what the inventory and the ledger know besides."""
        ...

    def routes_at(self, numbers: Sequence[str], at: datetime) -> Mapping[str, PastRoute]:
        """Where each of these numbers went at that moment, as far as is known."""
        ...
