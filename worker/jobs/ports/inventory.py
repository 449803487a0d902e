"""The inventory of the account, as jobs select from it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

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
    def numbers(self, together: int) -> Iterator[Mapping[int, Sequence[OwnedNumber]]]:
        """The numbers, `together` at a time, by when each was read or confirmed (the ledger's clock, ms)."""
        ...


class MirroredNumbers(Protocol):
    """The account's numbers as the inventory shows them."""

    def select(self, selector: Selector) -> MirrorSelection | None:
        """What the selector means; None if it can't say: it was never complete, its last sweep wasn't, or the gate is closed."""
        ...

    def routes_at(self, numbers: Sequence[str], at: datetime) -> Mapping[str, PastRoute]:
        """Where each of these numbers went at that moment, as far as is known."""
        ...
