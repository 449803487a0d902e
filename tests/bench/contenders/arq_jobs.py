"""arq: two workers with its defaults (10 jobs at once; it polls every half second when it is idle)."""

from collections.abc import Sequence
from typing import Any

import redis
from arq.connections import RedisSettings, create_pool
from arq.jobs import Job

from tests.bench.contenders.contender import PROCESSES, StoredResults, server_url
from tests.bench.contenders.coroutines import many, wait_for


async def nothing(context: dict[str, Any]) -> str:
    return "succeeded"


class WorkerSettings:
    functions = (nothing,)
    redis_settings = RedisSettings(unix_socket_path=server_url().removeprefix("unix://"))


class Contender:
    def __init__(self) -> None:
        self._pool = wait_for(create_pool(WorkerSettings.redis_settings))
        self._results = StoredResults(redis.Redis.from_url(server_url()))

    def workers(self) -> Sequence[Sequence[str]]:
        return [("-m", "arq", "tests.bench.contenders.arq_jobs.WorkerSettings")] * PROCESSES

    def submit_many(self, count: int) -> None:
        wait_for(many(count, self._submit))

    def submit_one(self) -> None:
        wait_for(self._submit())

    async def _submit(self) -> None:
        job: Job = await self._pool.enqueue_job("nothing")
        self._results.expect(f"arq:result:{job.job_id}")

    def ended(self) -> int:
        return self._results.ended()
