"""The history of a number: everything that didflow did with it, each entry chained to the previous one by its hash.

An entry that was changed, moved, inserted or removed by hand is detected. A person who recomputes the whole chain is detected only by an
anchor that was stored elsewhere. `didflow.ledger.stored_history` has the form in which entries are kept.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from didflow.contract.errors import InvalidRequest
from didflow.contract.money import Usd

#: Of a SHA-1 in hex.
DIGEST_CHARACTERS = 40


class Happening(StrEnum):
    """What an entry says. Public: others match on these words."""

    BOUGHT = "bought"
    BOUGHT_INACTIVE = "bought_inactive"
    ACCEPTED = "accepted"  #: it is owned and no job bought it: a person said that it stays as it is
    ACCEPTED_IN_CART = "accepted_in_cart"  #: another party put it into the cart, by a person's finding
    NOT_BOUGHT = "not_bought"  #: its checkout was unclear; it isn't ours, and is kept from all jobs for a day
    ROUTED = "routed"  #: the provider said yes to its new route, or it was read back; a confirmation later adds no entry
    NOT_CONFIRMED = "not_confirmed"  #: the provider said yes and never showed it
    CHANGED_ELSEWHERE = "changed_elsewhere"  #: its route was changed elsewhere after ours
    NOT_FOUND = "not_found"  #: after we routed it the number was gone
    HANDED_OUT = "handed_out"  #: it was ours and waited in the pool: given to this purchase
    TAKEN_BACK = "taken_back"  #: that purchase came to nothing: it waits in the pool again
    QUARANTINED = "quarantined"  #: about to be given back: kept from our own purchases for a day
    RELEASED = "released"
    ALREADY_RELEASED = "already_released"
    NOT_RELEASED = "not_released"  #: a person found that an unclear release didn't take effect
    REFUSED = "refused"  #: the provider said no
    APPEARED = "appeared"  #: the account has it, and no job of ours bought it
    DISAPPEARED = "disappeared"  #: two complete sweeps didn't show it, and no job of ours released it
    RENEWAL_DUE = "renewal_due"  #: `paid_until` is near
    UNCLEAR = "unclear"  #: can't be detected: the job waits for a person, or gave up


class Happened(BaseModel):
    """What a job did with a number, for the history. `by` is ``person`` for a person's finding.

    `actor`: who that was; else who submitted the job. `field`, `was`, `now`: what was changed elsewhere, as text.

    A later version may have written a word that this one doesn't know: then `what` is that word.
    """

    model_config = ConfigDict(frozen=True)

    what: Annotated[Happening | str, Field(union_mode="left_to_right")]
    record_id: int | None = None
    setup_usd: Usd | None = None
    monthly_usd: Usd | None = None
    route_before: tuple[str, ...] | None = None
    route_after: tuple[str, ...] | None = None
    error: str | None = None
    field: str | None = None
    was: str | None = None
    now: str | None = None
    by: Literal["person"] | None = None
    actor: str | None = None


@dataclass(frozen=True)
class HistoryEntry:
    """The `n`th thing that happened to a number, on the ledger's clock, by which job, for whom.

    job   None where a person decided and no job did anything; `kind` is then the command's name
    """

    n: int
    at: datetime
    job: str | None
    kind: str
    account: str
    reference: str | None
    happened: Happened
    hash: str


@dataclass(frozen=True)
class History:
    """A number's history, oldest entry first.

    dropped  count of deleted entries before the first; the chain continues from the hash of the last of them
    anchor   count and hash of the newest entry (``7:3f0c…``); kept elsewhere it proves later that nothing up to there was rewritten.
             Empty without a history
    faults   where the chain is broken, in words: another program wrote here. Empty: it is intact
    """

    number: str
    entries: tuple[HistoryEntry, ...]
    dropped: int
    anchor: str
    faults: tuple[str, ...]
    cut: str = ""

    def holds(self, anchor: str) -> bool | None:
        """Whether an earlier anchor is in this chain; None if the entry that it names is no longer kept.

        Raises InvalidRequest for what isn't an anchor.
        """
        count, colon, digest = anchor.partition(":")
        if not colon or not count.isdecimal() or len(digest) != DIGEST_CHARACTERS:
            raise InvalidRequest(f"anchor: {anchor[:60]!r} is not one: `didflow history` prints them, such as 7:3f0c…")
        if int(count) == self.dropped and self.dropped:
            return digest == self.cut
        if int(count) < self.dropped:
            return None
        return any(entry.n == int(count) and entry.hash == digest for entry in self.entries)
