"""The doctor's checks of the inventory: its age, and keys that another program wrote."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, cast

from didflow.checks.check import Check
from didflow.contract.time_values import about
from didflow.ledger.client import LedgerClient
from didflow.ledger.connection import translated
from didflow.ledger.inventory import look, read_lines
from didflow.ledger.inventory_columns import number_in
from didflow.ledger.inventory_rows import read_row
from didflow.ledger.keys import Keys

#: A mirror is old when this many sweeps are overdue.
SWEEPS_LATE = 3
#: Numbers and keys that are named.
NAMED = 10
#: The kinds of the inventory's keys, and their types.
KINDS = {"state": "hash", "rows": "hash", "lines": "string", "free": "list", "newer": "zset"}


def check_inventory(ledger: LedgerClient, account: str, *, every_s: float) -> Iterator[Check]:
    """One check of the age, and one for what is damaged."""
    state = ledger.perform(look(ledger.keys, account)).state
    shown = f"{state.numbers} numbers"
    if state.swept_at is None or state.age_s is None:
        yield Check(f"inventory {account}", "warn", f"{shown}, and no complete sweep yet: a worker sweeps as soon as one runs")
    elif state.trouble:
        yield Check(
            f"inventory {account}", "warn", f"{shown}, read {about(state.age_s)} ago; the last sweep wasn't complete: {state.trouble}"
        )
    elif state.age_s > SWEEPS_LATE * every_s:
        yield Check(
            f"inventory {account}", "warn", f"{shown}, read {about(state.age_s)} ago: start workers, or raise DIDFLOW_INVENTORY_SHARE"
        )
    else:
        yield Check(f"inventory {account}", "ok", f"{shown}, read {about(state.age_s)} ago")
    if damaged := list(islice(_damaged(ledger, account), NAMED + 1)):
        more = " and more" if len(damaged) > NAMED else ""
        what = f"another program wrote to {', '.join(damaged[:NAMED])}{more}: the next sweep corrects numbers that are ours"
        yield Check(f"inventory {account} data", "warn", what)


def check_foreign_inventory(ledger: LedgerClient, accounts: Iterable[str]) -> Iterator[Check]:
    """Keys of the inventory that belong to no account of the settings, or that have another type than didflow writes."""
    known = set(accounts)
    with translated():
        names = sorted(str(name) for name in ledger.client.scan_iter(match=f"{ledger.keys.namespace}:inventory:*", count=1000))
        foreign = [name for name in names if _is_foreign(ledger, name, known)]
    if foreign:
        shown = ", ".join(foreign[:NAMED]) + (" and more" if len(foreign) > NAMED else "")
        yield Check("inventory keys", "warn", f"{shown} are of no account here, or not as didflow writes them: check who wrote them")


def _is_foreign(ledger: LedgerClient, name: str, accounts: set[str]) -> bool:
    kind, _, rest = name.removeprefix(f"{ledger.keys.namespace}:inventory:").partition(":")
    account = rest.rpartition(":")[0] if kind == "lines" else rest
    return kind not in KINDS or account not in accounts or ledger.client.type(name) != KINDS[kind]


def _damaged(ledger: LedgerClient, account: str) -> Iterator[str]:
    keys: Keys = ledger.keys
    with translated():
        if ledger.client.type(keys.inventory_rows(account)) not in ("hash", "none"):
            yield keys.inventory_rows(account)
            return
        lined = {number_in(line) for line in ledger.perform(read_lines(keys, account))}
        rows = cast("Iterator[tuple[str, Any]]", ledger.client.hscan_iter(keys.inventory_rows(account), count=1000))
        for number, text in rows:
            if read_row(number, text) is None or number not in lined:
                yield number
            lined.discard(number)
    yield from sorted(lined)
