"""Who has which number of the pool."""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.ledger.calls import Call
from worker.ledger.keys import Keys
from worker.ledger.plans import Ask, Plan


@dataclass(frozen=True)
class HandedOut:
    """A number of the pool that a purchase has. `record_id` says which purchase of it: one that was bought anew isn't this one."""

    number: str
    record_id: int
    job_id: str


def handed_out(keys: Keys, account: str) -> Plan[tuple[HandedOut, ...]]:
    """All of an account, by number. What can't be read is left out."""
    entries: dict[str, str] = yield Ask("hgetall", (keys.handed_out(account),))
    read = ((number, text.split("|")) for number, text in sorted(entries.items()))
    return tuple(HandedOut(number, int(parts[0]), parts[1]) for number, parts in read if len(parts) == 3 and parts[0].isdigit())


def returned(account: str, numbers: Sequence[str]) -> Call[tuple[str, ...]]:
    """Put numbers back that were handed out. Reads those that are."""
    return Call("reuse_return", (account, *numbers), lambda reply: tuple(map(str, reply)))
