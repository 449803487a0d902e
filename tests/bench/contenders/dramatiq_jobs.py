"""Bare Dramatiq on Redis, whose actor adds one entry to a stream: what didflow stands on, without what it adds.

Dramatiq's own defaults: its middleware, 8 threads a process, and one process for each core. It has no way to submit many at once.
"""

from collections.abc import Sequence

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

from tests.bench.contenders.contender import PROCESSES, server_url

RESULTS = "bench:results"

client = redis.Redis.from_url(server_url())
dramatiq.set_broker(RedisBroker(url=server_url()))  # type: ignore[no-untyped-call]


@dramatiq.actor
def nothing(order: str) -> None:
    client.xadd(RESULTS, {"id": order, "data": '{"state":"succeeded"}'})


class Contender:
    def workers(self) -> Sequence[Sequence[str]]:
        return [("-m", "dramatiq", "tests.bench.contenders.dramatiq_jobs", "--processes", str(PROCESSES), "--threads", "8")]

    def submit_many(self, count: int) -> None:
        for _ in range(count):
            self.submit_one()

    def submit_one(self) -> None:
        nothing.send("order-4711")

    def ended(self) -> int:
        return int(client.xlen(RESULTS))
