"""The producers' verbs as data: which script, which arguments, how to read the reply.

No I/O here, so that the sync and the async client share every line that decides something.
"""

import hashlib
import json
import secrets
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Generic, TypeVar

from didflow.contract.actors import fault_of
from didflow.contract.errors import IdempotencyConflict, InvalidRequest, JobNotFound
from didflow.contract.follow_ups import DOCUMENTS, FIRST_LOOK_S
from didflow.contract.history import Happened, History
from didflow.contract.job_kinds import kind_of, names_that_give_back
from didflow.contract.jobs import Job
from didflow.contract.requests import REQUEST_VERSION, FollowDocuments, Request
from didflow.contract.results import Result
from didflow.contract.spending import ScopeSpending, Spend
from didflow.contract.states import JobState, Lane
from didflow.contract.time_values import bounded
from didflow.contract.traceparent import read_traceparent
from didflow.contract.tracestate import read_tracestate
from didflow.ledger.event_body import event_members
from didflow.ledger.replies import (
    Cancelled,
    CancelReply,
    CancelRequested,
    DecidedBefore,
    GiveReply,
    KeepsAll,
    NumberGiven,
    ParkedAgain,
    Requeued,
    ReservedFor,
    Resolved,
    ResolveReply,
    RetryReply,
    Unchanged,
)
from didflow.ledger.result_parts import summed_up
from didflow.ledger.spending import scope_spending, spend_fields
from didflow.ledger.stored_history import happened_text, one_happened_text, read_history

T = TypeVar("T")

#: How long a nudge may take before the sweeper sees whether it is lost; it doubles with each look.
RENUDGE_MS = 5_000
#: How long an ended job, its numbers and its idempotency key are kept, by default.
RETENTION_MS = 90 * 24 * 3600 * 1000
#: How long the audit is kept, by default; and the entries that are kept, however young.
AUDIT_MS = 365 * 24 * 3600 * 1000
AUDIT_MOST = 1_000_000
#: How long a number's history is kept after the number went, by default.
HISTORY_MS = 1095 * 24 * 3600 * 1000
#: How long a number is left alone after a call with it had no clear answer: one still in flight would act on it.
TAINT_MS = 24 * 3600 * 1000
#: A failback that took its reroute and wasn't submitted within this time never will be.
UNDO_STALE_MS = 60_000
#: The most that one request may take up in the ledger.
MAX_REQUEST_BYTES = 8_000_000


@dataclass(frozen=True)
class Call(Generic[T]):
    """One script run. All of them may be run twice."""

    script: str
    args: tuple[str | int, ...]
    parse: Callable[[Any], T]


@dataclass(frozen=True)
class UndoneBy:
    """The failback that has a reroute: its job, and the idempotency key that it was submitted with ('': none)."""

    job_id: str
    idempotency_key: str


@dataclass(frozen=True)
class QuoteUse:
    """The one order that a quote is good for: the quote's id, and when it expires."""

    quote_id: str
    expires_at: datetime


@dataclass(frozen=True)
class Submission:
    """What a producer gives with a request. `not_before` in any time zone; `priority` 0–9, lower is sooner (within a lane).

    `lane`: instead of the request's own, for background jobs. `quote`: the quote it is ordered by, if that is valid for one order.
    `incident`: the one that it is part of. `actor`: who submits it; '': the client's own, or a worker.
    `traceparent`, `tracestate`: W3C trace context that the job belongs to; what isn't valid is ignored, and a state without a parent.
    """

    request: Request
    idempotency_key: str | None = None
    reference: str | None = None
    account: str = "default"
    priority: int = 5
    not_before: datetime | None = None
    lane: Lane | None = None
    quote: QuoteUse | None = None
    incident: str | None = None
    actor: str = ""
    traceparent: str = ""
    tracestate: str = ""


def fingerprint(submission: Submission) -> str:
    """What makes two submissions the same request: kind, account, and what is asked, however it is written (2.5 is 2.50).

    Not reference, priority or time: a deadline of "in ten minutes" is another moment at each try; of a standing order only that it is
    one. (When a release takes effect is what it asks, so that is in it.) What is left at its default isn't in it, so that a later version
    with a new field knows the keys of an older one.
    """
    asked = submission.request.model_dump(exclude_defaults=True, exclude={"deadline", "wait_until"})
    if getattr(submission.request, "wait_until", None) is not None:
        asked["waits"] = True
    content = json.dumps([submission.account, submission.request.kind, asked], sort_keys=True, default=_plainest)
    return hashlib.sha256(content.encode()).hexdigest()


def _plainest(value: Decimal | datetime | timedelta) -> str:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat()
        case timedelta():
            return str(value)
    return f"{value.normalize():f}"


def _request_text(request: Request) -> str:
    """As it is stored. What is None is left out: it is the default of every field that may be None, and half of a usual purchase's text."""
    return request.model_dump_json(exclude_none=True)


def new_job_id() -> str:
    """A job id that sorts roughly by time of birth, so that lists read well: 12 hex digits of ms, 14 at random."""
    return f"{int(datetime.now(UTC).timestamp() * 1000):012x}{uuid.uuid4().hex[:14]}"


def submit(submission: Submission, job_id: str | None = None) -> Call[Job]:
    """Accept a job once. Raises InvalidRequest on what can't be stored.

    Reading the reply may raise IdempotencyConflict, and InvalidRequest for a quote that was ordered by before or has expired since.
    """
    faults = label_faults(submission.idempotency_key, submission.reference, submission.account, submission.priority)
    faults += [fault] if (fault := _time_fault(submission.not_before)) else []
    faults += [fault for fault in (_label_fault("incident", submission.incident), _actor_fault(submission.actor)) if fault]
    text = _request_text(submission.request)
    if len(text) > MAX_REQUEST_BYTES:
        faults.append(("request", f"is {len(text)} bytes long; at most {MAX_REQUEST_BYTES}: split it into several jobs"))
    if faults:
        raise InvalidRequest("the submit is invalid: " + "; ".join(f"{where}: {what}" for where, what in faults), tuple(faults))
    job = job_id or new_job_id()
    not_before_ms = int(submission.not_before.timestamp() * 1000) if submission.not_before else 0
    key = submission.idempotency_key or ""
    traceparent = read_traceparent(submission.traceparent) or ""
    args = (
        job,
        REQUEST_VERSION,
        submission.request.kind,
        text,
        fingerprint(submission),
        key,
        submission.reference or "",
        submission.account,
        (submission.lane or kind_of(submission.request).lane).value,
        submission.priority,
        not_before_ms,
        RENUDGE_MS,
        submission.quote.quote_id if submission.quote else "",
        int(submission.quote.expires_at.timestamp() * 1000) if submission.quote else 0,
        submission.incident or "",
        submission.actor,
        traceparent,
        (read_tracestate(submission.tracestate) or "") if traceparent else "",
    )
    return Call("submit", args, lambda reply: _submitted(reply, key))


def _submitted(reply: Sequence[str], key: str) -> Job:
    verdict, job_id, state = reply
    match verdict:
        case "conflict":
            raise IdempotencyConflict(key, job_id)
        case "quote_used":
            again = "repeat that order's key, or ask for a new quote (--dry-run; field dry_run)"
            what = f"job {job_id} was ordered by it, and it is good for one order: {again}"
            raise InvalidRequest(f"quote: {what}", (("quote", what),))
        case "quote_expired":
            what = "expired a moment ago: ask for a new one (--dry-run; field dry_run)"
            raise InvalidRequest(f"quote: {what}", (("quote", what),))
    return Job(job_id, verdict == "new", JobState(state))


def undo(undone: str, failback: str, key: str | None) -> Call[UndoneBy | None]:
    """Take a reroute for a failback that is about to be submitted. Reads None, or the failback that has it already."""
    return Call("undo", (undone, failback, key or "", UNDO_STALE_MS), _undone_by)


def _undone_by(reply: Sequence[str]) -> UndoneBy | None:
    return None if reply[0] == "ok" else UndoneBy(str(reply[1]), str(reply[2]))


def cancel(job_id: str, actor: str = "") -> Call[CancelReply]:
    """Cancel a job. Reading the reply may raise JobNotFound."""
    done: dict[str, CancelReply] = {"cancelled": Cancelled(), "requested": CancelRequested()}
    return Call("cancel", (job_id, RETENTION_MS, actor, names_that_give_back()), lambda reply: _verdict(reply, job_id, done))


def retry(job_id: str, actor: str = "") -> Call[RetryReply]:
    """Let a parked job continue. Reading the reply may raise JobNotFound."""
    done: dict[str, RetryReply] = {"requeued": Requeued()}
    return Call("retry", (job_id, RENUDGE_MS, actor), lambda reply: _verdict(reply, job_id, done))


def give(
    job_id: str,
    number: str,
    record_id: int,
    quantity: int,
    text: str,
    happened: Happened,
    actor: str,
    follow_up: Sequence[str | int] = (),
) -> Call[GiveReply]:
    """A purchase keeps a number that a person found to be its own. `quantity`: the most that it may keep; `text`: what the job keeps of
    the number; `follow_up` as in `resolve`.

    Reading the reply may raise JobNotFound.
    """
    args = (job_id, number, record_id, quantity, text, one_happened_text(happened), actor, TAINT_MS, *follow_up)
    return Call("give", args, lambda reply: _given(reply, job_id))


def _given(reply: Sequence[str], job_id: str) -> GiveReply:
    match list(reply):
        case ["decided", decided]:
            return DecidedBefore(decided)
        case ["full", kept]:
            return KeepsAll(int(kept))
        case ["reserved", holder]:
            return ReservedFor(holder)
    done: dict[str, GiveReply] = {"given": NumberGiven()}
    return _verdict(reply, job_id, done)


def unreserve(account: str, number: str, holder: str, actor: str) -> Call[bool]:
    """Drop a reservation that no living job has. Reads False if the job lives, or if it is another reservation by now."""
    return Call("unreserve", (account, number, holder, actor), lambda reply: bool(reply == "ok"))


def follow_up_args(name: str, request: Request, account: str, *, delay_ms: int, version: int = REQUEST_VERSION) -> tuple[str | int, ...]:
    """A job that another one leaves behind, as the scripts take it."""
    print_of = fingerprint(Submission(request, account=account))
    return (name, version, request.kind, _request_text(request), print_of, kind_of(request).lane.value, delay_ms)


def follower_args(purchase: str, account: str) -> tuple[str | int, ...]:
    """The job that follows the documents of a purchase, as the scripts take it."""
    return follow_up_args(DOCUMENTS, FollowDocuments(job_id=purchase), account, delay_ms=int(FIRST_LOOK_S * 1000))


def resolve(
    job_id: str,
    token: int,
    state: JobState,
    result: Result,
    bought: Spend,
    detail: str,
    happened: Mapping[str, Happened],
    follow_up: Sequence[str | int] = (),
    actor: str = "",
) -> Call[ResolveReply]:
    """End a parked job. `token`: the token that the person read. `bought`: what its open checkout took.

    `follow_up`: a job to leave behind, by `follow_up_args`, unless one of that name is still running.
    Reading the reply may raise JobNotFound.
    """
    text, members = result.model_dump_json(), event_members(summed_up(result))
    args = (
        job_id,
        token,
        state.value,
        text,
        members,
        RETENTION_MS,
        TAINT_MS,
        detail,
        json.dumps(spend_fields(bought)),
        happened_text(happened),
        actor,
        *follow_up,
    )
    done: dict[str, ResolveReply] = {"resolved": Resolved(), "parked_again": ParkedAgain()}
    return Call("resolve", args, lambda reply: _verdict(reply, job_id, done))


def keep_finding(job_id: str, token: int, finding: str, valid_ms: int, actor: str, detail: str) -> Call[ResolveReply]:
    """Keep a finding (JSON) about a parked job for a second person. `token` as in `resolve`. Reading the reply may raise JobNotFound."""
    done: dict[str, ResolveReply] = {"kept": Resolved(), "parked_again": ParkedAgain()}
    return Call("keep_finding", (job_id, token, finding, valid_ms, actor, detail), lambda reply: _verdict(reply, job_id, done))


def history(number: str) -> Call[History]:
    """What ever happened to a number (E.164) through us, checked link by link."""
    return Call("history", (number,), lambda reply: read_history(number, reply[0], reply[1]))


def spending(scopes: Iterable[tuple[str, str]], newest: int) -> Call[tuple[ScopeSpending, ...]]:
    """What these (``account`` | ``reference``, name) have used of their windows, and after them the `newest` that spent last."""
    return Call("spending", (newest, *map(":".join, scopes)), lambda reply: tuple(map(scope_spending, reply)))


def quote_secret() -> Call[str]:
    """Reads the secret by which the quotes of this namespace are signed."""
    return Call("quote_secret", (secrets.token_hex(32),), str)


def _verdict(reply: Sequence[str], job_id: str, done: Mapping[str, T]) -> T | Unchanged:
    """A reply about one job: one word of `done`, or {'unchanged', its state}, or {'gone'}."""
    match list(reply):
        case ["gone"]:
            raise JobNotFound(job_id)
        case ["unchanged", state]:
            return Unchanged(next((one for one in JobState if one == state), None))
        case [word] if word in done:
            return done[word]
    raise AssertionError(f"{reply!r} is no reply of a script about one job")


def label_faults(idempotency_key: str | None, reference: str | None, account: str, priority: int) -> list[tuple[str, str]]:
    """What is wrong with what goes along with a request."""
    found = (
        _label_fault("idempotency_key", idempotency_key),
        _label_fault("reference", reference),
        _label_fault("account", account),
        _priority_fault(priority),
    )
    return [fault for fault in found if fault]


def _label_fault(name: str, text: str | None) -> tuple[str, str] | None:
    if text is None and name != "account":
        return None
    if not isinstance(text, str) or not text or len(text) > 200 or not text.isprintable():
        return (name, "is 1 to 200 printable characters")
    return None


def _actor_fault(actor: str) -> tuple[str, str] | None:
    what = fault_of(actor) if actor else None
    return ("actor", what) if what else None


def _priority_fault(priority: int) -> tuple[str, str] | None:
    fits = type(priority) is int and 0 <= priority <= 9
    return None if fits else ("priority", "is a whole number from 0 (first) to 9")


def _time_fault(moment: datetime | None) -> tuple[str, str] | None:
    if moment is None:
        return None
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        return ("not_before", "is a time with a time zone")
    try:
        bounded(moment)
    except ValueError as error:
        return ("not_before", str(error))
    return None
