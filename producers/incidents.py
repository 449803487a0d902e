# Written by `make generate` from producers/async_incidents.py: change that file.
"""Incidents: one incident is several jobs, in one or more accounts.

    incidents = Incidents(Didflow.from_env())
    incident = incidents.get("INC-31")
    print(incident.state, incident.moved, "of", incident.numbers)
    incidents.cancel("INC-31")       # cancels what hasn't ended
    incidents.failback("INC-31")     # brings back what it moved

`producers.failover.Failover` begins one.
"""

from didflow.client.sync.client import Didflow
from didflow.contract.incidents import Incident
from producers.incident_jobs import WayBack, all_incidents, cancel_incident, fail_back, incident_named


class Incidents:
    """The incidents of a namespace, over all accounts. Every method may raise ServiceUnavailable; it is safe to repeat the call."""

    def __init__(self, didflow: Didflow) -> None:
        self._ledger = didflow.ledger

    def all(self, limit: int = 20) -> tuple[Incident, ...]:
        """Return the newest incidents, newest first.

            for incident in incidents.all():
                print(incident.name, incident.state)

        At most `limit`.
        """
        return self._ledger.perform(all_incidents(self._ledger.commands, limit))

    def get(self, name: str) -> Incident:
        """Return an incident with its jobs.

            incident = incidents.get("INC-31")

        Raises IncidentNotFound, which names similar ones.
        """
        return self._ledger.perform(incident_named(self._ledger.commands, name))

    def cancel(self, name: str) -> Incident:
        """Cancel all of its jobs that haven't ended, failbacks too. What has moved stays moved.

            incident = incidents.cancel("INC-31")

        Returns the incident after the change. Raises IncidentNotFound.
        """
        return self._ledger.perform(cancel_incident(self._ledger.commands, name))

    def failback(self, name: str, *, dry_run: bool = False) -> tuple[WayBack, ...]:
        """Fail back the incident's numbers, in all accounts; moves that haven't ended are cancelled first.

            for way in incidents.failback("INC-31", dry_run=True):
                print(way.job, way.numbers)

        Called twice, it is the same failback; if that one left something undone, a new one continues with the rest. `dry_run` only says
        what would be done. Raises IncidentNotFound.
        """
        return self._ledger.perform(fail_back(self._ledger.commands, name, dry_run=dry_run))
