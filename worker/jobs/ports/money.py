"""Spend limits and quotes."""

from collections.abc import Sequence
from typing import Protocol

from didflow.contract.results import Quote
from didflow.contract.spending import LimitReached, Spend, SpendLimit


class MoneyGate(Protocol):
    """Whether money may move."""

    @property
    def epoch(self) -> int:
        """Changes when the ledger's server did: then the last of what was written before may be lost."""
        ...

    def check(self) -> None:
        """Call before money is meant to move. Raises Wait while it may not: the ledger may have forgotten what was bought last."""
        ...

    def check_frozen(self) -> None:
        """Raises Wait while a freeze stops the account's purchases and releases. A write with `money` does so too."""
        ...

    def limit_against(self, spend: Spend, limits: Sequence[SpendLimit]) -> LimitReached | None:
        """The limit that a hold would run into now; None if there is none. Holds nothing."""
        ...


class Quotes(Protocol):
    """The signature of quotes."""

    def signed(self, quote: Quote) -> Quote:
        """The quote with the signature by which a submit knows it again."""
        ...
