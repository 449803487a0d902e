"""What people decided where no job's story has it: failover plans, the pool, dead letters, groups, reconcile. The newest 10,000 stay."""

from datetime import UTC, datetime

from didflow.contract.decisions import Decision
from didflow.ledger.commands import Command, Commands, RedisCommand


def decisions(commands: Commands, limit: int) -> Command[tuple[Decision, ...]]:
    """The newest, newest first."""
    entries = yield RedisCommand("xrevrange", (commands.keys.decisions,), {"count": limit})
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
