"""Turns submissions into jobs: applies quotes, checks, and sends them in one pipeline. Commands, which the sync and async clients share."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from didflow.client.quotes import QuotedSubmission, orders, refusal
from didflow.client.request_diff import differences
from didflow.client.submit_checks import check
from didflow.client.submit_spans import SubmitSpans, TraceContext
from didflow.contract.errors import DidflowError, IdempotencyConflict, InvalidRequest, JobNotFound
from didflow.contract.job_kinds import request_models
from didflow.contract.jobs import Job, JobView
from didflow.contract.requests import Request
from didflow.contract.results import Quote
from didflow.ledger import script_calls
from didflow.ledger.commands import Command, Commands
from didflow.ledger.connection import translated
from didflow.ledger.script_calls import Call, Submission

T = TypeVar("T")

#: Submits per pipeline.
PIPELINE = 500

Asked = Submission | QuotedSubmission


def asked(
    request: Request | None,
    quote: Quote | None,
    idempotency_key: str | None,
    reference: str | None,
    account: str,
    priority: int,
    not_before: datetime | None,
    actor: str | None = None,
) -> Asked:
    """What `submit` was given. Raises InvalidRequest if that is neither a request nor a quote."""
    if quote is not None:
        return QuotedSubmission(quote, idempotency_key, reference, account, priority, not_before, request, actor or "")
    if request is None:
        raise refusal("request", "give a request, or a quote")
    return Submission(request, idempotency_key, reference, account, priority, not_before, actor=actor or "")


def submit_one(commands: Commands, one: Asked) -> Command[Job]:
    """Raises InvalidRequest, IdempotencyConflict; for a failback also JobNotFound, WrongJob."""
    with SubmitSpans(commands, (one,)) as spans:
        job = yield from _sent(commands, one, spans, commands.run)
        spans.came((job,))
    return job


def submit_and_get(commands: Commands, one: Asked) -> Command[tuple[Job, JobView]]:
    """The same, and the job as it is then."""
    with SubmitSpans(commands, (one,)) as spans:
        # What a quote orders is another request than the one that is given.
        request = one.request if isinstance(one, Submission) else None
        job, view = yield from _sent(commands, one, spans, lambda call: commands.submit(call, request))
        spans.came((job,))
    return job, view


def _sent(commands: Commands, one: Asked, spans: SubmitSpans, run: Callable[[Call[Job]], Command[T]]) -> Command[T]:
    (call,) = yield from _prepared(commands, (one,), spans.contexts)
    if isinstance(call, DidflowError):
        raise call
    try:
        return (yield from run(call))
    except IdempotencyConflict as conflict:
        raise (yield from _named(commands, one, conflict)) from None


def _named(commands: Commands, one: Asked, conflict: IdempotencyConflict) -> Command[IdempotencyConflict]:
    """The same conflict, with what differs, where that can be known."""
    try:
        there = yield from commands.get(conflict.job_id)
    except JobNotFound:  # It was deleted a moment ago.
        return conflict
    if there.request is None:
        return conflict
    differ = [f"account: {one.account} asked, {there.account} there"] if one.account != there.account else []
    differ += differences(one.request, there.request, leave_out=("v", "deadline", "terms")) if one.request is not None else ()
    by_quote, was_by_quote = isinstance(one, QuotedSubmission), getattr(there.request, "terms", None) is not None
    if by_quote != was_by_quote:
        differ.append(f"price: {_priced(quoted=by_quote)} asked, {_priced(quoted=was_by_quote)} there")
    return IdempotencyConflict(one.idempotency_key or "", conflict.job_id, "; ".join(differ))


def _priced(*, quoted: bool) -> str:
    return "that of a quote" if quoted else "none"


def pipelines(submissions: Iterable[Asked]) -> Iterator[tuple[Asked, ...]]:
    """As many as go into one, read when it is their turn."""
    rest = iter(submissions)
    while batch := tuple(islice(rest, PIPELINE)):
        yield batch


def submit_batch(commands: Commands, batch: Sequence[Asked]) -> Command[list[Job | DidflowError]]:
    """In one pipeline. What is refused is its error, in its place; anything else is an error of ours and is raised."""
    with SubmitSpans(commands, batch) as spans:
        prepared = yield from _prepared(commands, batch, spans.contexts)
        good = tuple(call for call in prepared if isinstance(call, Call))
        replies = iter((yield from commands.run_many(good)) if good else ())
        results: list[Job | DidflowError] = []
        for call in prepared:
            reply = call if isinstance(call, DidflowError) else next(replies)
            if not isinstance(reply, Job | DidflowError):
                raise reply
            results.append(reply)
        spans.came(results)
    return results


def _prepared(commands: Commands, batch: Sequence[Asked], contexts: Sequence[TraceContext]) -> Command[list[Call[Job] | DidflowError]]:
    checked = [_wrong_type(one) or one for one in batch]
    by_quote = iter((yield from orders(commands, [one for one in checked if isinstance(one, QuotedSubmission)])))
    prepared: list[Call[Job] | DidflowError] = []
    for one, context in zip(checked, contexts, strict=True):
        settled = next(by_quote) if isinstance(one, QuotedSubmission) else one
        prepared.append(settled if isinstance(settled, DidflowError) else (yield from _checked(commands, settled, context)))
    return prepared


def _wrong_type(one: object) -> InvalidRequest | None:
    """Why it can't be submitted, whatever its fields say: a caller without type checks may give anything."""
    if not isinstance(one, Submission | QuotedSubmission):
        return refusal("submission", f"is a {type(one).__name__}: give a `Submission` or a `QuotedSubmission`")
    if isinstance(one, QuotedSubmission) and (name := _unlike(one.quote, Quote)):
        return refusal("quote", f"is a {name}: give the `Quote` of a dry run, or `Quote.model_validate(…)` of its fields")
    by_quote_alone = isinstance(one, QuotedSubmission) and one.request is None
    if not by_quote_alone and (name := _unlike(one.request, request_models())):
        return refusal("request", f"is a {name}: give a request such as `SearchAndBuy`, or `parse_request(…)` of its fields")
    return None


def _unlike(given: object, kind: Any) -> str | None:
    """What it is instead of that kind."""
    return None if isinstance(given, kind) else type(given).__name__


def _checked(commands: Commands, submission: Submission, context: TraceContext) -> Command[Call[Job] | DidflowError]:
    """`context`: of the submission's span; else it is the submission's own, or the client's."""
    try:
        job_id = script_calls.new_job_id()
        own, clients = (submission.traceparent, submission.tracestate), (commands.traceparent, commands.tracestate)
        traceparent, tracestate = next((one for one in (context, own) if one[0]), clients)
        named = replace(submission, actor=submission.actor or commands.actor, traceparent=traceparent, tracestate=tracestate)
        call = script_calls.submit(named, job_id)
        with translated():  # What a damaged job answers refuses this one, and not the whole batch.
            incident = yield from check(commands, submission, job_id)
        return call if incident is None else script_calls.submit(replace(named, incident=incident), job_id)
    except DidflowError as error:
        return error
