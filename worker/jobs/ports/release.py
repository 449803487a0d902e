"""What a release has to ask before it acts, and what was learned about the call."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from didflow.contract.ids_form import IdsForm
from didflow.contract.number_holders import Holder


class ReleaseGuards(Protocol):
    """What keeps a release from giving back a number that must stay."""

    def quarantine(self, numbers: Sequence[str]) -> frozenset[str]:
        """Keep our own search off numbers that we are about to give back. Returns those that mustn't go: they were assigned since."""
        ...

    def holders(self, numbers: Sequence[str]) -> Mapping[str, Holder]:
        """Whom these numbers were bought for; those that were bought through us and are still ours."""
        ...

    def count(self, record_ids: Sequence[int], most: int) -> tuple[frozenset[int], float]:
        """Count them against the account's releases of this day (UTC): those that may go, and in how many seconds the next day begins.

        What was counted today isn't counted again. Raises LostLease.
        """
        ...


class LearnedForms(Protocol):
    """What the account's server was seen to take."""

    def ids_form(self) -> IdsForm | None:
        """The form of several ids in one call that the account's server was seen to take, if that isn't long ago."""
        ...

    def learn_ids_form(self, form: IdsForm) -> None:
        """Remember it, for all jobs of the account. Best effort: it may be lost. Raises LostLease."""
        ...
