"""Who has which number of the pool."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from didflow.contract.number_holders import Loan
from didflow.ledger.client import LedgerClient
from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.keys import Keys
from didflow.ledger.ledger import Claim
from didflow.ledger.records import read_record
from didflow.ledger.reservations import Reservation
from didflow.ledger.script_calls import Call

NO_LOANS: Mapping[str, Loan] = {}


class _HandedOut(BaseModel):
    """As `scripts/include/pool.lua` writes it."""

    record_id: int
    job: str


class _Offered(BaseModel):
    """As `scripts/include/pool.lua` writes it."""

    record_id: int
    release_job: str


@dataclass(frozen=True)
class HandedOut:
    """A number of the pool that a purchase has. `record_id` identifies the purchase: a number that was bought again has another one."""

    number: str
    record_id: int
    job_id: str


def handed_out(keys: Keys, account: str) -> Command[tuple[HandedOut, ...]]:
    """All of an account, by number. What can't be read is left out."""
    entries: dict[str, str] = yield RedisCommand("hgetall", (keys.handed_out(account),))
    read = ((number, read_record(_HandedOut, text)) for number, text in sorted(entries.items()))
    return tuple(HandedOut(number, one.record_id, one.job) for number, one in read if one is not None)


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
    found = []
    for number, entry in sorted(entries.items()):
        if (one := read_record(_Offered, entry)) is None:
            continue
        text: str | None = yield RedisCommand("hget", (keys.numbers(one.release_job), number))
        if text:
            found.append(Offered(number, one.record_id, one.release_job, text))
    return tuple(found)


def borrowing(keys: Keys, account: str, numbers: Mapping[str, str]) -> Command[frozenset[str]]:
    """Those of the numbers that these jobs hold and may yet give back."""
    held = set()
    for number, job_id in numbers.items():
        text: str | None = yield RedisCommand("hget", (keys.reserved(account), number))
        if read_record(Reservation, text) == Reservation(holder=job_id, until_ms=0):
            held.add(number)
    return frozenset(held)


def hand_out(
    ledger: LedgerClient, claim: Claim, numbers: Sequence[tuple[str, int, str]], loans: Mapping[str, Loan] = NO_LOANS
) -> frozenset[str] | None:
    """Give numbers of ours to a purchase: number, record id, text. Those that it has now; None if the lease is lost."""
    every = (text for one in numbers for text in one)
    verdict, *granted = ledger.run(Call("reuse_hand_out", (claim.job_id, claim.token, loans_text(loans), *every), tuple))
    return None if verdict == "lost" else frozenset(map(str, granted))


def take_back(ledger: LedgerClient, claim: Claim, numbers: Mapping[str, str], loans: Mapping[str, Loan] = NO_LOANS) -> bool:
    """Take numbers back from a purchase that they were handed out to. False if the lease is lost."""
    pairs = (text for pair in numbers.items() for text in pair)
    return ledger.run(Call("reuse_take_back", (claim.job_id, claim.token, loans_text(loans), *pairs), lambda reply: bool(reply == "ok")))


def loans_text(loans: Mapping[str, Loan]) -> str:
    """As the scripts read them; empty for none."""
    fields = {number: {"release_job": loan.job_id, "kept": loan.kept, "lent": loan.lent} for number, loan in loans.items()}
    return json.dumps(fields) if loans else ""


def returned(account: str, numbers: Sequence[str], actor: str = "") -> Call[tuple[str, ...]]:
    """Put numbers back that were assigned. Reads those that are."""
    return Call("reuse_return", (account, actor, *numbers), lambda reply: tuple(map(str, reply)))
