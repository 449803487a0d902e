"""SIP failover: move numbers to another trunk now, and back later, by the name of the incident.

    failover = Failover(Didflow.from_env())
    failover.away("INC-31", Selector(trunk_id=144), (Destination.trunk(207),), max_fraction=0.5)
    failover.back("INC-31")

Whoever repeats a command, on whatever machine, repeats the same job: the incident is the key.
"""

from collections.abc import Sequence
from datetime import datetime

from producers.client import Didflow
from worker.contract.destinations import Destination
from worker.contract.errors import JobNotFound
from worker.contract.jobs import Job, JobView
from worker.contract.requests import Failback, Reroute, Selector


class Failover:
    """Moves of one account's numbers. They go through the emergency lane, past everything else that waits."""

    def __init__(self, didflow: Didflow, *, account: str = "default") -> None:
        self._didflow, self._account = didflow, account

    def away(
        self,
        incident: str,
        who: Selector | Sequence[str],
        to: Sequence[Destination],
        *,
        expected_count: int | None = None,
        max_fraction: float | None = None,
        canary: int | None = None,
        deadline: datetime | None = None,
        dry_run: bool = False,
    ) -> Job:
        """Move the numbers that a selector finds, or a list of E.164 numbers, to these destinations.

        The guards are those of `Reroute`. A dry run has a key of its own, so that the real move isn't taken for a repetition.
        Raises InvalidRequest, IdempotencyConflict (this incident moved others), ServiceUnavailable (repeat it then).
        """
        request = Reroute.model_validate(
            {
                "selector": who if isinstance(who, Selector) else None,
                "numbers": () if isinstance(who, Selector) else tuple(who),
                "destinations": tuple(to),
                "expected_count": expected_count,
                "max_fraction": max_fraction,
                "canary": canary,
                "deadline": deadline,
                "dry_run": dry_run,
            }
        )
        key = f"failover-check:{incident}" if dry_run else away_key(incident)
        return self._didflow.submit(request, idempotency_key=key, reference=incident, account=self._account)

    def back(self, incident: str) -> Job:
        """Give every number of the incident its own old route back; what somebody changed since is left alone.

        Raises JobNotFound if nothing was moved under that name, ServiceUnavailable (repeat it then).
        """
        moved = self.moved(incident)
        return self._didflow.submit(
            Failback(job_id=moved.id), idempotency_key=f"failback:{incident}", reference=incident, account=self._account
        )

    def moved(self, incident: str) -> JobView:
        """The move away as it stands: `.progress` while it runs, then `.result` with each number's old and new route.

        Raises JobNotFound.
        """
        found = self._didflow.find(idempotency_key=away_key(incident))
        if not found:
            raise JobNotFound(away_key(incident))
        return found[0]


def away_key(incident: str) -> str:
    """The idempotency key of an incident's move."""
    return f"failover:{incident}"
