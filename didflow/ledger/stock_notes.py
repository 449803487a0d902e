"""What one job read of the stock, for the account's other jobs. Best effort: correctness doesn't depend on it."""

from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.keys import Keys
from didflow.ledger.ledger import Claim
from didflow.ledger.script_calls import Call

#: A note of the stock is dropped after this long; mostly it is out of date sooner.
STOCK_NOTE_MS = 600_000


def stock_note(keys: Keys, account: str, place: str) -> Command[str | None]:
    """The stock that some job read there; None if there was no recent read."""
    text: str | None = yield RedisCommand("get", (keys.stock_note(account, place),))
    return text


def note_stock(claim: Claim, place: str, text: str) -> Call[bool]:
    """Leave such a note. Reads False if the lease is lost."""
    return Call("note_stock", (claim.job_id, claim.token, place, text, STOCK_NOTE_MS), lambda reply: bool(reply == "ok"))
