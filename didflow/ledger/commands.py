"""Commands of the ledger: which Redis commands to send and how to read the replies, without I/O. The sync and async clients share them.

A `Command` is a generator. It yields one `RedisCommand`, or a tuple of them for one pipeline. It is sent the reply, or the list of
replies; a refusal by the server is thrown into it. What it returns is the command's result.
"""

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import redis
import redis.asyncio

from didflow.contract.errors import InvalidRequest, JobNotFound, WaitTimeout
from didflow.contract.jobs import Job, JobView, Step
from didflow.contract.results import NumberResult
from didflow.contract.states import REPORTED, JobState
from didflow.ledger.connection import translated
from didflow.ledger.keys import Keys
from didflow.ledger.result_parts import with_numbers
from didflow.ledger.script_calls import Call
from didflow.ledger.script_loader import Script, load_script
from didflow.ledger.views import job_view, moment, moved_number, steps, whole

T = TypeVar("T")

#: A list is requested up to this place: Redis counts with 64 bits.
MOST_LISTED = 10**12
#: How long a blocking read blocks at a time: less than the socket's time-out.
BLOCK_S = 2.0
#: Numbers of a job that are read with one command.
READ_TOGETHER = 1000
#: Parts of a large result that are read with one command; each has a hundred numbers.
ROWS_TOGETHER = 10


@dataclass(frozen=True)
class RedisCommand:
    """One Redis command: the name of a method of redis-py's clients (sync and async have the same) and its arguments."""

    method: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


Command = Generator[RedisCommand | tuple[RedisCommand, ...], Any, T]


def perform(client: redis.Redis, command: Command[T]) -> T:
    """Run a command. Redis's own errors are raised unless the command catches them."""
    try:
        step = next(command)
        while True:
            try:
                reply = send(client, step)
            except redis.exceptions.ResponseError as error:
                step = command.throw(error)
            else:
                step = command.send(reply)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


async def perform_async(client: redis.asyncio.Redis, command: Command[T]) -> T:
    """The same for asyncio."""
    try:
        step = next(command)
        while True:
            try:
                reply = await send_async(client, step)
            except redis.exceptions.ResponseError as error:
                step = command.throw(error)
            else:
                step = command.send(reply)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def send(client: redis.Redis, step: RedisCommand | tuple[RedisCommand, ...]) -> Any:
    """One command's reply, or the list of a pipeline's replies, refusals among them."""
    if isinstance(step, RedisCommand):
        return getattr(client, step.method)(*step.args, **step.kwargs)
    pipe = client.pipeline(transaction=False)
    for one in step:
        getattr(pipe, one.method)(*one.args, **one.kwargs)
    return pipe.execute(raise_on_error=False)


async def send_async(client: redis.asyncio.Redis, step: RedisCommand | tuple[RedisCommand, ...]) -> Any:
    """The same for asyncio."""
    if isinstance(step, RedisCommand):
        method: Callable[..., Awaitable[Any]] = getattr(client, step.method)
        return await method(*step.args, **step.kwargs)
    pipe = client.pipeline(transaction=False)
    for one in step:
        getattr(pipe, one.method)(*one.args, **one.kwargs)
    return await pipe.execute(raise_on_error=False)


class Commands:
    """The commands of one namespace. `shebang=False` is for fakeredis. `actor`: who is behind what they change; '' for a worker."""

    def __init__(self, namespace: str, *, shebang: bool = True, actor: str = "") -> None:
        self.keys = Keys(namespace)
        self.shebang = shebang
        self.actor = actor

    def script(self, name: str) -> Script:
        return load_script(name, shebang=self.shebang)

    def run(self, call: Call[T]) -> Command[T]:
        """Run a script by its hash; send it whole where the server doesn't know it."""
        script = self.script(call.script)
        rest = (1, self.keys.namespace, *map(str, call.args))
        try:
            reply = yield RedisCommand("evalsha", (script.sha1, *rest))
        except redis.exceptions.NoScriptError:
            reply = yield RedisCommand("eval", (script.source, *rest))
        return call.parse(reply)

    def run_many(self, batch: tuple[Call[Job], ...]) -> Command[list[Job | Exception]]:
        """Submit in one pipeline. One that is refused is returned as its exception; the others go through."""
        names = sorted({call.script for call in batch})
        yield tuple(RedisCommand("script_load", (self.script(name).source,)) for name in names)
        replies = yield tuple(
            RedisCommand("evalsha", (self.script(call.script).sha1, 1, self.keys.namespace, *map(str, call.args))) for call in batch
        )
        return [_parsed(call, reply) for call, reply in zip(batch, replies, strict=True)]

    def get(self, job_id: str) -> Command[JobView]:
        """Raises JobNotFound."""
        fields = yield RedisCommand("hgetall", (self.keys.job(job_id),))
        if not _is_job(fields):
            raise JobNotFound(job_id)
        return (yield from self._with_rows(job_view(job_id, fields), fields))

    def find(
        self,
        *,
        idempotency_key: str | None = None,
        reference: str | None = None,
        state: JobState | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> Command[tuple[JobView, ...]]:
        """Jobs by key, by reference or by state (all states if none is given), newest first.

        Raises InvalidRequest for a `limit` or `offset` that is negative or too large.
        """
        for name, value in (("limit", limit), ("offset", offset)):
            if not 0 <= value <= MOST_LISTED:
                what = f"is from 0 to {MOST_LISTED}"
                raise InvalidRequest(f"{name}: {what}", ((name, what),))
        ids = yield from self._ids(idempotency_key, reference, state, offset + limit)
        if not (ids := ids[offset:]):
            return ()
        hashes = yield tuple(RedisCommand("hgetall", (self.keys.job(job_id),)) for job_id in ids)
        # A reply may also be a refusal: one job whose key has another type hides none of the others.
        views: list[JobView] = []
        for job_id, fields in zip(ids, hashes, strict=True):
            view = job_view(job_id, fields) if _is_job(fields) else None
            if view is not None and (state is None or view.state is state):
                views.append((yield from self._with_rows(view, fields)))
        return tuple(views)

    def _with_rows(self, view: JobView, fields: Mapping[str, str]) -> Command[JobView]:
        """The job with all its numbers, where its result was too large for one write."""
        count = whole(fields.get("rows"))
        if not count or view.result is None or view.result.summary is None:
            return view
        parts: list[str | None] = []
        for start in range(0, count, ROWS_TOGETHER):
            some = [str(index) for index in range(start, min(count, start + ROWS_TOGETHER))]
            parts += yield RedisCommand("hmget", (self.keys.rows(view.id), some))
        return replace(view, result=with_numbers(view.result, parts))

    def _ids(self, idempotency_key: str | None, reference: str | None, state: JobState | None, count: int) -> Command[list[str]]:
        if idempotency_key is not None:
            job_id = yield RedisCommand("hget", (self.keys.idempotency, idempotency_key))
            return [job_id] if job_id else []
        if reference is not None:
            ids: list[str] = yield RedisCommand("zrevrange", (self.keys.reference(reference), 0, count - 1))
            return ids
        states = (state,) if state else tuple(JobState)
        lists = yield tuple(RedisCommand("zrevrange", (self.keys.state(one), 0, count - 1), {"withscores": True}) for one in states)
        newest = sorted((pair for found in lists for pair in found), key=lambda pair: float(pair[1]), reverse=True)
        return [job_id for job_id, _ in newest[:count]]

    def steps(self, job_id: str) -> Command[tuple[Step, ...]]:
        """The job's story, oldest first. That it was submitted is in the job itself: a stream for that alone would take 4 KB."""
        (created_ms, kind), entries = yield (
            RedisCommand("hmget", (self.keys.job(job_id), ["created_ms", "kind"])),
            RedisCommand("xrange", (self.keys.steps(job_id),)),
        )
        told = steps(entries)
        if created_ms is None or (told and told[0].name == "submitted"):
            return told
        return (Step(moment(created_ms) or datetime.fromtimestamp(0, UTC), 0, "submitted", kind or ""), *told)

    def numbers(self, job_id: str) -> Command[dict[str, str]]:
        """What the job saved for each number, as JSON. Of very many some at a time, so that the server serves others in between."""
        saved: dict[str, str] = {}
        cursor = 0
        while True:
            cursor, some = yield RedisCommand("hscan", (self.keys.numbers(job_id),), {"cursor": cursor, "count": READ_TOGETHER})
            saved |= some
            if int(cursor) == 0:
                return saved

    def some_numbers(self, job_id: str, numbers: Sequence[str]) -> Command[dict[str, str]]:
        """The same, of these numbers only."""
        if not numbers:
            return {}
        texts = yield RedisCommand("hmget", (self.keys.numbers(job_id), list(numbers)))
        return {number: text for number, text in zip(numbers, texts, strict=True) if text is not None}

    def page(self, job_id: str, index: int) -> Command[tuple[str, ...] | None]:
        """The numbers on a page of a job of many numbers, in their order; None behind the last one."""
        text = yield RedisCommand("hget", (self.keys.pages(job_id), str(index)))
        return None if text is None else tuple(text.split())

    def numbers_on(self, job_id: str, index: int) -> Command[tuple[NumberResult, ...] | None]:
        """What became of them; `outcome` None where nothing has yet. None behind the last page."""
        numbers = yield from self.page(job_id, index)
        if numbers is None:
            return None
        stored = yield from self.some_numbers(job_id, numbers)
        return tuple(moved_number(stored[number]) for number in numbers if number in stored)

    def pages(self, job_id: str) -> Command[int]:
        """How many pages there are; 0 for a job whose result has all its numbers."""
        count: int = yield RedisCommand("hlen", (self.keys.pages(job_id),))
        return count

    def outcomes(self, job_id: str) -> Command[dict[str, int]]:
        """How many numbers have which outcome; ``open``: none yet. Empty for a job without pages."""
        counts: dict[str, str] = yield RedisCommand("hgetall", (self.keys.outcomes(job_id),))
        return {outcome: int(count) for outcome, count in counts.items() if count != "0"}

    def open_children(self, job_id: str) -> Command[int]:
        """How many of its batches haven't ended."""
        count: int = yield RedisCommand("scard", (self.keys.children(job_id),))
        return count

    def wait(self, job_id: str, timeout_s: float, clock: Callable[[], float]) -> Command[JobView]:
        """The job once it has ended or is parked. Raises JobNotFound, WaitTimeout.

        Blocks on the results stream and looks at the job itself after each entry or pause, so that a trimmed stream, a restart of
        Redis or a missed entry costs seconds at most.
        """
        deadline_s = clock() + timeout_s
        newest = yield RedisCommand("xrevrange", (self.keys.results,), {"count": 1})
        last = newest[0][0] if newest else "0-0"
        while True:
            view = yield from self.get(job_id)
            left_s = deadline_s - clock()
            if view.state in REPORTED:
                return view
            if left_s <= 0:
                raise WaitTimeout(
                    f"job {job_id} is {view.state.value} after {timeout_s:g} s: it continues; wait again, or check it with `didflow status`"
                )
            last = yield from self._until_news(job_id, last, min(left_s, BLOCK_S))

    def _until_news(self, job_id: str, last: str, block_s: float) -> Command[str]:
        """Read the results until this job is in them or nothing more comes; return the last entry read."""
        while True:
            replies = yield RedisCommand("xread", ({self.keys.results: last},), {"block": max(1, int(block_s * 1000)), "count": 500})
            entries = entries_of(replies)
            if not entries:
                return last
            last = entries[-1][0]
            if any(fields.get("subject") == job_id for _, fields in entries):
                return last


def _is_job(fields: Any) -> bool:
    """Whether this is a job's hash, damaged perhaps: not the trace of one that is gone, nor a refusal."""
    return isinstance(fields, dict) and ("state" in fields or "request" in fields)


Entries = list[tuple[str, dict[str, str]]]


def entries_of(replies: Any) -> Entries:
    """The entries in a reply to a read of one stream, in either protocol's form."""
    if not replies:
        return []
    first = next(iter(replies.values()))[0] if isinstance(replies, dict) else replies[0][1]
    return [(entry_id, fields) for entry_id, fields in first if fields is not None]


def _parsed(call: Call[Job], reply: Any) -> Job | Exception:
    try:
        if isinstance(reply, Exception):
            with translated():
                raise reply
        return call.parse(reply)
    except Exception as error:  # noqa: BLE001 - one refused submit of many is an answer, not the end of the others
        return error
