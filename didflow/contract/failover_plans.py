"""A prepared failover: its numbers are selected before they are needed."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from didflow.contract.requests import Reroute

PlanName = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[\w.-]+$")]


class FailoverPlan(BaseModel):
    """A plan as the ledger keeps it. Times are Redis's.

    request      what would be moved where, with its guards; its deadline is given when it runs
    version      changes when the plan is saved again
    numbers      number -> record id, as of `resolved_at`; not read in lists of plans
    count        how many they are
    resolved_at  when the reading of them began; None: never yet
    snapshot     the dry run that read them, which also knows where they went then; None if there are few numbers, which are soon reread
    job          the dry run that is reading them now
    trouble      why the newest reading failed, since `trouble_at`; the numbers are those of the last good one
    """

    model_config = ConfigDict(frozen=True)

    name: PlanName
    account: str
    request: Reroute
    version: str
    saved_by: str
    saved_at: datetime
    numbers: dict[str, int] = {}
    count: int = 0
    resolved_at: datetime | None = None
    snapshot: str | None = None
    job: str | None = None
    trouble: str | None = None
    trouble_at: datetime | None = None

    def age_s(self, now: datetime) -> float | None:
        """How old its numbers are; None if there are none yet."""
        return None if self.resolved_at is None else max(0.0, (now - self.resolved_at).total_seconds())
