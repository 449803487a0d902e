"""The doctor's checks of webhooks: endpoints that get nothing, and events that they missed."""

from collections.abc import Iterator

from didflow.checks.check import Check
from didflow.contract.webhooks import EndpointState, EndpointView
from didflow.ledger.client import LedgerClient
from didflow.ledger.webhooks.endpoints import every


def check_webhooks(ledger: LedgerClient) -> Iterator[Check]:
    """One check for each endpoint."""
    for found in ledger.perform(every(ledger.commands)):
        yield _endpoint(found)


def _endpoint(found: EndpointView) -> Check:
    facts, is_ok = [f"{found.queued} events wait"], True
    if found.state is EndpointState.DISABLED:
        facts, is_ok = [*facts, f"disabled ({found.reason}): `didflow webhooks enable {found.name}`"], False
    elif found.failing_since is not None:
        facts = [*facts, f"failing since {found.failing_since:%Y-%m-%d %H:%M} UTC: `didflow webhooks deliveries {found.name}`"]
        is_ok = False
    if found.missed:
        since = f" --since {found.missed_since:%Y-%m-%dT%H:%M}+00:00" if found.missed_since else ""
        facts, is_ok = [*facts, f"missed {found.missed}: `didflow webhooks redeliver {found.name}{since}`"], False
    return Check(f"webhook {found.name}", "ok" if is_ok else "warn", "; ".join(facts))
