# Written by `make generate` from didflow/client/aio/activity.py: change that file.
"""What happened in the last hours."""

from didflow.client.activity import activity
from didflow.client.sync.base import Client
from didflow.contract.activity import MINUTES, ActivityMinute


class Activity(Client):
    """Jobs that ended, spending and the provider's latency, over all accounts."""

    def activity(self, minutes: int = MINUTES) -> tuple[ActivityMinute, ...]:
        """Return the last minutes, oldest first: jobs that ended, USD that were spent, and how fast the provider answered.

            for minute in didflow.activity(60):
                print(minute.at, minute.ended.get("succeeded", 0), minute.spent_usd, minute.p95_ms)

        `minutes`: 1 to 1440. The present minute is the last one, and not over. Raises InvalidRequest.
        """
        return self.ledger.perform(activity(self.ledger.commands, minutes))
