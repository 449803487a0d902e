"""What the bench asks of every queue. Imports nothing but redis-py, so that it runs in each queue's own environment."""

import os
from collections.abc import Sequence
from typing import Protocol

import redis

#: Where the workers, which are processes of their own, find the server.
URL_VARIABLE = "DIDFLOW_BENCH_REDIS"
#: Two worker processes, didflow's default and the number of cores of a small host; for every queue alike.
PROCESSES = 2
#: So many results are looked up at once.
CHUNK = 200


class Contender(Protocol):
    """A queue, set up as its documentation recommends, whose job does nothing and whose result is stored in Redis."""

    def workers(self) -> Sequence[Sequence[str]]:
        """The commands that start its workers, without the interpreter: two processes in all, not counting supervisors."""

    def submit_many(self, count: int) -> None:
        """In the fastest way that it offers for many jobs."""

    def submit_one(self) -> None:
        """And return when the queue has it."""

    def ended(self) -> int:
        """How many of the results of what was submitted are there. Cheap when none is new."""


def server_url() -> str:
    return os.environ[URL_VARIABLE]


class StoredResults:
    """Counts results that lie under a key of their own."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._open: list[str] = []
        self._ended = 0

    def expect(self, key: str) -> None:
        self._open.append(key)

    def ended(self) -> int:
        while self._open:
            chunk = self._open[:CHUNK]
            there = self._client.exists(*chunk)
            if there < len(chunk):
                return self._ended + there
            self._ended += there
            del self._open[:CHUNK]
        return self._ended
