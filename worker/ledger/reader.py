"""What anybody may do with the ledger: submit, call off, and read. What a worker does is in `worker.ledger.ledger`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar, cast

import redis

from worker.contract.errors import JobNotFound
from worker.contract.jobs import Job, JobView, Step
from worker.contract.states import JobState
from worker.ledger import calls
from worker.ledger.calls import RETENTION_MS, Call
from worker.ledger.connection import translated
from worker.ledger.keys import Keys
from worker.ledger.script_loader import load_script
from worker.ledger.views import job_view, moment, steps

T = TypeVar("T")

#: A worker that has not been seen for this long is gone.
WORKER_ALIVE_MS = 15_000


@dataclass(frozen=True)
class AccountState:
    """Whether the provider lets this account work; if not, since when and what it said."""

    paused: bool
    status: int | None = None
    message: str = ""
    since: datetime | None = None


class LedgerReader:
    """One namespace. Raises ServiceUnavailable where Redis doesn't answer. Threads may share one.

    `shebang=False` is for fakeredis, which can't read the scripts' first line.
    """

    def __init__(self, client: redis.Redis, namespace: str, *, shebang: bool = True, retention_ms: int = RETENTION_MS) -> None:
        self.client = client
        self.keys = Keys(namespace)
        self._shebang = shebang
        self._retention_ms = retention_ms

    def run(self, call: Call[T]) -> T:
        """Run a producer's verb."""
        return call.parse(self._script(call.script, *call.args))

    def run_many(self, batch: Sequence[Call[Job]]) -> list[Job | Exception]:
        """Run verbs in one pipeline. One that is refused (a conflict) is returned as its exception; the others go through."""
        loaded = {call.script: load_script(call.script, shebang=self._shebang) for call in batch}
        with translated():
            for script in loaded.values():
                self.client.script_load(script.source)
            pipe = self.client.pipeline(transaction=False)
            for call in batch:
                pipe.evalsha(loaded[call.script].sha1, 1, self.keys.namespace, *map(str, call.args))
            replies = pipe.execute(raise_on_error=False)
        return [_parsed(call, reply) for call, reply in zip(batch, replies, strict=True)]

    def _script(self, name: str, *args: str | int) -> Any:
        script = load_script(name, shebang=self._shebang)
        texts = [str(arg) for arg in args]
        with translated():
            try:
                return self.client.evalsha(script.sha1, 1, self.keys.namespace, *texts)
            except redis.exceptions.NoScriptError:
                return self.client.eval(script.source, 1, self.keys.namespace, *texts)

    def now_ms(self) -> int:
        """The server's clock."""
        with translated():
            seconds, microseconds = self.client.time()
        return seconds * 1000 + microseconds // 1000

    def submit(self, submission: calls.Submission) -> Job:
        return self.run(calls.submit(submission))

    def get(self, job_id: str) -> JobView:
        """Raises JobNotFound."""
        with translated():
            fields = cast("dict[str, str]", self.client.hgetall(self.keys.job(job_id)))
        if "state" not in fields:
            raise JobNotFound(job_id)
        return job_view(job_id, fields)

    def find(
        self,
        *,
        idempotency_key: str | None = None,
        reference: str | None = None,
        state: JobState | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> tuple[JobView, ...]:
        """Jobs by key, by reference or by state (all states if none is given), newest first."""
        with translated():
            ids = self._ids(idempotency_key, reference, state, offset + limit)[offset:]
            pipe = self.client.pipeline(transaction=False)
            for job_id in ids:
                pipe.hgetall(self.keys.job(job_id))
            found = zip(ids, pipe.execute(), strict=True)
        views = (job_view(job_id, fields) for job_id, fields in found if "state" in fields)
        return tuple(view for view in views if state is None or view.state is state)

    def _ids(self, idempotency_key: str | None, reference: str | None, state: JobState | None, count: int) -> list[str]:
        if idempotency_key is not None:
            job_id = cast("str | None", self.client.hget(self.keys.idempotency, idempotency_key))
            return [job_id] if job_id else []
        if reference is not None:
            return cast("list[str]", self.client.zrevrange(self.keys.reference(reference), 0, count - 1))
        newest: list[tuple[str, float]] = []
        for one in (state,) if state else JobState:
            newest += cast("list[tuple[str, float]]", self.client.zrevrange(self.keys.state(one), 0, count - 1, withscores=True))
        newest.sort(key=lambda pair: pair[1], reverse=True)
        return [job_id for job_id, _ in newest[:count]]

    def counts(self) -> dict[JobState, int]:
        """How many jobs are in each state."""
        with translated():
            pipe = self.client.pipeline(transaction=False)
            for state in JobState:
                pipe.zcard(self.keys.state(state))
            return dict(zip(JobState, map(int, pipe.execute()), strict=True))

    def oldest(self, state: JobState) -> datetime | None:
        """When the oldest job in this state was submitted."""
        with translated():
            first = cast("list[tuple[str, float]]", self.client.zrange(self.keys.state(state), 0, 0, withscores=True))
        return moment(str(int(first[0][1]))) if first else None

    def steps(self, job_id: str) -> tuple[Step, ...]:
        """The job's story, oldest first."""
        with translated():
            return steps(cast("list[tuple[str, dict[str, str]]]", self.client.xrange(self.keys.steps(job_id))))

    def numbers(self, job_id: str) -> dict[str, str]:
        """What the job saved for each number, as JSON."""
        with translated():
            return cast("dict[str, str]", self.client.hgetall(self.keys.numbers(job_id)))

    def workers(self) -> dict[str, int]:
        """Living worker processes, and when each was last seen, ms."""
        now = self.now_ms()
        with translated():
            rows = cast(
                "list[tuple[str, float]]", self.client.zrangebyscore(self.keys.workers, now - WORKER_ALIVE_MS, "+inf", withscores=True)
            )
        return {worker: int(seen) for worker, seen in rows}

    def account_state(self, account: str) -> AccountState:
        with translated():
            fields = cast("dict[str, str]", self.client.hgetall(self.keys.account(account)))
        if fields.get("paused") != "1":
            return AccountState(paused=False)
        return AccountState(True, int(fields.get("status") or 0), fields.get("message", ""), moment(fields.get("since_ms")))


def _parsed(call: Call[Job], reply: Any) -> Job | Exception:
    try:
        if isinstance(reply, Exception):
            with translated():
                raise reply
        return call.parse(reply)
    except Exception as error:  # noqa: BLE001 - one refused submit of many is an answer, not the end of the others
        return error
