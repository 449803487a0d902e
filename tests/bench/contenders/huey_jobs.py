"""huey on Redis: a consumer of worker threads, `-w 4` as in its guide, in each of two processes. A blocking pop, no polling.

It has no way to submit many at once.
"""

from collections.abc import Sequence

from huey import RedisHuey

from tests.bench.contenders.contender import PROCESSES, server_url

huey = RedisHuey("bench", url=server_url())


@huey.task()  # type: ignore[untyped-decorator]
def nothing() -> str:
    return "succeeded"


class Contender:
    def workers(self) -> Sequence[Sequence[str]]:
        return [("-m", "huey.bin.huey_consumer", "tests.bench.contenders.huey_jobs.huey", "-w", "4")] * PROCESSES

    def submit_many(self, count: int) -> None:
        for _ in range(count):
            self.submit_one()

    def submit_one(self) -> None:
        nothing()

    def ended(self) -> int:
        return int(huey.storage.result_store_size())
