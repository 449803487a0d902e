"""Jobs: submit them, follow them, and settle what is parked."""

import time
from collections.abc import AsyncIterator, Collection, Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from didflow.client.aio.base import AsyncClient
from didflow.client.job_numbers import as_ended, in_result, page_of
from didflow.client.quotes import QuotedSubmission
from didflow.client.review import the_same
from didflow.client.second_person import settled
from didflow.client.submission import asked, pipelines, submit_batch, submit_one
from didflow.contract.departures import Departures
from didflow.contract.errors import DidflowError
from didflow.contract.jobs import Job, JobView, Step
from didflow.contract.progress import Tally
from didflow.contract.requests import Request
from didflow.contract.results import NumberResult, Quote
from didflow.contract.states import JobState
from didflow.ledger import script_calls
from didflow.ledger.departures import departures_of, upcoming
from didflow.ledger.progress import tally
from didflow.ledger.script_calls import Submission


class AsyncJobs(AsyncClient):
    """The jobs of all accounts of the namespace."""

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
        traceparent: str | None = None,
        tracestate: str | None = None,
    ) -> Job:
        """Submit a job. It is stored durably before this returns, once per `idempotency_key`.

            job = await didflow.submit(SearchAndBuy(country="US", quantity=3), idempotency_key="order-4711", reference="customer-9")
            print(job.id, job.is_new)

        `quote`, instead of a request: buy what a dry run quoted, on those terms or not at all. `reference` is your own (a customer, an
        order), to find the job by. `priority` is 0 to 9; lower runs first within a lane. `not_before`, with a time zone: when it may
        start; None: at once. `traceparent`, `tracestate`: W3C trace context, kept in the job and its events; what isn't valid is ignored.
        Raises InvalidRequest, IdempotencyConflict; for a failback also JobNotFound, WrongJob.
        """
        one = asked(request, quote, idempotency_key, reference, account, priority, not_before, self._acts(actor))
        return await self.ledger.perform(submit_one(self.ledger.commands.traced(traceparent, tracestate), one))

    async def submit_many(self, submissions: Iterable[Submission | QuotedSubmission]) -> list[Job | DidflowError]:
        """Submit in pipelines of a few hundred. A refused submission returns its error, in its place; the others are submitted.

            jobs = await didflow.submit_many(Submission(request, key) for key, request in orders)
            refused = [one for one in jobs if isinstance(one, DidflowError)]

        An order by quote is a `QuotedSubmission`, with the same checks as `submit(quote=…)`. Give every submission an idempotency
        key: if the connection breaks, submit the whole list again.
        """
        commands = self.ledger.commands
        return [result for batch in pipelines(submissions) for result in await self.ledger.perform(submit_batch(commands, batch))]

    async def get(self, job_id: str) -> JobView:
        """Return a job with its state, request and result.

            view = await didflow.get(job.id)
            print(view.state, view.result)

        Raises JobNotFound.
        """
        return await self.ledger.perform(self.ledger.commands.get(job_id))

    async def find(
        self,
        *,
        idempotency_key: str | None = None,
        reference: str | None = None,
        state: JobState | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> tuple[JobView, ...]:
        """Find jobs by idempotency key, reference or state (all jobs, if none is given), newest first.

            parked = await didflow.find(state=JobState.NEEDS_REVIEW, limit=20)

        Raises InvalidRequest for a negative or too large `limit` or `offset`.
        """
        found = self.ledger.commands.find(idempotency_key=idempotency_key, reference=reference, state=state, limit=limit, offset=offset)
        return await self.ledger.perform(found)

    async def wait(self, job_id: str, timeout_s: float = 300.0) -> JobView:
        """Wait until the job has ended or is parked for review.

            view = await didflow.wait(job.id, timeout_s=60)
            print(view.state, view.result)

        Raises JobNotFound, WaitTimeout (the job continues).
        """
        return await self.ledger.perform(self.ledger.commands.wait(job_id, timeout_s, time.monotonic))

    async def cancel(self, job_id: str, *, actor: str | None = None) -> JobView:
        """Cancel a job. A job that hasn't started is cancelled at once; a running job undoes what can be undone.

            view = await didflow.cancel(job.id)

        An ended job doesn't change. Neither does a parked one, except a release: it checks its numbers again and ends.
        Returns the job after the change. Raises JobNotFound.
        """
        await self.ledger.run(script_calls.cancel(job_id, self._acts(actor)))
        return await self.get(job_id)

    async def retry(self, job_id: str, *, actor: str | None = None) -> JobView:
        """Retry a parked job from its last checkpoint; its attempts start at zero. Safe at any time.

            for view in await didflow.find(state=JobState.NEEDS_REVIEW):
                await didflow.retry(view.id)

        Returns the job after the change; a job that isn't parked doesn't change. Raises JobNotFound.
        """
        await self.ledger.run(script_calls.retry(job_id, self._acts(actor)))
        return await self.get(job_id)

    async def resolve(
        self,
        job_id: str,
        took_effect: Collection[str],
        *,
        seen: JobView | None = None,
        second_person_usd: Decimal | None = None,
        actor: str | None = None,
    ) -> JobView:
        """End a parked purchase or release with your finding: these open numbers (E.164) were bought, or released; the others weren't.

            parked = await didflow.get(job_id)
            await didflow.resolve(job_id, ["+12135550100"], seen=parked)

        Writes the job's only result and event. The other numbers stay reserved for a day. Repeating the same finding changes nothing.
        `seen`: the job as you read it before your investigation; if it was retried and parked again since, the finding is refused.
        Default: the job as it is now.
        `second_person_usd`: if the open numbers cost more, the finding is kept for a day, and the same one by another actor ends the job.
        Raises SecondPersonNeeded if it was kept; WrongJob, InvalidRequest, JobNotFound.
        """
        view = the_same(job_id, seen) or await self.get(job_id)
        await self.ledger.perform(settled(self.ledger.commands, view, took_effect, self._acts(actor), second_person_usd))
        return await self.get(job_id)

    async def explain(self, job_id: str) -> tuple[Step, ...]:
        """Return the job's steps, oldest first.

            for step in await didflow.explain(job.id):
                print(step.at, step.name, step.detail)

        Raises JobNotFound.
        """
        await self.get(job_id)
        return await self.ledger.perform(self.ledger.commands.steps(job_id))

    async def numbers(self, job_id: str, *, page: int | None = None) -> AsyncIterator[NumberResult]:
        """Yield the outcome of each number of a job, also while it runs (then `outcome` may be None).

            async for number in didflow.numbers(job.id):
                print(number.number, number.outcome)

        `page`, from 1: only that page, of about a hundred numbers. The result's `summary` has a large job's number of pages. While the
        job runs, outcomes may change between pages. Raises JobNotFound.
        """
        view = await self.get(job_id)
        if not await self.ledger.perform(self.ledger.commands.pages(job_id)):
            for number in page_of(in_result(view), page):
                yield number
            return
        index = 0 if page is None else page - 1
        while (found := await self.ledger.perform(self.ledger.commands.numbers_on(job_id, index))) is not None:
            for number in found:
                yield as_ended(view, number)
            if page is not None:
                return
            index += 1

    async def tally(self, job_id: str) -> Tally:
        """Return the progress of a reroute or failback: its numbers by outcome.

            progress = await didflow.tally(job.id)
            print(progress.count(Outcome.CONFIRMED), "of", progress.selected)

        Reads all numbers of the job, so don't poll it for 10,000 numbers.
        """
        return await self.ledger.perform(tally(self.ledger.keys, job_id))

    async def departures(self, job_id: str) -> Departures | None:
        """Return when each number of a release will be released, and which won't. None for another job kind, a dry run or an ended job.

            departures = await didflow.departures(job.id)

        Raises JobNotFound.
        """
        return await self.ledger.perform(departures_of(self.ledger.commands, await self.get(job_id)))

    async def upcoming(self, within: timedelta, account: str | None = None) -> tuple[Departures, ...]:
        """Return the open releases whose numbers are released within this time, soonest first.

            soon = await didflow.upcoming(timedelta(days=7))

        A parked release is among them, and one whose time isn't known. `account` None: all accounts.
        """
        return await self.ledger.perform(upcoming(self.ledger.commands, within, account))
