"""Whether two accounts of the settings are one at the provider, under two keys or two addresses.

Reservations, limits, the rate and the gate belong to an account's name. One account under two names would have each of its numbers
handed to two customers: both names see a number that either bought.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations, islice

from worker.contract.provider import NotThere, ReadFailed
from worker.jobs.owned import pages_of
from worker.ledger.ledger import Ledger
from worker.runtime.admission import SharedAdmission
from worker.runtime.checks import Check
from worker.runtime.dialects import finder_of
from worker.runtime.providers import client_of, pace_from
from worker.settings import Account, Settings

HTTP_TIMEOUT_S = 10.0
#: So many pages of each owned list are compared: two lists of one account begin with the same records.
PAGES = 10
#: So many numbers are named.
NAMED = 3


def check_overlap(settings: Settings, ledger: Ledger | None) -> Iterator[Check]:
    """One check, if there are several accounts. It fails where two of them own a record of the same id and number."""
    accounts = settings.all_accounts()
    if len(accounts) < 2:
        return
    owned: dict[str, frozenset[tuple[int, str]]] = {}
    unread: list[str] = []
    for name, account in accounts.items():
        try:
            owned[name] = _owned(name, account, settings, ledger)
        except (ReadFailed, NotThere):
            unread.append(name)
    yield _verdict(owned, unread)


def _owned(name: str, account: Account, settings: Settings, ledger: Ledger | None) -> frozenset[tuple[int, str]]:
    gate = SharedAdmission(ledger, name, pace_from(settings), None, emergency=False) if ledger else None
    client = client_of(account, finder_of(name, account, None), timeout_s=HTTP_TIMEOUT_S, admission=gate)
    try:
        return frozenset((one.record_id, one.number) for page in islice(pages_of(client), PAGES) for one in page.items)
    finally:
        client.close()


def _verdict(owned: Mapping[str, frozenset[tuple[int, str]]], unread: list[str]) -> Check:
    for (one, first), (other, second) in combinations(sorted(owned.items()), 2):
        if shared := sorted(number for _, number in first & second):
            some = ", ".join(shared[:NAMED]) + (f" and {len(shared) - NAMED} more" if len(shared) > NAMED else "")
            words = f"{one!r} and {other!r} own the same records ({some}): they are one account, and each number is sold twice"
            return Check("accounts", "fail", f"{words}: stop the workers, and keep one of the two names")
    if unread:
        return Check("accounts", "warn", f"what {', '.join(map(repr, unread))} owns can't be read, so it isn't compared with the others")
    return Check("accounts", "ok", f"no number is owned by two of {len(owned)} accounts, in the first {PAGES} pages of each")
