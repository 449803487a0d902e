"""Celery with Redis as broker and as result backend: prefork with a process for each core, and what its optimizing guide says of many
short tasks: a prefetch multiplier of 64 or 128. It has no way to submit many at once.
"""

from collections.abc import Sequence

import redis
from celery import Celery

from tests.bench.contenders.contender import PROCESSES, StoredResults, server_url

_address = server_url().replace("unix://", "redis+socket://")
app = Celery("bench", broker=_address, backend=_address)
app.conf.worker_prefetch_multiplier = 64


@app.task  # type: ignore[untyped-decorator]
def nothing() -> str:
    return "succeeded"


class Contender:
    def __init__(self) -> None:
        self._results = StoredResults(redis.Redis.from_url(server_url()))

    def workers(self) -> Sequence[Sequence[str]]:
        return [("-m", "celery", "-A", "tests.bench.contenders.celery_jobs", "worker", "--concurrency", str(PROCESSES))]

    def submit_many(self, count: int) -> None:
        for _ in range(count):
            self.submit_one()

    def submit_one(self) -> None:
        self._results.expect(f"celery-task-meta-{nothing.delay().id}")

    def ended(self) -> int:
        return self._results.ended()
