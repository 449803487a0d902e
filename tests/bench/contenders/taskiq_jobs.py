"""taskiq with the stream broker and the result backend of taskiq-redis, as in its README; two worker processes, taskiq's default."""

from collections.abc import Sequence

import redis
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from tests.bench.contenders.contender import PROCESSES, StoredResults, server_url
from tests.bench.contenders.coroutines import many, wait_for

broker = RedisStreamBroker(url=server_url()).with_result_backend(RedisAsyncResultBackend(redis_url=server_url()))


@broker.task  # type: ignore[untyped-decorator]
async def nothing() -> str:
    return "succeeded"


class Contender:
    def __init__(self) -> None:
        wait_for(broker.startup())
        self._results = StoredResults(redis.Redis.from_url(server_url()))

    def workers(self) -> Sequence[Sequence[str]]:
        return [("-m", "taskiq", "worker", "tests.bench.contenders.taskiq_jobs:broker", "--workers", str(PROCESSES))]

    def submit_many(self, count: int) -> None:
        wait_for(many(count, self._submit))

    def submit_one(self) -> None:
        wait_for(self._submit())

    async def _submit(self) -> None:
        task = await nothing.kiq()
        self._results.expect(task.task_id)

    def ended(self) -> int:
        return self._results.ended()
