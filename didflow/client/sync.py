"""The synchronous client. It uses one Redis connection pool, and threads may share it."""

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
    """Submit, inspect and cancel jobs, and consume results. Every method may raise ServiceUnavailable; it is safe to repeat the call.

    Submitting again with the same idempotency key returns the same job. Without a key, each submit creates a job.

    `actor` is the person or service that requests the changes, 1 to 100 printable characters. It is stored with each job, its steps and
    the histories of its numbers. None: the operating system's user. A method's own `actor` overrides it for that call.
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
        """The person or service that requests this client's changes."""
        return self._reader.commands.actor

    @property
    def ledger(self) -> LedgerClient:
        """The ledger client behind the methods, for other modules of this package."""
        return self._reader

    @classmethod
    def from_env(cls, *, actor: str | None = None) -> Self:
        """Create a client from DIDFLOW_REDIS_URL, DIDFLOW_NAMESPACE and DIDFLOW_ACTOR.

        Raises InvalidSettings; InvalidRequest for an actor that can't be stored; ServiceUnavailable if no server is known. If the
        settings also name a provider's account, every method raises WrongLedger if the ledger belongs to another provider.
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
        """Submit a job. It is stored durably before this returns, once per `idempotency_key`.

        `quote`, instead of a request: buy what a dry run quoted, on those terms or not at all. `reference` is your own (a customer, an
        order), to find the job by. `priority` is 0 to 9; lower runs first within a lane.
        Raises InvalidRequest, IdempotencyConflict; for a failback also JobNotFound, WrongJob.
        """
        one = asked(request, quote, idempotency_key, reference, account, priority, not_before, self._acts(actor))
        return self._reader.perform(submit_one(self._reader.commands, one))

    def submit_many(self, submissions: Iterable[Submission | QuotedSubmission]) -> list[Job | DidflowError]:
        """Submit in pipelines of a few hundred. A refused submission returns its error, in its place; the others are submitted.

        An order by quote is a `QuotedSubmission`, with the same checks as `submit(quote=…)`. Give every submission an idempotency
        key: if the connection breaks, submit the whole list again.
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
        """Find jobs by idempotency key, reference or state (all jobs, if none is given), newest first."""
        found = self._reader.commands.find(idempotency_key=idempotency_key, reference=reference, state=state, limit=limit, offset=offset)
        return self._reader.perform(found)

    def cancel(self, job_id: str, *, actor: str | None = None) -> JobView:
        """Cancel a job. A job that hasn't started is cancelled at once; a running job undoes what can be undone.

        An ended job doesn't change. Neither does a parked one, except a release: it checks its numbers again and ends.
        Returns the job after the change. Raises JobNotFound.
        """
        self._reader.run(script_calls.cancel(job_id, self._acts(actor)))
        return self.get(job_id)

    def retry(self, job_id: str, *, actor: str | None = None) -> JobView:
        """Retry a parked job from its last checkpoint; its attempts start at zero. Safe at any time.

        Returns the job after the change; a job that isn't parked doesn't change. Raises JobNotFound.
        """
        self._reader.run(script_calls.retry(job_id, self._acts(actor)))
        return self.get(job_id)

    def resolve(self, job_id: str, took_effect: Collection[str], *, seen: JobView | None = None, actor: str | None = None) -> JobView:
        """End a parked purchase or release with your finding: these open numbers (E.164) were bought, or released; the others weren't.

        Writes the job's only result and event. The other numbers stay reserved for a day. Repeating the same finding changes nothing.
        `seen`: the job as you read it before your investigation; if it was retried and parked again since, the finding is refused.
        Default: the job as it is now.
        Raises WrongJob, InvalidRequest, JobNotFound.
        """
        found = finding(the_same(job_id, seen) or self.get(job_id), took_effect, self._acts(actor))
        check_resolved(job_id, self._reader.run(resolving(found)))
        return self.get(job_id)

    def _acts(self, actor: str | None) -> str:
        return self.actor if actor is None else actor_named(actor)

    def dead_letters(self, limit: int = 100) -> DeadLetters:
        """List what needs a person, at most `limit` of each: parked jobs, poison results, refused business events and foreign
        messages."""
        return self._reader.perform(dead_letters(self._reader.commands, limit))

    def replay(self, name: str) -> None:
        """Retry a parked job (by its id), or redeliver a poison entry to its consumer group (by its name).

        Safe at any time; the group gets the entry at least once. Raises InvalidRequest, WrongJob, JobNotFound, DeadLetterNotFound.
        """
        self._reader.perform(replay(self._reader.commands, name))

    def drop(self, name: str) -> None:
        """Delete a poison entry or a foreign message permanently. Raises InvalidRequest for a job, DeadLetterNotFound."""
        self._reader.perform(drop(self._reader.commands, name))

    def decisions(self, limit: int = 20) -> tuple[Decision, ...]:
        """List people's decisions that no job records, newest first: plans, the pool, dead letters, groups, reconcile."""
        return self._reader.perform(decisions(self._reader.commands, limit))

    def wait(self, job_id: str, timeout_s: float = 300.0) -> JobView:
        """Block until the job has ended or is parked for review. Raises JobNotFound, WaitTimeout (the job continues)."""
        return self._reader.perform(self._reader.commands.wait(job_id, timeout_s, time.monotonic))

    def tally(self, job_id: str) -> Tally:
        """Return the progress of a reroute or failback: its numbers by outcome. Reads all of them, so don't poll it for 10,000 numbers."""
        return self._reader.perform(tally(self._reader.keys, job_id))

    def departures(self, job_id: str) -> Departures | None:
        """Return when each number of a release will be released, and which won't. None for another job kind, a dry run or an ended job.

        Raises JobNotFound.
        """
        return self._reader.perform(departures_of(self._reader.commands, self.get(job_id)))

    def explain(self, job_id: str) -> tuple[Step, ...]:
        """Return the job's steps, oldest first. Raises JobNotFound."""
        self.get(job_id)
        return self._reader.perform(self._reader.commands.steps(job_id))

    def history(self, number: str) -> History:
        """Return the history of a number (E.164), oldest entry first. Its hash chain is verified: see `.faults`.

        Empty for a number that no job ever had. Raises InvalidRequest for an invalid phone number.
        """
        return self._reader.run(script_calls.history(number_named(number)))

    def histories(self) -> Iterator[History]:
        """Yield the history of every number that has one, ordered by number."""
        for number in self._reader.perform(numbers_with_history(self._reader.keys)):
            yield self._reader.run(script_calls.history(number))

    def numbers(self, job_id: str, *, page: int | None = None) -> Iterator[NumberResult]:
        """Yield the outcome of each number of a job, also while it runs (then `outcome` may be None).

        `page`, from 1: only that page, of about a hundred numbers. The result's `summary` has a large job's number of pages. While the
        job runs, outcomes may change between pages. Raises JobNotFound.
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
        """Return the spending of these accounts and references in the last hour and day, and what their open checkouts hold.

        Appends the `newest` scopes that spent last. Spending is counted whether or not a limit is set; dry runs don't count.
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
        """Iterate over every result for this group, from the oldest kept, without end. Acknowledge each with `.ack()`.

        Delivery is at least once. An entry that a consumer held for `min_idle_s` without an acknowledgement is delivered to another one.
        Entries are read one by one, so only delivered entries count as held. An entry delivered more than `max_deliveries` times goes
        to `{namespace}:results:poison`.
        `give_up_idle` ends the iterator when no entry came for `block_s`.
        While Redis is unavailable, the iterator and `.ack()` wait; each try is logged (`didflow.results`). With
        `wait_for_redis=False`, and with `give_up_idle`, they raise ServiceUnavailable instead: create a new iterator then.
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
        """List every consumer group of the requests, results and events streams, with its lag."""
        return tuple(group for stream in self._reader.perform(all_groups(self._reader.keys)) for group in stream.groups)

    def delete_group(self, group: str, *, stream: StreamName = "results") -> None:
        """Delete an unused consumer group, with its position, so that no entries are kept for it.

        Raises InvalidRequest if there is none, or if a consumer of it was seen within the last minute.
        """
        self._reader.perform(delete_group(self._reader.keys, stream, group))
        self._reader.perform(note_decision(self._reader.commands, "results delete-group", group, f"of {stream}"))

    def recent(self, limit: int = 20) -> list[tuple[str, dict[str, str]]]:
        """Return the newest entries of the results stream as stored, oldest first, without a consumer group."""
        with translated():
            entries = self._reader.send(RedisCommand("xrevrange", (self._reader.keys.results,), {"count": limit}))
        return list(reversed(entries))


def _pause(pause: Pause) -> None:
    log_away(pause.error, pause.seconds)
    time.sleep(pause.seconds)
