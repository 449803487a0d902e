# Written by `make generate` from didflow/client/aio/evidence.py: change that file.
"""The evidence about parked jobs, as far as workers have read it."""

from didflow.client.evidence import SETTLE_S, evidence_of
from didflow.client.sync.base import Client
from didflow.contract.evidence import MOST_NUMBERS, JobEvidence


class Evidence(Client):
    """What is known of the open numbers of parked jobs."""

    def evidence(self, job_id: str, *, settle_s: float = SETTLE_S, after: str | None = None, limit: int = MOST_NUMBERS) -> JobEvidence:
        """Return what is known of each open number of a parked job, and what that proves.

            found = didflow.evidence(job_id)
            for one in found.numbers:
                print(one.number, one.proposal.verdict, one.proposal.because)
            bought = [one.number for one in found.numbers if one.proposal.verdict == "yes"]

        It is what workers have read; nothing is asked of the provider. `inventory.refresh()` has the owned list read now; `retry` has the
        cart, the owned list and the transactions read, and continues the job if they prove what happened.

        settle_s  how long the provider's lists may lag, in seconds (DIDFLOW_SETTLE_SECONDS of the workers)
        after     `next_after` of the page before; `limit`: numbers of this page, a hundred at most

        Raises JobNotFound, WrongJob if the job isn't parked or names no open number, InvalidRequest.
        """
        view = self.ledger.perform(self.ledger.commands.get(job_id))
        steps = self.ledger.perform(self.ledger.commands.steps(job_id))
        return self.ledger.perform(evidence_of(self.ledger.commands, view, steps, settle_s, after, limit))
