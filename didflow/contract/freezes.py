"""A freeze: a person stops purchases and releases, of one account or of all, until it is lifted. Reroutes continue."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Freeze:
    """`account` None: all accounts. By whom, why, since when (Redis's clock, UTC; None: its record can't be read)."""

    account: str | None
    actor: str
    reason: str
    since: datetime | None

    @property
    def sentence(self) -> str:
        """For a person, while it holds."""
        return self._said("are")

    @property
    def past_sentence(self) -> str:
        """For a person, once it is lifted. Another freeze may still hold."""
        return self._said("were")

    def _said(self, verb: str) -> str:
        what = "all accounts" if self.account is None else f"account {self.account}"
        since = f" since {self.since:%Y-%m-%d %H:%M:%S} UTC" if self.since else ""
        return f"{what}: purchases and releases {verb} frozen by {self.actor or 'an unknown person'}{since}: {self.reason or 'no reason'}"


@dataclass(frozen=True)
class FreezeReport:
    """A freeze that is in force.

    is_new     this call began it; else it was in force before, as `freeze` says
    under_way  jobs that were allowed to call the provider before it, and whose answer isn't stored yet. Empty: from now on no purchase
               and no release begins
    """

    freeze: Freeze
    is_new: bool
    under_way: tuple[str, ...]
