"""What needs somebody: parked jobs, results that no consumer of a group could take in, messages on the queues that aren't ours.

Nothing of it is lost and nothing of it goes on by itself. Each has a name, by which it is given back or dropped.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from worker.contract.errors import DeadLetterNotFound, InvalidRequest, WrongJob
from worker.contract.jobs import JobView
from worker.contract.states import JobState
from worker.ledger import calls
from worker.ledger.calls import Call
from worker.ledger.plans import Ask, Plan, Plans

#: An undecodable message's name begins so; a poison entry's is its id on the poison stream; a parked job's is the job's id.
MESSAGE = "message-"
_ENTRY = re.compile(r"\d+-\d+")
#: The first bytes of a message tell where it comes from.
SHOWN_BYTES = 200
#: More messages than the consumers keep.
ALL_MESSAGES = 10_000


@dataclass(frozen=True)
class PoisonEntry:
    """A result that `group` set aside, and why. `entry`: its id on the results stream; `fields`: the event as it lay there."""

    name: str
    group: str
    reason: str
    entry: str
    fields: Mapping[str, str]


@dataclass(frozen=True)
class ForeignMessage:
    """Something on a queue that isn't a nudge of ours: how long it is, and its beginning."""

    name: str
    length: int
    start: str


@dataclass(frozen=True)
class DeadLetters:
    """All that needs somebody. Where there is more than was asked for: the newest jobs and messages, the oldest poison entries."""

    parked: tuple[JobView, ...]
    poison: tuple[PoisonEntry, ...]
    undecodable: tuple[ForeignMessage, ...]


def dead_letters(plans: Plans, limit: int) -> Plan[DeadLetters]:
    """At most `limit` of each."""
    parked = yield from plans.find(state=JobState.NEEDS_REVIEW, limit=limit)
    entries = yield Ask("xrange", (plans.keys.poison,), {"count": limit})
    messages = yield from plans.run(_undecodable(limit))
    return DeadLetters(parked, tuple(_poison(*entry) for entry in entries), tuple(map(_message, messages)))


def replay(plans: Plans, name: str) -> Plan[None]:
    """Let a parked job go on, or give a poison entry back to its group.

    Raises InvalidRequest, WrongJob, JobNotFound, DeadLetterNotFound.
    """
    if name.startswith(MESSAGE):
        raise InvalidRequest(f"{name} isn't one of our messages, so nobody could take it in: it can only be dropped")
    if _ENTRY.fullmatch(name):
        said = yield from plans.run(Call("put_back", (name, "results", "poison", "poison"), str))
        if said == "gone":
            raise DeadLetterNotFound(name)
        if said != "ok":
            why = "its group is gone" if said == "no_group" else "the results stream doesn't keep it any more"
            raise InvalidRequest(f"{name} can't be put back, {why}: see `didflow dead-letters --json` for what it says, then drop it")
        return
    state = yield from plans.run(calls.retry(name))
    if state != JobState.QUEUED:
        raise WrongJob(f"job {name} is {state}: only one that needs a review is replayed")


def drop(plans: Plans, name: str) -> Plan[None]:
    """Delete a poison entry or an undecodable message. Raises InvalidRequest for a job, DeadLetterNotFound."""
    if _ENTRY.fullmatch(name):
        if not (yield Ask("xdel", (plans.keys.poison, name))):
            raise DeadLetterNotFound(name)
        return
    if not name.startswith(MESSAGE):
        raise InvalidRequest(f"{name}: a job isn't dropped: `didflow resolve` ends it with what you found")
    messages = yield from plans.run(_undecodable(ALL_MESSAGES))
    meant = [text for text in messages if _message(text).name == name]
    if not meant:
        raise DeadLetterNotFound(name)
    yield from plans.run(_undecodable(0, *meant))


def _undecodable(limit: int, *dropped: str) -> Call[list[str]]:
    return Call("undecodable", (limit, *dropped), list)


def _poison(entry_id: str, kept: Mapping[str, str]) -> PoisonEntry:
    fields = {name: text for name, text in kept.items() if not name.startswith("poison_")}
    return PoisonEntry(entry_id, kept.get("poison_group", ""), kept.get("poison_reason", ""), kept.get("poison_entry", ""), fields)


def _message(hexadecimal: str) -> ForeignMessage:
    body = bytes.fromhex(hexadecimal)
    name = MESSAGE + hashlib.sha256(body).hexdigest()[:12]
    return ForeignMessage(name, len(body), body[:SHOWN_BYTES].decode(errors="replace"))
