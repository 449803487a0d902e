"""Detects that two accounts in the settings are one account at the provider, with two keys or two addresses.

Reservations, limits, the rate and the gate belong to an account's name. One account under two names would have each of its numbers
assigned to two customers: both names see a number that either bought.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import combinations

from didflow.checks.check import Check
from didflow.contract.provider import NotThere, ReadFailed
from didflow.ledger.ledger import Ledger
from didflow.settings import Account, Settings
from worker.attempt.dialects import finder_of
from worker.attempt.provider_clients import client_of, pace_from
from worker.attempt.rate_limiter import SharedRateLimiter
from worker.wavix.client import WavixClient

HTTP_TIMEOUT_S = 10.0
#: This many records of one account are requested by id at the other. One would be enough if nothing were released meanwhile.
SAMPLE = 3

#: The id of an owned number's record, and the number.
Record = tuple[int, str]


@dataclass(frozen=True)
class Shown:
    """What an account shows: the records on its first page, and a client to ask for others."""

    client: WavixClient
    records: tuple[Record, ...]


def check_overlap(settings: Settings, ledger: Ledger | None) -> Iterator[Check]:
    """One check, if there are several accounts. It fails where one of them owns a record of the other: then each owns all of them, so a
    few are enough, however many there are."""
    accounts = settings.all_accounts()
    if len(accounts) < 2:
        return
    with ExitStack() as opened:
        shown: dict[str, Shown] = {}
        unread: dict[str, str] = {}
        for name, account in accounts.items():
            client = _client(name, account, settings, ledger)
            opened.callback(client.close)
            try:
                shown[name] = Shown(client, tuple((one.record_id, one.number) for one in client.owned(page=1).items))
            except (ReadFailed, NotThere) as error:
                unread[name] = str(error)
        yield _verdict(shown, unread)


def _client(name: str, account: Account, settings: Settings, ledger: Ledger | None) -> WavixClient:
    gate = SharedRateLimiter(ledger, name, pace_from(settings), None, emergency=False) if ledger else None
    return client_of(account, finder_of(name, account, None), timeout_s=HTTP_TIMEOUT_S, admission=gate)


def _verdict(shown: Mapping[str, Shown], unread: Mapping[str, str]) -> Check:
    untold: list[str] = []
    for (one, first), (other, second) in combinations(sorted(shown.items()), 2):
        try:
            shared = shared_numbers(first, second)
        except ReadFailed:
            untold.append(f"{one!r} and {other!r} (their numbers can't be read by id)")
            continue
        if shared:
            some = ", ".join(shared[:SAMPLE]) + (" and more" if len(shared) > SAMPLE else "")
            words = f"{one!r} and {other!r} own the same records ({some}): they are one account, and each number is sold twice"
            return Check("accounts", "fail", f"{words}: stop the workers, and keep one of the two names")
        if not first.records and not second.records:
            untold.append(f"{one!r} and {other!r} (both own nothing)")
    if unread:
        return Check("accounts", "warn", f"what {', '.join(map(repr, unread))} owns can't be read, so it isn't compared with the others")
    words = f"no two of {len(shown)} accounts are one: records of each were looked for at the others"
    return Check("accounts", "ok", words + (f"; not told apart: {', '.join(untold)}" if untold else ""))


def shared_numbers(one: Shown, other: Shown) -> list[str]:
    """Some numbers that both own; none if they are two accounts. Raises ReadFailed."""
    if both := set(one.records) & set(other.records):
        return sorted(number for _, number in both)
    asked, at = (one, other) if one.records else (other, one)
    return [record[1] for record in asked.records[:SAMPLE] if _owns(at.client, record)]


def _owns(client: WavixClient, record: Record) -> bool:
    try:
        return client.owned_one(record[0]).number == record[1]
    except NotThere:
        return False
