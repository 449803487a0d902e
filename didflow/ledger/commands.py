"""Commands of the ledger: which Redis commands to send and how to read the replies, without I/O. The sync and async clients share them.

A `Command` is a generator. It yields one `RedisCommand`, or a tuple of them for one pipeline. It is sent the reply, or the list of
replies; a refusal by the server is thrown into it. What it returns is the command's result.
"""

import json
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Self, TypeVar

import redis
import redis.asyncio

from didflow.contract.errors import InvalidRequest, JobNotFound, WaitTimeout
from didflow.contract.jobs import Job, JobView, Step
from didflow.contract.requests import Request
from didflow.contract.results import NumberResult
from didflow.contract.states import REPORTED, JobState
from didflow.ledger.async_script_client import AsyncScriptClient
from didflow.ledger.connection import ScriptClient, translated
from didflow.ledger.keys import Keys
from didflow.ledger.result_parts import with_numbers
from didflow.ledger.script_calls import Call
from didflow.ledger.script_loader import Script, load_script
from didflow.ledger.serialization import numbers_of_page
from didflow.ledger.views import job_view, moment, moved_number, steps, whole
from didflow.tracing.ports import Traces

T = TypeVar("T")

#: Methods of redis-py that send their arguments as they are.
_AS_THEY_ARE = frozenset({"evalsha", "blpop"})
#: What the client for asyncio sends its short way.
_SHORT_WAY = frozenset({"evalsha", "hgetall"})
#: A list is requested up to this place: Redis counts with 64 bits.
MOST_LISTED = 10**12
#: How long a blocking read blocks at a time: less than the socket's time-out.
BLOCK_S = 2.0
#: Numbers of a job that are read with one command.
READ_TOGETHER = 1000
#: Request and result of a job that is read in a moment.
LARGE_CHARACTERS = 50_000
#: Parts of a large result that are read with one command; each has a hundred numbers.
ROWS_TOGETHER = 10
#: Jobs that one run of `finish` ends. Each takes the server a tenth of a millisecond, and everything else waits meanwhile.
FINISHED_TOGETHER = 8


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
    finally:
        command.close()


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
    finally:
        command.close()


def send(client: redis.Redis, step: RedisCommand | tuple[RedisCommand, ...]) -> Any:
    """One command's reply, or the list of a pipeline's replies, refusals among them."""
    if isinstance(step, RedisCommand):
        return getattr(client, step.method)(*step.args, **step.kwargs)
    if isinstance(client, ScriptClient) and all(one.method in _AS_THEY_ARE for one in step):
        return client.ask_together([(one.method.upper(), *one.args) for one in step])
    pipe = client.pipeline(transaction=False)
    for one in step:
        getattr(pipe, one.method)(*one.args, **one.kwargs)
    return pipe.execute(raise_on_error=False)


async def send_async(client: redis.asyncio.Redis, step: RedisCommand | tuple[RedisCommand, ...]) -> Any:
    """The same for asyncio."""
    if isinstance(step, RedisCommand):
        method: Callable[..., Awaitable[Any]] = getattr(client, step.method)
        return await method(*step.args, **step.kwargs)
    if isinstance(client, AsyncScriptClient) and all(one.method in _SHORT_WAY for one in step):
        return await client.ask_together([(one.method.upper(), *one.args) for one in step])
    pipe = client.pipeline(transaction=False)
    for one in step:
        getattr(pipe, one.method)(*one.args, **one.kwargs)
    return await pipe.execute(raise_on_error=False)


class Commands:
    """The commands of one namespace. `shebang=False` is for fakeredis.

    `actor`: who is behind what they change; '' for a worker. `reason`, `request_id`: why, and by which HTTP request, for the audit.
    """

    def __init__(self, namespace: str, *, shebang: bool = True, actor: str = "", reason: str = "", request_id: str = "") -> None:
        self.keys = Keys(namespace)
        self.shebang = shebang
        self.actor, self.reason, self.request_id = actor, reason, request_id
        self.traceparent, self.tracestate = "", ""
        self.traces: Traces | None = None  #: where submits are traced

    def acting(self, actor: str, reason: str, request_id: str) -> Self:
        """The same commands with another actor, reason or request id for the audit."""
        other = copy(self)
        other.actor, other.reason, other.request_id = actor, reason, request_id
        return other

    def script(self, name: str) -> Script:
        return load_script(name, shebang=self.shebang)

    def traced(self, traceparent: str | None, tracestate: str | None = None) -> Self:
        """The same commands with this trace context, for submits that have none of their own. None: unchanged."""
        if traceparent is None:
            return self
        other = copy(self)
        other.traceparent, other.tracestate = traceparent, tracestate or ""
        return other

    def run(self, call: Call[T]) -> Command[T]:
        """Run a script by its hash; send it whole where the server doesn't know it."""
        script = self.script(call.script)
        rest = self._arguments(script, call)
        try:
            reply = yield RedisCommand("evalsha", (script.sha1, *rest))
        except redis.exceptions.NoScriptError:
            reply = yield RedisCommand("eval", (script.source, *rest))
        return call.parse(reply)

    def _arguments(self, script: Script, call: Call[Any]) -> tuple[str | int, ...]:
        caller = (self.actor, call_text(self.reason, self.request_id)) if script.names_caller else ()
        return (1, self.keys.namespace, *map(str, call.args), *caller)

    def run_when_woken(self, call: Call[T], key: str, wait_s: float) -> Command[T]:
        """Run a script as soon as something is on the list `key`, which is taken off, or when this time is over.

        Both commands are sent at once. The server runs the script together with the one that wakes it, before it writes to disk: so there
        is one write for both, and no reply that a client has to wait for in between.
        """
        script = self.script(call.script)
        args = (script.sha1, *self._arguments(script, call))
        woken, reply = yield RedisCommand("blpop", (key, wait_s)), RedisCommand("evalsha", args)
        if isinstance(reply, redis.exceptions.NoScriptError):
            return (yield from self.run(call))
        for one in (woken, reply):
            if isinstance(one, Exception):
                raise one
        return call.parse(reply)

    def submit(self, call: Call[Job], request: Request | None) -> Command[tuple[Job, JobView]]:
        """Run the script of a submit of this request, and read the job, with one pipeline. Raises what `call.parse` raises."""
        script, job_id = self.script(call.script), str(call.args[0])
        reply, fields = yield (
            RedisCommand("evalsha", (script.sha1, *self._arguments(script, call))),
            RedisCommand("hgetall", (self.keys.job(job_id),)),
        )
        if isinstance(reply, redis.exceptions.NoScriptError):
            job = yield from self.run(call)
            return job, (yield from self.get(job.id))
        for one in (reply, fields):
            if isinstance(one, Exception):
                raise one
        job = call.parse(reply)
        if job.id != job_id or not _is_job(fields):  # The idempotency key has an older job.
            return job, (yield from self.get(job.id))
        view = job_view(job_id, fields, known=None if request is None else (str(call.args[3]), request))
        return job, (yield from self._with_rows(view, fields))

    def run_many(self, batch: Sequence[Call[T]]) -> Command[list[T | Exception]]:
        """Run scripts in one pipeline, in this order. One that is refused is returned as its exception; the others go through."""
        yield tuple(RedisCommand("script_load", (self.script(name).source,)) for name in sorted({call.script for call in batch}))
        return (yield from self._pipelined(batch))

    def run_together(self, batch: Sequence[Call[T]]) -> Command[list[T | Exception]]:
        """The same in any order: the server is only sent the scripts if it turns out that it doesn't know them."""
        results = yield from self._pipelined(batch)
        missing = [place for place, result in enumerate(results) if isinstance(result, redis.exceptions.NoScriptError)]
        if missing:
            again = yield from self.run_many([batch[place] for place in missing])
            for place, result in zip(missing, again, strict=True):
                results[place] = result
        return results

    def end_together(self, ends: Sequence[Call[T]]) -> Command[list[T | Exception]]:
        """The same for ends of attempts: one run of `finish` ends several jobs, and needs what comes before the first only once."""
        parts = list(_finished_together(ends))
        # What each end makes of its reply comes below: a part has one reply for all of its ends.
        calls = [Call(part[0].script, tuple(arg for end in part for arg in end.args), _as_it_is) for part in parts]
        outcomes: list[T | Exception] = []
        for part, reply in zip(parts, (yield from self.run_together(calls)), strict=True):
            replies: list[Any] = reply if isinstance(reply, list) else [reply] * len(part)
            for end, one in zip(part, replies, strict=True):
                outcome: T | Exception = _parsed(end, one)
                outcomes.append(outcome)
        return outcomes

    def _pipelined(self, batch: Sequence[Call[T]]) -> Command[list[T | Exception]]:
        scripts = [self.script(call.script) for call in batch]
        replies = yield tuple(
            RedisCommand("evalsha", (script.sha1, *self._arguments(script, call))) for script, call in zip(scripts, batch, strict=True)
        )
        results: list[T | Exception] = []
        for call, reply in zip(batch, replies, strict=True):
            result = _parsed(call, reply)
            results.append(result)
        return results

    def get(self, job_id: str) -> Command[JobView]:
        """Raises JobNotFound."""
        fields = yield RedisCommand("hgetall", (self.keys.job(job_id),))
        if not _is_job(fields):
            raise JobNotFound(job_id)
        return (yield from self._with_rows(job_view(job_id, fields), fields))

    def get_unless_large(self, job_id: str) -> Command[JobView | None]:
        """The same; None for a job with too many numbers to be read in the event loop: that would delay other requests."""
        fields = yield RedisCommand("hgetall", (self.keys.job(job_id),))
        if not _is_job(fields):
            raise JobNotFound(job_id)
        if whole(fields.get("rows")) or len(fields.get("request", "")) + len(fields.get("result", "")) > LARGE_CHARACTERS:
            return None
        return job_view(job_id, fields)

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
        return None if text is None else numbers_of_page(text)

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


def call_text(reason: str, request_id: str) -> str:
    """Why, and by which request, as the scripts with `include/audit.lua` take it."""
    return json.dumps({name: text for name, text in (("reason", reason), ("request", request_id)) if text})


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


def _finished_together(ends: Sequence[Call[T]]) -> Iterator[Sequence[Call[T]]]:
    """Parts of the ends, in their order, that one script run writes."""
    for script, some in groupby(ends, lambda end: end.script):
        same, most = list(some), FINISHED_TOGETHER if script == "finish" else 1
        yield from (same[first : first + most] for first in range(0, len(same), most))


def _as_it_is(reply: Any) -> Any:
    return reply


def _parsed(call: Call[T], reply: Any) -> T | Exception:
    try:
        if isinstance(reply, Exception):
            with translated():
                raise reply
        return call.parse(reply)
    except Exception as error:  # noqa: BLE001 - one refused submit of many is an answer, not the end of the others
        return error
