"""Who has which number of the pool."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from didflow.contract.number_holders import Loan
from didflow.contract.states import JobState
from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.keys import Keys
from didflow.ledger.script_calls import Call


@dataclass(frozen=True)
class HandedOut:
    """A number of the pool that a purchase has. `record_id` identifies the purchase: a number that was bought again has another one."""

    number: str
    record_id: int
    job_id: str


def handed_out(keys: Keys, account: str) -> Command[tuple[HandedOut, ...]]:
    """All of an account, by number. What can't be read is left out."""
    entries: dict[str, str] = yield RedisCommand("hgetall", (keys.handed_out(account),))
    read = ((number, text.split("|")) for number, text in sorted(entries.items()))
    return tuple(HandedOut(number, int(parts[0]), parts[1]) for number, parts in read if len(parts) == 3 and parts[0].isdigit())


@dataclass(frozen=True)
class Offered:
    """A number in the grace period of a release that may be assigned. `text`: what the release keeps of it."""

    number: str
    record_id: int
    job_id: str
    text: str


def offered(keys: Keys, account: str) -> Command[tuple[Offered, ...]]:
    """All of an account, by number, as they are now. What can't be read is left out."""
    entries: dict[str, str] = yield RedisCommand("hgetall", (keys.offered(account),))
    read = [(number, *text.partition("|")[::2]) for number, text in sorted(entries.items())]
    found = []
    for number, record_id, job_id in read:
        text: str | None = yield RedisCommand("hget", (keys.numbers(job_id), number))
        if text and record_id.isdigit():
            found.append(Offered(number, int(record_id), job_id, text))
    return tuple(found)


def borrowing(keys: Keys, account: str, numbers: Mapping[str, str]) -> Command[frozenset[str]]:
    """Those of the numbers that these jobs hold and may yet give back."""
    held = set()
    for number, job_id in numbers.items():
        holder: str | None = yield RedisCommand("hget", (keys.reserved(account), number))
        if holder == f"{job_id}|0":
            held.add(number)
    return frozenset(held)


def going(keys: Keys, account: str, numbers: Sequence[str]) -> Command[frozenset[str]]:
    """Those of the numbers that a release may have under way: begun, and not settled."""
    if not numbers:
        return frozenset()
    releases: list[str | None] = yield RedisCommand("hmget", (keys.going(account), list(numbers)))
    begun = {number: release for number, release in zip(numbers, releases, strict=True) if release}
    jobs = sorted(set(begun.values()))
    states: list[str | None] = (yield tuple(RedisCommand("hget", (keys.job(job), "state")) for job in jobs)) if jobs else []
    live = {job for job, state in zip(jobs, states, strict=True) if state is not None and not JobState(state).is_terminal}
    return frozenset(number for number, release in begun.items() if release in live)


def loans_text(loans: Mapping[str, Loan]) -> str:
    """As the scripts read them; empty for none."""
    return json.dumps({number: [loan.job_id, loan.kept, loan.lent] for number, loan in loans.items()}) if loans else ""


def returned(account: str, numbers: Sequence[str], actor: str = "") -> Call[tuple[str, ...]]:
    """Put numbers back that were assigned. Reads those that are."""
    return Call("reuse_return", (account, actor, *numbers), lambda reply: tuple(map(str, reply)))
