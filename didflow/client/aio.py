"""The client for asyncio. It shares its Redis commands and their interpretation with the sync client."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Self, TypeVar

import redis
import redis.asyncio

from didflow.client.deliveries import AsyncDelivery, log_away
from didflow.client.job_numbers import as_ended, in_result, number_named, page_of
from didflow.client.provider_check import ProviderCheck
from didflow.client.quotes import QuotedSubmission
from didflow.client.review import check_resolved, finding, resolving, the_same
from didflow.client.submission import asked, pipelines, submit_batch, submit_one
from didflow.contract.actors import actor_named, os_user
from didflow.contract.decisions import Decision
from didflow.contract.departures import Departures
from didflow.contract.errors import DidflowError, ServiceUnavailable
from didflow.contract.history import History
from didflow.contract.jobs import Job, JobView, Step
from didflow.contract.requests import Request
from didflow.contract.results import NumberResult, Quote
from didflow.contract.spending import Scope, ScopeSpending
from didflow.contract.states import JobState
from didflow.ledger import script_calls
from didflow.ledger.address import redis_url
from didflow.ledger.commands import Command, Commands, perform_async, send_async
from didflow.ledger.connection import connect_async, translated
from didflow.ledger.consumer_groups import Entry, Pause, acknowledge, follow, parse_event, pauses, results_of
from didflow.ledger.dead_letters import DeadLetters, dead_letters, drop, replay
from didflow.ledger.decisions import decisions, note_decision
from didflow.ledger.departures import departures_of, upcoming
from didflow.ledger.group_membership import Membership
from didflow.ledger.group_progress import Group, StreamName, all_groups, delete_group
from didflow.ledger.histories import numbers_with_history
from didflow.ledger.script_calls import Submission
from didflow.settings import load_settings

T = TypeVar("T")


class AsyncDidflow:
    """The methods of `didflow.Didflow`, as coroutines."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        namespace: str = "didflow",
        *,
        shebang: bool = True,
        actor: str | None = None,
        provider: ProviderCheck | None = None,
    ) -> None:
        self._client, self._provider = client, provider
        self.commands = Commands(namespace, shebang=shebang, actor=os_user() if actor is None else actor_named(actor))

    @property
    def actor(self) -> str:
        return self.commands.actor

    @classmethod
    def from_env(cls, *, actor: str | None = None) -> Self:
        settings = load_settings()
        named = settings.actor if actor is None else actor
        return cls(connect_async(redis_url(settings)), settings.namespace, actor=named, provider=ProviderCheck.of(settings))

    @classmethod
    def from_url(cls, url: str, namespace: str = "didflow", *, actor: str | None = None) -> Self:
        return cls(connect_async(url), namespace, actor=actor)

    async def perform(self, command: Command[T]) -> T:
        """Run one of `commands`, for the methods and for other modules of this package."""
        with translated():
            await self._check_provider()
            return await perform_async(self._client, command)

    async def _check_provider(self) -> None:
        if self._provider is not None and not self._provider.is_done:
            await perform_async(self._client, self._provider.command(self.commands.keys))

    async def aclose(self) -> None:
        await self._client.aclose()

    async def submit(
        self,
        request: Request | None = None,
        *,
        quote: Quote | None = None,
        idempotency_key: str | None = None,
        reference: str | None = None,
        account: str = "default",
        priority: int = 5,
        not_before: datetime | None = None,
        actor: str | None = None,
    ) -> Job:
        one = asked(request, quote, idempotency_key, reference, account, priority, not_before, self._acts(actor))
        return await self.perform(submit_one(self.commands, one))

    async def submit_many(self, submissions: Iterable[Submission | QuotedSubmission]) -> list[Job | DidflowError]:
        return [result for batch in pipelines(submissions) for result in await self.perform(submit_batch(self.commands, batch))]

    async def get(self, job_id: str) -> JobView:
        return await self.perform(self.commands.get(job_id))

    async def find(
        self,
        *,
        idempotency_key: str | None = None,
        reference: str | None = None,
        state: JobState | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> tuple[JobView, ...]:
        found = self.commands.find(idempotency_key=idempotency_key, reference=reference, state=state, limit=limit, offset=offset)
        return await self.perform(found)

    async def cancel(self, job_id: str, *, actor: str | None = None) -> JobView:
        await self.perform(self.commands.run(script_calls.cancel(job_id, self._acts(actor))))
        return await self.get(job_id)

    async def retry(self, job_id: str, *, actor: str | None = None) -> JobView:
        await self.perform(self.commands.run(script_calls.retry(job_id, self._acts(actor))))
        return await self.get(job_id)

    async def resolve(self, job_id: str, took_effect: Collection[str], *, seen: JobView | None = None, actor: str | None = None) -> JobView:
        found = finding(the_same(job_id, seen) or await self.get(job_id), took_effect, self._acts(actor))
        check_resolved(job_id, await self.perform(self.commands.run(resolving(found))))
        return await self.get(job_id)

    def _acts(self, actor: str | None) -> str:
        return self.actor if actor is None else actor_named(actor)

    async def dead_letters(self, limit: int = 100) -> DeadLetters:
        return await self.perform(dead_letters(self.commands, limit))

    async def replay(self, name: str) -> None:
        await self.perform(replay(self.commands, name))

    async def drop(self, name: str) -> None:
        await self.perform(drop(self.commands, name))

    async def decisions(self, limit: int = 20) -> tuple[Decision, ...]:
        return await self.perform(decisions(self.commands, limit))

    async def wait(self, job_id: str, timeout_s: float = 300.0) -> JobView:
        return await self.perform(self.commands.wait(job_id, timeout_s, time.monotonic))

    async def departures(self, job_id: str) -> Departures | None:
        return await self.perform(departures_of(self.commands, await self.get(job_id)))

    async def upcoming(self, within: timedelta, account: str | None = None) -> tuple[Departures, ...]:
        """See `Churn.upcoming`; `account` None: all accounts."""
        return await self.perform(upcoming(self.commands, within, account))

    async def explain(self, job_id: str) -> tuple[Step, ...]:
        await self.get(job_id)
        return await self.perform(self.commands.steps(job_id))

    async def history(self, number: str) -> History:
        return await self.perform(self.commands.run(script_calls.history(number_named(number))))

    async def histories(self) -> AsyncIterator[History]:
        for number in await self.perform(numbers_with_history(self.commands.keys)):
            yield await self.perform(self.commands.run(script_calls.history(number)))

    async def numbers(self, job_id: str, *, page: int | None = None) -> AsyncIterator[NumberResult]:
        view = await self.get(job_id)
        if not await self.perform(self.commands.pages(job_id)):
            for number in page_of(in_result(view), page):
                yield number
            return
        index = 0 if page is None else page - 1
        while (found := await self.perform(self.commands.numbers_on(job_id, index))) is not None:
            for number in found:
                yield as_ended(view, number)
            if page is not None:
                return
            index += 1

    async def spending(self, scopes: Iterable[tuple[Scope, str]], newest: int = 0) -> tuple[ScopeSpending, ...]:
        return await self.perform(self.commands.run(script_calls.spending(scopes, newest)))

    def results(
        self,
        group: str,
        consumer: str,
        *,
        block_s: float = 2.0,
        min_idle_s: float = 60.0,
        max_deliveries: int = 5,
        give_up_idle: bool = False,
        wait_for_redis: bool = True,
    ) -> AsyncIterator[AsyncDelivery]:
        waits = wait_for_redis and not give_up_idle
        return self._deliveries(Membership(group, consumer, block_s, min_idle_s, max_deliveries, give_up_idle, waits))

    async def _deliveries(self, member: Membership) -> AsyncIterator[AsyncDelivery]:
        held = set[str]()
        conversation = follow(results_of(self.commands.keys), member, parse_event, time.monotonic, held)
        try:
            step = next(conversation)
            while True:
                if isinstance(step, Pause):
                    await _pause(step)
                    step = conversation.send(None)
                    continue
                if isinstance(step, Entry):
                    acknowledge_it = partial(self._acknowledge, member, step.entry_id, held)
                    yield AsyncDelivery(step.event, step.entry_id, step.deliveries, acknowledge_it)
                    step = conversation.send(None)
                    continue
                try:
                    with translated():
                        await self._check_provider()
                        reply = await send_async(self._client, step)
                except (redis.exceptions.ResponseError, ServiceUnavailable) as error:
                    step = conversation.throw(error)
                else:
                    step = conversation.send(reply)
        except StopIteration:
            return

    async def _acknowledge(self, member: Membership, entry_id: str, held: set[str]) -> None:
        for again_s in pauses():
            try:
                await self.perform(acknowledge(results_of(self.commands.keys), member, entry_id))
            except ServiceUnavailable as error:
                if not member.waits_for_redis:
                    raise
                await _pause(Pause(again_s, error))
            else:
                held.discard(entry_id)
                return

    async def groups(self) -> tuple[Group, ...]:
        return tuple(group for stream in await self.perform(all_groups(self.commands.keys)) for group in stream.groups)

    async def delete_group(self, group: str, *, stream: StreamName = "results") -> None:
        await self.perform(delete_group(self.commands.keys, stream, group))
        await self.perform(note_decision(self.commands, "results delete-group", group, f"of {stream}"))


async def _pause(pause: Pause) -> None:
    log_away(pause.error, pause.seconds)
    await asyncio.sleep(pause.seconds)
