"""RQ with SimpleWorker, which its notes on performance name for jobs of a few milliseconds; a worker pool of two.

Many: `enqueue_many`, which is a pipeline. The default Worker, which forks for each job, is measured as `rq_forking`.
"""

import os
from collections.abc import Sequence

import redis
from rq import Queue

from tests.bench.contenders.contender import PROCESSES, StoredResults, server_url


def nothing() -> str:
    return "succeeded"


class Contender:
    worker_class = "rq.worker.SimpleWorker"

    def __init__(self) -> None:
        self._client = redis.Redis.from_url(server_url())
        self._queue = Queue("bench", connection=self._client)
        self._results = StoredResults(self._client)

    def workers(self) -> Sequence[Sequence[str]]:
        return [
            (
                "-m",
                "rq.cli",
                "worker-pool",
                "bench",
                "--url",
                server_url(),
                "--num-workers",
                str(PROCESSES),
                "--worker-class",
                self.worker_class,
                "--path",
                os.getcwd(),
            )
        ]

    def submit_many(self, count: int) -> None:
        for job in self._queue.enqueue_many([Queue.prepare_data(nothing) for _ in range(count)]):
            self._results.expect(f"rq:results:{job.id}")

    def submit_one(self) -> None:
        self._results.expect(f"rq:results:{self._queue.enqueue(nothing).id}")

    def ended(self) -> int:
        return self._results.ended()
