"""What happened in the last hours."""

from didflow.client.activity import activity
from didflow.client.aio.base import AsyncClient
from didflow.contract.activity import MINUTES, ActivityMinute


class AsyncActivity(AsyncClient):
    """Jobs that ended, spending and the provider's latency, over all accounts."""

    async def activity(self, minutes: int = MINUTES) -> tuple[ActivityMinute, ...]:
        """Return the last minutes, oldest first: jobs that ended, USD that were spent, and how fast the provider answered.

            for minute in await didflow.activity(60):
                print(minute.at, minute.ended.get("succeeded", 0), minute.spent_usd, minute.p95_ms)

        `minutes`: 1 to 1440. The present minute is the last one, and not over. Raises InvalidRequest.
        """
        return await self.ledger.perform(activity(self.ledger.commands, minutes))
