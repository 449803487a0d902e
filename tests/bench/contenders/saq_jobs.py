"""SAQ on Redis: two workers with 10 jobs at once, its default."""

from collections.abc import Sequence
from typing import Any

import redis
import redis.asyncio
from saq.queue.redis import RedisQueue

from tests.bench.contenders.contender import PROCESSES, server_url
from tests.bench.contenders.coroutines import many, wait_for


async def nothing(context: dict[str, Any]) -> str:
    return "succeeded"


queue = RedisQueue(redis.asyncio.Redis.from_url(server_url()), name="bench")
settings = {"queue": queue, "functions": [nothing], "concurrency": 10}


class Contender:
    def __init__(self) -> None:
        self._client = redis.Redis.from_url(server_url())
        self._submitted = 0

    def workers(self) -> Sequence[Sequence[str]]:
        return [("-m", "saq", "tests.bench.contenders.saq_jobs.settings")] * PROCESSES

    def submit_many(self, count: int) -> None:
        wait_for(many(count, self._submit))

    def submit_one(self) -> None:
        wait_for(self._submit())

    async def _submit(self) -> None:
        await queue.enqueue("nothing")
        self._submitted += 1

    def ended(self) -> int:
        """The result is written into the job, in the same transaction that takes it off this list."""
        return self._submitted - int(self._client.zcard("saq:bench:incomplete"))
