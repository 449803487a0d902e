"""Delivers what is due: takes it under a lease, posts it, and writes down what became of it."""

import asyncio
import json
import random
import secrets as randomness
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from didflow.client.aio.client import AsyncDidflow
from didflow.contract.errors import ServiceUnavailable
from didflow.contract.webhooks import DeliveryOutcome
from didflow.fault_orders import Reached
from didflow.ledger.script_calls import Call
from didflow.ledger.webhooks.messages import TEST_TYPE
from didflow.ledger.webhooks.queues import Taken, settle_call, settle_many, take
from didflow.ledger.webhooks.targets import Target, Targets
from producers.webhooks.egress import Answer
from producers.webhooks.schedule import Verdict, judge
from producers.webhooks.signature import headers

log = structlog.stdlib.get_logger("didflow.webhooks")

#: Deliveries to one endpoint at once, over all processes.
AT_ONCE = 8
#: For this long a message is this process's. It is delivered by another one after that.
LEASE_S = 60.0
#: How long a Redis that is away is left alone.
AGAIN_S = 0.2
#: How long a process that ends waits for deliveries to be written down, after the longest post.
FINISH_S = 5.0
#: Beside the HTTP headers of the signature.
HEADERS = {"content-type": "application/json", "user-agent": "didflow-webhooks"}


class Posts(Protocol):
    """What sends a request, such as `Egress`."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer: ...


class Deliverer:
    """The deliveries of one process.

    limit_s  how long a post takes at most: nothing is sent that might still be under way when the lease has ended
    """

    def __init__(
        self,
        didflow: AsyncDidflow,
        posts: Posts,
        reached: Reached,
        *,
        limit_s: float,
        lease_s: float = LEASE_S,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._ledger, self._posts, self._reached = didflow.ledger, posts, reached
        self._limit_s, self._lease_s, self._clock, self._chance = limit_s, lease_s, clock, chance
        self._busy: Counter[str] = Counter()
        self._under_way: set[asyncio.Task[None]] = set()
        self._settled: asyncio.Queue[tuple[Call[bool], asyncio.Future[bool]]] = asyncio.Queue()
        #: Set when something may be due, or there is room again.
        self.news = asyncio.Event()

    async def take(self, known: Targets) -> tuple[bool, float | None]:
        """Begin to deliver what is due. False: the endpoints have changed. The seconds until something else is due; None: unknown.

        Raises ServiceUnavailable.
        """
        room = {one: AT_ONCE - self._busy[one] for one in known.by_id if self._busy[one] < AT_ONCE}
        # One take has an end, so that no endpoint may be always the first one.
        room = dict(random.sample(list(room.items()), len(room)))
        claim, began_s = randomness.token_hex(8), self._clock()
        self._reached("before:take")
        found = await self._ledger.perform(take(self._ledger.commands, claim, room, lease_s=self._lease_s, most=AT_ONCE))
        self._reached("after:take")
        if found.version != known.version:
            await self._write([settle_call(taken, "returned") for taken in found.taken])
            return False, None
        for taken in found.taken:
            self._busy[taken.endpoint_id] += 1
            task = asyncio.create_task(self._deliver(taken, known.by_id[taken.endpoint_id], began_s + self._lease_s))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return True, found.next_s

    async def finish(self) -> None:
        """Wait for what is under way, but for little longer than a post may take: Redis may be away."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=self._limit_s + FINISH_S)

    async def settle(self) -> None:
        """Write down what became of deliveries, those of a moment together. Until cancelled."""
        while True:
            some = [await self._settled.get()]
            while not self._settled.empty():
                some.append(self._settled.get_nowait())
            replies = await self._write([call for call, _ in some])
            for (_, written), is_ours in zip(some, replies, strict=True):
                written.set_result(is_ours)

    async def _write(self, calls: list[Call[bool]]) -> list[bool]:
        """Whether each lease was still this process's. A Redis that is away is waited for."""
        while calls:
            try:
                self._reached("before:settle")
                replies = await self._ledger.perform(settle_many(self._ledger.commands, calls))
                self._reached("after:settle")
            except ServiceUnavailable as error:
                log.warning("webhooks.ledger_away", error=error.code, deliveries=len(calls))
                await asyncio.sleep(AGAIN_S)
                continue
            return replies
        return []

    async def _deliver(self, taken: Taken, target: Target, until_s: float) -> None:
        try:
            if not taken.is_whole:
                # It would fail in the same way each time, and hold back what follows it.
                log.error("webhooks.message_unreadable", webhook=target.endpoint.name, message=taken.message)
                await self._settle(settle_call(taken, DeliveryOutcome.LOST.value, json.dumps(_record(taken, DeliveryOutcome.LOST))))
                return
            if not _is_wanted(taken, target):
                await self._settle(settle_call(taken, DeliveryOutcome.SKIPPED.value))
                return
            answer, verdict = await self._post(taken, target, until_s)
            is_ours = await self._settle(settle_call(taken, "returned") if answer is None else _settled(taken, answer, verdict))
            if answer is not None:
                _log(taken, target, answer, verdict, is_ours=is_ours)
        except Exception:
            # It is tried again when the lease has ended.
            log.exception("webhooks.delivery_failed", webhook=target.endpoint.name, event_id=taken.fields.get("id"))
        finally:
            self._busy[taken.endpoint_id] -= 1
            self.news.set()

    async def _settle(self, call: Call[bool]) -> bool:
        """Whether the lease was still this process's, once it is written down."""
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._settled.put_nowait((call, written))
        return await written

    async def _post(self, taken: Taken, target: Target, until_s: float) -> tuple[Answer | None, Verdict]:
        """The answer, and what it means. None: nothing was sent, because the lease might end meanwhile."""
        if self._clock() + self._limit_s >= until_s:
            return None, Verdict(DeliveryOutcome.RETRIED)
        body = taken.fields["body"].encode()
        signed = headers(target.secrets.valid(taken.taken_ms), taken.fields["id"], int(time.time()), body)
        self._reached("before:post")
        answer = await self._posts.post(target.endpoint.url, {**HEADERS, **signed}, body)
        self._reached("after:post")
        verdict = judge(
            answer.status,
            answer.retry_after_s,
            attempt=taken.attempt,
            tried_for_ms=taken.taken_ms - taken.first_ms,
            delivered_meanwhile=taken.delivered_ms > taken.first_ms,
            chance=self._chance(),
        )
        return answer, verdict


def _is_wanted(taken: Taken, target: Target) -> bool:
    """Whether the endpoint still gets it: its filters may have changed since it was queued, and it may be another receiver's now."""
    fields = taken.fields
    return fields["type"] == TEST_TYPE or target.endpoint.wants(fields["type"], fields["account"], fields["reference"])


def _settled(taken: Taken, answer: Answer, verdict: Verdict) -> Call[bool]:
    record = _record(taken, verdict.outcome) | {
        "status": answer.status,
        "failure": answer.failure,
        "duration_ms": answer.duration_ms,
        "beginning": answer.beginning,
    }
    return settle_call(
        taken, verdict.outcome.value, json.dumps(record), again_s=verdict.again_s, pause_s=verdict.pause_s, disable=verdict.disable
    )


def _record(taken: Taken, outcome: DeliveryOutcome) -> dict[str, object]:
    """What the delivery log has of every attempt."""
    event = {"event_id": taken.fields.get("id", ""), "type": taken.fields.get("type", "")}
    return {**event, "key": taken.key, "attempt": taken.attempt, "outcome": outcome.value}


def _log(taken: Taken, target: Target, answer: Answer, verdict: Verdict, *, is_ours: bool) -> None:
    """Without the URL and the answer, which may hold secrets of others."""
    said = {"webhook": target.endpoint.name, "event_id": taken.fields["id"], "attempt": taken.attempt, "status": answer.status}
    said |= {"failure": answer.failure, "duration_ms": answer.duration_ms, "outcome": verdict.outcome.value}
    if not is_ours:
        log.warning("webhooks.lease_lost", **said)
    elif verdict.outcome is DeliveryOutcome.DELIVERED:
        log.debug("webhooks.delivered", **said)
    else:
        log.warning("webhooks.not_delivered", again_in_s=round(verdict.again_s, 1), disabled=verdict.disable, **said)
