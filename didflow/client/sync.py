"""The producer's side of didflow: every verb in one class, on one Redis connection pool. Threads may share it."""

import time
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from functools import partial
from typing import Self

import redis

from didflow.client.deliveries import Delivery, log_away
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
from didflow.contract.progress import Tally
from didflow.contract.requests import Request
from didflow.contract.results import NumberResult, Quote
from didflow.contract.spending import Scope, ScopeSpending
from didflow.contract.states import JobState
from didflow.ledger import script_calls
from didflow.ledger.address import redis_url
from didflow.ledger.client import LedgerClient
from didflow.ledger.commands import RedisCommand
from didflow.ledger.connection import connect, translated
from didflow.ledger.consumer_groups import Pause, acknowledge, converse, follow, parse_event, pauses, results_of
from didflow.ledger.dead_letters import DeadLetters, dead_letters, drop, replay
from didflow.ledger.decisions import decisions, note_decision
from didflow.ledger.departures import departures_of
from didflow.ledger.group_membership import Membership
from didflow.ledger.group_progress import Group, StreamName, all_groups, delete_group
from didflow.ledger.histories import numbers_with_history
from didflow.ledger.progress import tally
from didflow.ledger.script_calls import Submission
from didflow.settings import load_settings


class Didflow:
    """Submit jobs, look at them, call them off, take in results. Every verb may raise ServiceUnavailable: repeat it then.

    A submit that is repeated with the same idempotency key gives the same job. Without a key a repeated submit is a second job.

    `actor` is the person or service behind the changes, 1 to 100 printable characters: it is kept with each job, its story and the
    histories of its numbers. None: the user of the operating system. A verb's own `actor` counts for that call.
    """

    def __init__(
        self,
        client: redis.Redis,
        namespace: str = "didflow",
        *,
        shebang: bool = True,
        actor: str | None = None,
        provider: ProviderCheck | None = None,
    ) -> None:
        name = os_user() if actor is None else actor_named(actor)
        self._reader = LedgerClient(client, namespace, shebang=shebang, actor=name, first=provider)

    @property
    def actor(self) -> str:
        """Who is behind what this client changes."""
        return self._reader.commands.actor

    @property
    def ledger(self) -> LedgerClient:
        """What the verbs stand on, for the modules beside this one."""
        return self._reader

    @classmethod
    def from_env(cls, *, actor: str | None = None) -> Self:
        """By DIDFLOW_REDIS_URL, DIDFLOW_NAMESPACE and DIDFLOW_ACTOR.

        Raises InvalidSettings; InvalidRequest for an actor that can't be stored; ServiceUnavailable if no server is known. Where the
        settings also name a provider's account, every verb raises WrongLedger if the ledger belongs to another provider.
        """
        settings = load_settings()
        named = settings.actor if actor is None else actor
        return cls(connect(redis_url(settings)), settings.namespace, actor=named, provider=ProviderCheck.of(settings))

    @classmethod
    def from_url(cls, url: str, namespace: str = "didflow", *, actor: str | None = None) -> Self:
        return cls(connect(url), namespace, actor=actor)

    def submit(
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
        """Accept a job, durably, once per `idempotency_key`.

        `quote`, instead of a request: buy what a dry run quoted, on these terms or not at all. `reference` is yours (a customer, an
        order), to find the job by. `priority` 0–9, lower is sooner within a lane.
        Raises InvalidRequest, IdempotencyConflict; for a failback also JobNotFound, WrongJob.
        """
        one = asked(request, quote, idempotency_key, reference, account, priority, not_before, self._acts(actor))
        return self._reader.perform(submit_one(self._reader.commands, one))

    def submit_many(self, submissions: Iterable[Submission | QuotedSubmission]) -> list[Job | DidflowError]:
        """Submit in pipelines of a few hundred. What is refused comes back as its error, in its place; the others go through.

        An order by a quote is a `QuotedSubmission`, which is checked as `submit(quote=…)` does. Give every submission an idempotency
        key: if the connection breaks in the middle, repeat the whole list.
        """
        commands = self._reader.commands
        return [result for batch in pipelines(submissions) for result in self._reader.perform(submit_batch(commands, batch))]

    def get(self, job_id: str) -> JobView:
        """Raises JobNotFound."""
        return self._reader.get(job_id)

    def find(
        self,
        *,
        idempotency_key: str | None = None,
        reference: str | None = None,
        state: JobState | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> tuple[JobView, ...]:
        """Jobs by idempotency key, by reference or by state (all, if none is given), newest first."""
        found = self._reader.commands.find(idempotency_key=idempotency_key, reference=reference, state=state, limit=limit, offset=offset)
        return self._reader.perform(found)

    def cancel(self, job_id: str, *, actor: str | None = None) -> JobView:
        """Call a job off. One that hasn't begun is cancelled at once; one that runs winds up what can be undone.

        An ended job stays as it is, and so does a parked one, unless it is a release: that looks again, and is wound up.
        Returns the job after that. Raises JobNotFound.
        """
        self._reader.run(script_calls.cancel(job_id, self._acts(actor)))
        return self.get(job_id)

    def retry(self, job_id: str, *, actor: str | None = None) -> JobView:
        """Let a parked job look again and go on from what is written; its attempts count anew. Safe at any time.

        Returns the job after that; one that isn't parked stays as it is. Raises JobNotFound.
        """
        self._reader.run(script_calls.retry(job_id, self._acts(actor)))
        return self.get(job_id)

    def resolve(self, job_id: str, took_effect: Collection[str], *, seen: JobView | None = None, actor: str | None = None) -> JobView:
        """End a parked purchase or release with what you found out: these open numbers (E.164) were bought, or released; the others not.

        Writes the job's one result and event. The others stay reserved for a day. The same finding again changes nothing.
        `seen`: the job as it was when you began to find out; if it looked again and was parked again since, the finding is refused.
        Without it the job counts as seen now.
        Raises WrongJob, InvalidRequest, JobNotFound.
        """
        found = finding(the_same(job_id, seen) or self.get(job_id), took_effect, self._acts(actor))
        check_resolved(job_id, self._reader.run(resolving(found)))
        return self.get(job_id)

    def _acts(self, actor: str | None) -> str:
        return self.actor if actor is None else actor_named(actor)

    def dead_letters(self, limit: int = 100) -> DeadLetters:
        """What needs somebody, at most `limit` of each: parked jobs, results that a consumer group set aside, business events that
        couldn't be acted on, messages that aren't ours."""
        return self._reader.perform(dead_letters(self._reader.commands, limit))

    def replay(self, name: str) -> None:
        """Let a parked job look again (by its id), or give an entry back to the one group that set it aside (by its name).

        Safe at any time; the group gets the entry at least once. Raises InvalidRequest, WrongJob, JobNotFound, DeadLetterNotFound.
        """
        self._reader.perform(replay(self._reader.commands, name))

    def drop(self, name: str) -> None:
        """Delete an entry that was set aside, or an undecodable message, for good. Raises InvalidRequest for a job, DeadLetterNotFound."""
        self._reader.perform(drop(self._reader.commands, name))

    def decisions(self, limit: int = 20) -> tuple[Decision, ...]:
        """What people decided where no job's story tells it, newest first: plans, the pool, dead letters, groups, reconcile."""
        return self._reader.perform(decisions(self._reader.commands, limit))

    def wait(self, job_id: str, timeout_s: float = 300.0) -> JobView:
        """Block until the job has ended or is parked for review. Raises JobNotFound, WaitTimeout (the job goes on)."""
        return self._reader.perform(self._reader.commands.wait(job_id, timeout_s, time.monotonic))

    def tally(self, job_id: str) -> Tally:
        """How far a reroute or failback is: its numbers by outcome. Reads all of them: for 10,000 not twice a second."""
        return self._reader.perform(tally(self._reader.keys, job_id))

    def departures(self, job_id: str) -> Departures | None:
        """When each number of a release goes, and which don't. None for another kind of job, a dry run, and one that has ended.

        Raises JobNotFound.
        """
        return self._reader.perform(departures_of(self._reader.commands, self.get(job_id)))

    def explain(self, job_id: str) -> tuple[Step, ...]:
        """The job's story, oldest step first. Raises JobNotFound."""
        self.get(job_id)
        return self._reader.perform(self._reader.commands.steps(job_id))

    def history(self, number: str) -> History:
        """Everything that ever happened to this number (E.164) through us, oldest first, checked link by link: see `.faults`.

        Without entries for a number that no job ever had. Raises InvalidRequest for what is no phone number.
        """
        return self._reader.run(script_calls.history(number_named(number)))

    def histories(self) -> Iterator[History]:
        """The history of every number that has one, in the order of the numbers."""
        for number in self._reader.perform(numbers_with_history(self._reader.keys)):
            yield self._reader.run(script_calls.history(number))

    def numbers(self, job_id: str, *, page: int | None = None) -> Iterator[NumberResult]:
        """What became of each number of a job, however many it has, also while it runs (then `outcome` may be None).

        `page`, from 1: only about a hundred of them. A large job has as many pages as its result's `summary` says; read while it
        runs, a number may have moved on meanwhile. Raises JobNotFound.
        """
        view = self.get(job_id)
        if not self._reader.perform(self._reader.commands.pages(job_id)):
            yield from page_of(in_result(view), page)
            return
        index = 0 if page is None else page - 1
        while (found := self._reader.perform(self._reader.commands.numbers_on(job_id, index))) is not None:
            yield from (as_ended(view, number) for number in found)
            if page is not None:
                return
            index += 1

    def spending(self, scopes: Iterable[tuple[Scope, str]], newest: int = 0) -> tuple[ScopeSpending, ...]:
        """What these accounts and references have used of the last hour and day, and what their open checkouts hold.

        After them come the `newest` that spent last. Whether any limit is set doesn't matter; dry runs don't count.
        """
        return self._reader.spending(scopes, newest=newest)

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
    ) -> Iterator[Delivery]:
        """Every result from the oldest that is kept, for this group once: an endless iterator. Acknowledge each with `.ack()`.

        A consumer that died is replaced: what it held for `min_idle_s` without an ack goes to another one. Entries are read one by one,
        so only what was handed out counts as held. An entry handed out more than `max_deliveries` times is set aside on
        `{namespace}:results:poison`.
        `give_up_idle` ends the iterator where it would wait for an entry for longer than `block_s`.
        While Redis is away the iterator and `.ack()` wait, and go on when it is back; each try is logged (`didflow.results`). With
        `wait_for_redis=False`, and with `give_up_idle`, they raise ServiceUnavailable instead; start anew then.
        Raises InvalidRequest with every fault of the arguments.
        """
        waits = wait_for_redis and not give_up_idle
        return self._deliveries(Membership(group, consumer, block_s, min_idle_s, max_deliveries, give_up_idle, waits))

    def _deliveries(self, member: Membership) -> Iterator[Delivery]:
        held = set[str]()
        conversation = follow(results_of(self._reader.keys), member, parse_event, time.monotonic, held)
        for entry in converse(self._reader, conversation, _pause):
            acknowledge_it = partial(self._acknowledge, member, entry.entry_id, held)
            yield Delivery(entry.event, entry.entry_id, entry.deliveries, acknowledge_it)

    def _acknowledge(self, member: Membership, entry_id: str, held: set[str]) -> None:
        for again_s in pauses():
            try:
                self._reader.perform(acknowledge(results_of(self._reader.keys), member, entry_id))
            except ServiceUnavailable as error:
                if not member.waits_for_redis:
                    raise
                _pause(Pause(again_s, error))
            else:
                held.discard(entry_id)
                return

    def groups(self) -> tuple[Group, ...]:
        """Every consumer group of the streams of requests, results and events, and how far each is."""
        return tuple(group for stream in self._reader.perform(all_groups(self._reader.keys)) for group in stream.groups)

    def delete_group(self, group: str, *, stream: StreamName = "results") -> None:
        """Delete a consumer group that was given up, so that nothing is kept for it. It forgets what it read.

        Raises InvalidRequest if there is none, or if a consumer of it was seen within the last minute.
        """
        self._reader.perform(delete_group(self._reader.keys, stream, group))
        self._reader.perform(note_decision(self._reader.commands, "results delete-group", group, f"of {stream}"))

    def recent(self, limit: int = 20) -> list[tuple[str, dict[str, str]]]:
        """The newest entries of the results stream as they lie there, oldest first, without a group."""
        with translated():
            entries = self._reader.send(RedisCommand("xrevrange", (self._reader.keys.results,), {"count": limit}))
        return list(reversed(entries))


def _pause(pause: Pause) -> None:
    log_away(pause.error, pause.seconds)
    time.sleep(pause.seconds)
