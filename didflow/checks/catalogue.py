"""The doctor's check of the catalogue: how much it keeps, and keys in it that no worker of ours wrote."""

from collections import Counter
from collections.abc import Collection, Iterator

from didflow.checks.check import Check
from didflow.contract.time_values import about
from didflow.ledger.catalogue_inspection import CatalogueKeys, inspect
from didflow.ledger.client import LedgerClient

#: The most names in one message.
NAMED = 5


def check_catalogue(ledger: LedgerClient, accounts: Collection[str]) -> Iterator[Check]:
    """`accounts`: those that the workers and this shell know."""
    found = ledger.perform(inspect(ledger.keys, ledger.now_ms()))
    for account in sorted(found):
        yield _account(ledger, account, found[account], known=account in accounts or not accounts)


def _account(ledger: LedgerClient, account: str, seen: CatalogueKeys, *, known: bool) -> Check:
    if seen.foreign:
        some = ", ".join(seen.foreign[:NAMED]) + (f" and {len(seen.foreign) - NAMED} more" if len(seen.foreign) > NAMED else "")
        message = f"these keys are none of ours: {some}; delete them with `redis-cli DEL`, workers look again"
        return Check(f"catalogue {account}", "warn", message)
    if seen.damaged:
        some = ", ".join(seen.damaged[:NAMED]) + (f" and {len(seen.damaged) - NAMED} more" if len(seen.damaged) > NAMED else "")
        key = ledger.keys.catalogue_looks(account)
        message = f"{len(seen.damaged)} looks were changed or cut by something else: {some}; they are not believed and are made again when "
        return Check(f"catalogue {account}", "warn", message + f"somebody asks; `redis-cli HDEL {key} …` deletes them")
    if not known:
        return Check(f"catalogue {account}", "warn", f"{seen.looks} looks of an account that no worker has; they go by themselves in time")
    ages = f", the newest {about(seen.newest_s)} and the oldest {about(seen.oldest_s)} old" if seen.looks else ""
    parts = ", ".join(f"{count} {what}" for what, count in sorted(Counter(one.partition(".")[0] for one in seen.questions).items()))
    lacking = f"; {len(seen.incomplete)} may lack something: {', '.join(seen.incomplete[:NAMED])}" if seen.incomplete else ""
    return Check(f"catalogue {account}", "ok", f"{seen.looks} looks ({parts}), {seen.characters / 1000:.0f} kB{ages}{lacking}")
