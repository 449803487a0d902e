"""The catalogue of the account, as the job that looks for it writes it."""

from typing import Protocol

from didflow.contract.catalogue import Look


class Catalogue(Protocol):
    """What can be bought, for those who may not ask the provider."""

    def keep(self, look: Look, *, kept_s: float, most: int) -> None:
        """Keep a look for this long, and at most this many looks of the account; a newer one stays. Raises LostLease."""
        ...

    def emergency_under_way(self) -> bool:
        """Whether an emergency job of this account has called the provider a moment ago."""
        ...
