"""What needs a person: parked jobs, results that no consumer of a group could process, refused business events, messages
on the queues that aren't ours.

Nothing of it is lost, and nothing of it resumes by itself. Each has a name, by which it is given back or dropped.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from didflow.contract.errors import DeadLetterNotFound, InvalidRequest, WrongJob
from didflow.contract.jobs import JobView
from didflow.contract.states import JobState
from didflow.ledger import script_calls
from didflow.ledger.commands import Command, Commands, RedisCommand
from didflow.ledger.replies import PutBack, Unchanged
from didflow.ledger.script_calls import Call

#: A message's name begins so, and a business event's; a poison entry's is its id on the poison stream; a parked job's is the job's id.
MESSAGE = "message-"
REQUEST = "request-"
_ENTRY = re.compile(r"\d+-\d+")
_JOB = re.compile(r"[0-9a-f]{26}([:-].*)?")
#: The code of a business event that was delivered too often without an acknowledgement.
UNDELIVERABLE = "undeliverable"
#: The first bytes of a message show its origin.
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
class DeadRequest:
    """A business event that `group` couldn't act on, and why. `entry`: its id on the requests stream.

    `faults`: every one, (where, what). `fields`: as it lay there, or its beginning.
    """

    name: str
    group: str
    code: str
    reason: str
    faults: tuple[tuple[str, str], ...]
    entry: str
    fields: Mapping[str, str]


@dataclass(frozen=True)
class DeadLetters:
    """Everything that needs a person. If there is more than `limit`: the newest jobs and messages, the oldest entries."""

    parked: tuple[JobView, ...]
    poison: tuple[PoisonEntry, ...]
    undecodable: tuple[ForeignMessage, ...]
    requests: tuple[DeadRequest, ...] = ()


def dead_letters(commands: Commands, limit: int) -> Command[DeadLetters]:
    """At most `limit` of each."""
    parked = yield from commands.find(state=JobState.NEEDS_REVIEW, limit=limit)
    entries = yield RedisCommand("xrange", (commands.keys.poison,), {"count": limit})
    messages = yield from commands.run(_undecodable(limit))
    dead = yield RedisCommand("xrange", (commands.keys.dead_requests,), {"count": limit})
    poison, requests = tuple(_poison(*entry) for entry in entries), tuple(_request(*entry) for entry in dead)
    return DeadLetters(parked, poison, tuple(map(_message, messages)), requests)


def replay(commands: Commands, name: str) -> Command[None]:
    """Let a parked job continue, or give a poison entry or a business event back to its group.

    Raises InvalidRequest, WrongJob, JobNotFound, DeadLetterNotFound.
    """
    if name.startswith(MESSAGE):
        raise InvalidRequest(f"{name} isn't one of our messages, so it can't be replayed: drop it")
    if _ENTRY.fullmatch(name) or name.startswith(REQUEST):
        said = yield from commands.run(_put_back(name))
        if said is PutBack.GONE:
            raise DeadLetterNotFound(name)
        if said is not PutBack.DONE:
            why = "its group is gone" if said is PutBack.NO_GROUP else "its stream doesn't keep it any more"
            raise InvalidRequest(f"{name} can't be put back, {why}: see `didflow dead-letters --json` for what it says, then drop it")
        return
    reply = yield from commands.run(script_calls.retry(name, commands.actor))
    if isinstance(reply, Unchanged):
        raise WrongJob(f"job {name} is {reply}: only one that needs a review is replayed")


def drop(commands: Commands, name: str) -> Command[None]:
    """Delete a poison entry, a business event or an undecodable message. Raises InvalidRequest for a job, DeadLetterNotFound."""
    if _ENTRY.fullmatch(name):
        yield from _drop_entry(commands, ("results", "poison"), name, name)
        return
    if name.startswith(REQUEST):
        yield from _drop_entry(commands, ("requests", "dead"), name.removeprefix(REQUEST), name)
        return
    if _JOB.fullmatch(name):
        raise InvalidRequest(f"{name}: a job isn't dropped: `didflow resolve` ends it with what you found")
    messages = yield from commands.run(_undecodable(ALL_MESSAGES))
    meant = [text for text in messages if _message(text).name == name]
    if not meant:
        raise DeadLetterNotFound(name)
    yield from commands.run(_undecodable(0, *(part for message in meant for part in (message, name))))


def _drop_entry(commands: Commands, stream: tuple[str, str], entry: str, name: str) -> Command[None]:
    if not _ENTRY.fullmatch(entry) or (yield from commands.run(Call("letter_drop", (*stream, entry, name), str))) == "gone":
        raise DeadLetterNotFound(name)


def _undecodable(limit: int, *dropped: str) -> Call[list[str]]:
    return Call("undecodable", (limit, *dropped), list)


def _put_back(name: str) -> Call[PutBack]:
    entry = name.removeprefix(REQUEST)
    if not _ENTRY.fullmatch(entry):
        raise DeadLetterNotFound(name)
    where = ("results", "poison", "poison") if entry == name else ("requests", "dead", "dead")
    return Call("put_back", (entry, *where, name), PutBack)


def _request(entry_id: str, kept: Mapping[str, str]) -> DeadRequest:
    said = {name.removeprefix("dead_"): text for name, text in kept.items() if name.startswith("dead_")}
    fields = {name: text for name, text in kept.items() if not name.startswith("dead_")}
    code, faults = said.get("code") or UNDELIVERABLE, faults_read(said.get("faults", ""))
    return DeadRequest(REQUEST + entry_id, said.get("group", ""), code, said.get("reason", ""), faults, said.get("entry", ""), fields)


def faults_text(faults: Iterable[tuple[str, str]]) -> str:
    """Faults as they are kept with a business event: JSON, pairs of where and what."""
    return json.dumps([list(fault) for fault in faults], ensure_ascii=False)


def faults_read(text: str) -> tuple[tuple[str, str], ...]:
    """The same, read; none from what isn't ours."""
    try:
        return tuple((str(where), str(what)) for where, what in json.loads(text or "[]"))
    except (ValueError, TypeError):
        return ()


def _poison(entry_id: str, kept: Mapping[str, str]) -> PoisonEntry:
    fields = {name: text for name, text in kept.items() if not name.startswith("poison_")}
    return PoisonEntry(entry_id, kept.get("poison_group", ""), kept.get("poison_reason", ""), kept.get("poison_entry", ""), fields)


def _message(hexadecimal: str) -> ForeignMessage:
    body = bytes.fromhex(hexadecimal)
    name = MESSAGE + hashlib.sha256(body).hexdigest()[:12]
    return ForeignMessage(name, len(body), body[:SHOWN_BYTES].decode(errors="replace"))
