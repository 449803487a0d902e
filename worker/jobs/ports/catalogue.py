"""The catalogue of the account, as the job that looks for it writes it."""

from collections.abc import Callable
from typing import Protocol

from didflow.contract.catalogue import Look


class Catalogue(Protocol):
    """What can be bought, for those who may not ask the provider."""

    def keep(self, look: Look, *, kept_s: float, most: int) -> None:
        """Keep a look for this long, and at most this many looks of the account; a newer one stays. Raises LostLease."""
        ...

    def give_way(self, at_most_s: float, check: Callable[[], None]) -> None:
        """Return when no other job's request waits for the account's rate, or after this time. `check` may raise to stop the wait."""
        ...

    def emergency_under_way(self) -> bool:
        """Whether an emergency job of this account has called the provider a moment ago."""
        ...
