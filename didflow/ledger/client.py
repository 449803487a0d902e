"""What anybody may do with the ledger: submit, cancel, and read. What a worker does is in `didflow.ledger.ledger`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, TypeVar, cast

import redis

from didflow.contract.jobs import Job, JobView
from didflow.contract.spending import Scope, ScopeSpending
from didflow.contract.states import JobState
from didflow.ledger import script_calls
from didflow.ledger.commands import Command, Commands, RedisCommand, perform, send
from didflow.ledger.connection import translated
from didflow.ledger.keys import Keys
from didflow.ledger.script_calls import AUDIT_MS, HISTORY_MS, RETENTION_MS, Call
from didflow.ledger.views import moment

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

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> "AccountState":
        """As its hash has it."""
        if fields.get("paused") != "1":
            return cls(paused=False)
        return cls(True, int(fields.get("status") or 0), fields.get("message", ""), moment(fields.get("since_ms")))


class FirstCheck(Protocol):
    """Whether this client may ask this ledger at all."""

    @property
    def is_done(self) -> bool: ...

    def command(self, keys: Keys) -> Command[None]:
        """Raises a DidflowError if it may not."""
        ...


class LedgerClient:
    """One namespace. Raises ServiceUnavailable where Redis doesn't answer. Threads may share one.

    `shebang=False` is for fakeredis, which can't read the scripts' first line. `actor`: who is behind what is changed; '' for a worker.
    """

    def __init__(
        self,
        client: redis.Redis,
        namespace: str,
        *,
        shebang: bool = True,
        retention_ms: int = RETENTION_MS,
        history_ms: int = HISTORY_MS,
        audit_ms: int = AUDIT_MS,
        actor: str = "",
        first: FirstCheck | None = None,
    ) -> None:
        """`first`: what is checked before anything else is asked, until it is done."""
        self._first = first
        self.client = client
        self.commands = Commands(namespace, shebang=shebang, actor=actor)
        self.keys = self.commands.keys
        self._retention_ms = retention_ms
        self._history_ms = history_ms
        self._audit_ms = audit_ms

    def perform(self, command: Command[T]) -> T:
        """Run one of `commands`."""
        with translated():
            self._check_first()
            return perform(self.client, command)

    def _check_first(self) -> None:
        if self._first is not None and not self._first.is_done:
            perform(self.client, self._first.command(self.keys))

    def send(self, step: RedisCommand | tuple[RedisCommand, ...]) -> Any:
        """Send one step of a command, for a caller that drives the generator itself."""
        self._check_first()
        return send(self.client, step)

    def run(self, call: Call[T]) -> T:
        """Run a producer's verb."""
        return self.perform(self.commands.run(call))

    def _script(self, name: str, *args: str | int) -> Any:
        return self.perform(self.commands.run(Call(name, args, lambda reply: reply)))

    def now_ms(self) -> int:
        """The server's clock."""
        with translated():
            seconds, microseconds = self.client.time()
        return seconds * 1000 + microseconds // 1000

    def submit(self, submission: script_calls.Submission) -> Job:
        return self.run(script_calls.submit(submission if submission.actor else replace(submission, actor=self.commands.actor)))

    def get(self, job_id: str) -> JobView:
        """Raises JobNotFound."""
        return self.perform(self.commands.get(job_id))

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

    def numbers(self, job_id: str) -> dict[str, str]:
        """What the job saved for each number, as JSON."""
        return self.perform(self.commands.numbers(job_id))

    def oldest_calls_ms(self) -> dict[str, int]:
        """Worker processes with a call to the provider under way, and the age of the oldest, ms."""
        if not (workers := list(self.workers())):
            return {}
        with translated():
            ages = cast("list[str | None]", self.client.mget([self.keys.oldest_call(worker) for worker in workers]))
        return {worker: int(age) for worker, age in zip(workers, ages, strict=True) if age is not None}

    def workers(self) -> dict[str, int]:
        """Living worker processes, and when each was last seen, ms."""
        now = self.now_ms()
        with translated():
            rows = cast(
                "list[tuple[str, float]]", self.client.zrangebyscore(self.keys.workers, now - WORKER_ALIVE_MS, "+inf", withscores=True)
            )
        return {worker: int(seen) for worker, seen in rows}

    def spending(self, scopes: Iterable[tuple[Scope, str]], *, newest: int = 0) -> tuple[ScopeSpending, ...]:
        """What these scopes have used of their windows, and after them the `newest` that spent last."""
        return self.run(script_calls.spending(scopes, newest))

    def paused_accounts(self) -> tuple[str, ...]:
        """All paused accounts, also those unknown here."""
        with translated():
            return tuple(sorted(cast("set[str]", self.client.smembers(self.keys.paused))))

    def account_state(self, account: str) -> AccountState:
        with translated():
            fields = cast("dict[str, str]", self.client.hgetall(self.keys.account(account)))
        return AccountState.of(fields)
