"""The idempotency keys of an incident's jobs. An incident has one move for each account, perhaps a sweep after it, and their failbacks.

The account whose move came first has the plain key, `failover:INCIDENT`; the others have one with their names in it.
"""

from didflow.contract.jobs import JobView
from didflow.contract.requests import Reroute

#: How many characters of a key the longest prefix takes.
_MOVES = ("failover", "failover-sweep")


def away_key(incident: str, account: str | None = None) -> str:
    """The key of an incident's move; `account`: one beside the first."""
    return _key("failover", incident, account)


def sweep_key(incident: str, account: str | None = None) -> str:
    """That of the sweep after it."""
    return _key("failover-sweep", incident, account)


def back_key(moved: JobView) -> str:
    """That of the failback: the same whether the incident was named or its job."""
    prefix, colon, rest = (moved.idempotency_key or "").partition(":")
    match prefix:
        case "failover" if colon:
            return f"failback:{rest}"
        case "failover-sweep" if colon:
            return f"failback-sweep:{rest}"
        case "failover-of" if colon:
            return f"failback-of:{rest}"
        case "failover-sweep-of" if colon:
            return f"failback-sweep-of:{rest}"
    return f"failback:{moved.id}"


def rest_key(before: str) -> str:
    """The key of the failback that continues what this one left undone."""
    return f"failback-rest:{before}"


def incident_of(view: JobView) -> str | None:
    """The incident that a job belongs to; derived from its key if the job was submitted before incidents were stored."""
    if view.incident is not None:
        return view.incident
    if isinstance(view.request, Reroute) and not view.request.dry_run and (key := view.idempotency_key):
        return incident_in(key)
    return None


def incident_in(key: str) -> str | None:
    """The incident that a plain key names."""
    prefix, _, incident = key.partition(":")
    return (incident or None) if prefix in _MOVES else None


def _key(prefix: str, incident: str, account: str | None) -> str:
    return f"{prefix}:{incident}" if account is None else f"{prefix}-of:{account}:{incident}"
