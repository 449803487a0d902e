"""What people decided where no job's story tells it: plans, the pool, dead letters, groups, reconcile. The newest 10,000 are kept."""

from datetime import UTC, datetime

from didflow.contract.decisions import Decision
from didflow.ledger.commands import Ask, Plan, Plans

#: As in the scripts.
MOST = 10_000


def note_decision(plans: Plans, what: str, subject: str, detail: str = "") -> Plan[None]:
    """Note one that was carried out without a script of ours. Nothing for a client without an actor, which is a worker."""
    if plans.actor:
        fields = {"what": what, "subject": subject, "actor": plans.actor, "detail": detail}
        yield Ask("xadd", (plans.keys.decisions, fields), {"maxlen": MOST, "approximate": True})


def decisions(plans: Plans, limit: int) -> Plan[tuple[Decision, ...]]:
    """The newest, newest first."""
    entries = yield Ask("xrevrange", (plans.keys.decisions,), {"count": limit})
    return tuple(
        Decision(
            at=datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC),
            what=fields.get("what", ""),
            subject=fields.get("subject", ""),
            actor=fields.get("actor", ""),
            detail=fields.get("detail", ""),
        )
        for entry_id, fields in entries
    )
