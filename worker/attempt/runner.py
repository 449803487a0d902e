"""Runs one job for one attempt: claim it, run its handler, store how the attempt ended."""

import errno
import random
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog

from didflow.contract.errors import (
    DidflowError,
    InvalidRequest,
    InvalidSettings,
    JobError,
    ServiceUnavailable,
    UnreadableRecord,
    WrongLedger,
)
from didflow.contract.provider import Barred, No, NotNow, ReadFailed
from didflow.contract.results import Result, Totals
from didflow.contract.states import JobState, Lane, WaitReason
from didflow.delays import doubling_s, jittered_s
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.observed_behaviour import Learned
from didflow.ledger.replies import ClaimRefused
from didflow.settings import Account, Settings
from didflow.tracing.ports import AttemptStart, Traces
from worker.attempt.call_recorder import recorded_calls
from worker.attempt.end_writer import End, EndWriter, Outcome
from worker.attempt.heartbeat import LeaseFlags, Leases
from worker.attempt.job_context import LedgerJobContext
from worker.attempt.patience import AttemptPatience
from worker.jobs.handlers import Runnable, known_so_far, nothing_done, run_job, stored_request
from worker.jobs.partial_result import in_doubt
from worker.jobs.ports.context import JobContext
from worker.jobs.ports.endings import AccountBarred, AttemptFailed, CancelRequested, Ended, HandBack, LostLease, NeedsReview, Refused, Wait
from worker.jobs.ports.provider import Provider
from worker.jobs.ports.rules import Rules
from worker.jobs.provider_answers import waiting_for
from worker.wavix.request_gate import with_patience
from worker.wavix.transport import after_exchange, before_change

#: The wait after a failed attempt doubles from the first to the last of these.
BACKOFF_FIRST_S = 1.0
BACKOFF_LAST_S = 300.0

#: The wait of a job that a worker of another provider account took.
WRONG_LEDGER_S = 5.0

#: The wait where the host has no file descriptors or memory left.
SHORTAGE_S = 5.0

#: The part of the rate that a look for the catalogue takes while other requests wait.
CATALOGUE_SHARE = 0.1

#: The wait of a job that a middleware kept from running.
SKIPPED_S = 5.0

log = structlog.stdlib.get_logger("didflow.job")

#: Why a job wasn't claimed with which workers died.
ALONE = "alone"
#: Why an attempt ended that never began, or stopped at a safe point.
HANDED_BACK = "returned by a stopping worker"

#: What runs a claimed job: `run_job`, or what the bench puts in its place.
Handler = Callable[[Runnable, JobContext, Provider, Rules], Ended]


@dataclass(frozen=True)
class Attempt:
    """A claimed job and what the heartbeat learns of its lease."""

    claim: Claim = field(repr=False)
    flags: LeaseFlags


class JobRunner:
    """Everything a Dramatiq consumer and actor do. Running raises nothing for a job's own trouble."""

    def __init__(
        self,
        ledger: Ledger,
        settings: Settings,
        providers: Callable[[str, Lane], Provider],
        leases: Leases,
        stopping: threading.Event,
        handler: Handler | None = None,
        *,
        run_alone: Callable[[str, Lane], None] | None = None,
        check_account: Callable[[str, Provider], None] | None = None,
        traces: Traces | None = None,
    ) -> None:
        """`run_alone` has a job run that nothing else may run beside, and returns at once. Without it such jobs are left to others.
        `check_account` raises WrongLedger where the ledger isn't that account's. `traces`: None if attempts aren't traced."""
        self._check_account = check_account
        self._ledger, self._settings, self._providers, self._leases, self._stopping = ledger, settings, providers, leases, stopping
        self._handler, self._run_alone, self._traces = handler or run_job, run_alone, traces
        self._rules = {name: rules_from(settings, account) for name, account in settings.all_accounts().items()}
        self._general_rules = rules_from(settings, None)
        self._unanswered: dict[str, tuple[str, float]] = {}  #: of each consumer its take, by claimant and when it was first asked
        self._log = log.bind()  #: for the lines that every job has: a logger that isn't bound is bound again for each line
        self._ends = EndWriter(ledger)
        self._waits = bool(settings.middleware)  #: a middleware sees a message as done when the job's end is in the ledger
        self._learned: dict[str, Learned] = {}  #: of each account, what its server was seen to take
        self._lease_ms, self._probe_ms = int(settings.lease_seconds * 1000), int(settings.probe_seconds * 1000)

    def take(self, lane: Lane, most: int, consumer: str, *, wait_s: float = 0.0) -> tuple[list[Attempt], bool]:
        """Take messages off a lane's queue and claim their jobs; whether none is left. `wait_s`: wait so long for the first one.

        Raises ServiceUnavailable, UnreadableRecord.

        A call without an answer is repeated: otherwise the jobs that it claimed would wait until their leases end.
        """
        before = self._unanswered.get(consumer)
        if before is None or time.monotonic() - before[1] > self._settings.lease_seconds / 2:
            before = self._claimant(), time.monotonic()
        claimant, asked_s = self._unanswered[consumer] = before
        taken = self._ledger.take(
            lane,
            most,
            worker=self._leases.worker,
            consumer=consumer,
            claimant=claimant,
            lease_ms=self._lease_ms,
            probe_ms=self._probe_ms,
            wait_s=min(wait_s, self._settings.lease_seconds / 10),  # The lease counts from now.
        )
        del self._unanswered[consumer]
        for refused in taken.refused:
            _not_claimed(refused)
            if refused.why == ALONE and self._run_alone is not None:
                self._run_alone(refused.job_id, lane)
        for length in taken.foreign:
            log.error("queue.message_undecodable", lane=lane.value, length=length, kept_in=self._ledger.keys.undecodable)
        return [one for claim in taken.claims if (one := self._begun(claim, asked_s))], taken.emptied

    def run(self, job_id: str) -> None:
        """Claim this job and run one attempt of it, in a process that runs nothing else meanwhile. Returns quietly if there is nothing
        to do."""
        asked_s = time.monotonic()
        try:
            claim = self._ledger.claim(job_id, self._claimant(), lease_ms=self._lease_ms, probe_ms=self._probe_ms)
        except (ServiceUnavailable, UnreadableRecord) as error:
            _not_written(job_id, error)
            return
        if isinstance(claim, ClaimRefused):
            _not_claimed(claim)
            return
        if one := self._begun(claim, asked_s):
            self.attempt(one, wait=True)

    def _begun(self, claim: Claim, asked_s: float) -> Attempt | None:
        """None if this process runs it already."""
        flags = self._leases.add(claim, asked_s)
        if flags is None:
            log.error("job.claimed_twice", job_id=claim.job_id)
            return None
        return Attempt(claim, flags)

    def attempt(self, one: Attempt, *, wait: bool = False) -> None:
        """Run it; or hand it back, where this process stops. `wait`: return when its end is written, even if another thread writes it."""
        if self._stopping.is_set():
            self.hand_back(one)
            return
        lease_s, handed_on = self._settings.lease_seconds, False
        try:
            context = LedgerJobContext(self._ledger, one.claim, one.flags, self._stopping, lease_s=lease_s, learned_here=self._learned)
            with _bound_to(one.claim):
                if self._traces is None:
                    self._attempt(context, one.flags)
                else:
                    self._attempt_traced(context, one.flags, self._traces)
            if context.end is not None:
                handed_on = True
                self._ends.write(End(context.end, partial(self._written, context)), wait=wait or self._waits, gather=self._leases.count > 1)
        except (ServiceUnavailable, UnreadableRecord) as error:
            _not_written(one.claim.job_id, error)
        finally:
            if not handed_on:
                self._leases.drop(one.claim)

    def _written(self, context: LedgerJobContext, outcome: Outcome) -> None:
        """The attempt is over, and its end is written or can't be. Its lease was renewed until now."""
        try:
            if isinstance(outcome, Exception) and not isinstance(outcome, ServiceUnavailable):
                with _bound_to(context.claim):
                    self._trouble(context, outcome)  # That it can't be written may be an end that can.
                outcome = context.end is not None and self._ledger.run(context.end)
            if isinstance(outcome, bool):
                self._log_end(context, written=outcome)
            elif isinstance(outcome, ServiceUnavailable):
                raise outcome
        except (ServiceUnavailable, UnreadableRecord) as error:
            _not_written(context.job_id, error)
        except Exception as trouble:
            log.error("job.bug", job_id=context.job_id, exc_info=trouble)  # This thread may be about to write the ends of others.
        finally:
            self._leases.drop(context.claim)

    def _log_end(self, context: LedgerJobContext, *, written: bool) -> None:
        if (ended := context.ended) is None:
            return  # Only the attempt is over.
        attempt = _named(context.claim)
        if not written:
            self._log.warning("job.lease_lost", **attempt)
            return
        state, totals = ended.state.value, ended.result.totals
        charged_usd = str(totals.charged_usd)
        self._log.info("job.ended", **attempt, state=state, done=totals.done, requested=totals.requested, charged_usd=charged_usd)

    def hand_back(self, one: Attempt) -> None:
        """Return a job to the queue that has not begun."""
        if self._return(one, JobState.QUEUED, None, 0, HANDED_BACK):
            log.info("job.handed_back", job_id=one.claim.job_id)

    def put_off(self, one: Attempt) -> None:
        """A middleware kept the job from running. It waits, so that the same doesn't happen again and again; no attempt is counted."""
        detail = "a middleware of the workers kept it from running: see their log"
        if self._return(one, JobState.WAITING, WaitReason.RETRY, SKIPPED_S, detail):
            log.error("job.skipped_by_middleware", job_id=one.claim.job_id, again_in_s=SKIPPED_S)

    def _return(self, one: Attempt, state: JobState, reason: WaitReason | None, after_s: float, detail: str) -> bool:
        """False if it isn't written: then the lease runs out."""
        try:
            return self._ledger.suspend(one.claim, state, reason, delay_ms=int(after_s * 1000), refund=True, detail=detail)
        except (ServiceUnavailable, UnreadableRecord) as error:
            _not_written(one.claim.job_id, error)
            return False
        finally:
            self._leases.drop(one.claim)

    def _claimant(self) -> str:
        return f"{self._leases.worker}:{uuid.uuid4().hex[:8]}"

    def _attempt_traced(self, context: LedgerJobContext, flags: LeaseFlags, traces: Traces) -> None:
        """The span ends before the attempt's end is written: what is in the ledger counts."""
        fields = context.claim.fields
        traced = fields.get("traceparent"), fields.get("tracestate")
        start = AttemptStart(fields.get("kind", ""), context.lane.value, context.job_id, context.attempt, *traced)
        span = traces.attempt(start)
        tracing = after_exchange.set(span.called)
        try:
            self._attempt(context, flags)
        finally:
            after_exchange.reset(tracing)
            state, reason = context.next_state, context.wait_reason
            span.ended(state.value if state else None, reason.value if reason else None)

    def _attempt(self, context: LedgerJobContext, flags: LeaseFlags) -> None:
        claim = context.claim
        self._log.info("job.started", kind=claim.fields.get("kind"))
        guard, patience = before_change.set(flags.check_before_change), AttemptPatience(flags, self._stopping)
        try:
            context.complete_write()
            if int(claim.fields.get("crashes_alone", "0")) >= self._settings.max_crashes:
                self._park_crashed(context)
                return
            rules = self._rules.get(context.account, self._general_rules)
            provider = recorded_calls(self._providers(context.account, context.lane), context.record_call)
            with with_patience(patience):
                if self._check_account is not None:
                    self._check_account(context.account, provider)
                ended = self._handler(stored_request(claim.fields), context, provider, rules)
            if claim.probe:
                self._resume_account(claim)
            context.finish(ended)
        except LostLease:
            log.warning("job.lease_lost")
        except ServiceUnavailable:
            raise
        except Exception as trouble:  # noqa: BLE001 - whatever happens, the job must not be lost: every way out is stored
            self._trouble(context, trouble)
        finally:
            patience.end()
            before_change.reset(guard)

    def _park_crashed(self, context: LedgerJobContext) -> None:
        """Not run again: it may be what kills them. The result has what is written."""
        crashes = context.claim.fields.get("crashes_alone")
        message = f"{crashes} workers died while they ran this job and no other: see `didflow explain` and their logs"
        context.finish(Ended(JobState.NEEDS_REVIEW, _known(context, JobError(code="too_many_crashes", message=message))))

    def _trouble(self, context: LedgerJobContext, trouble: Exception) -> None:
        """How an attempt that raised continues."""
        claim = context.claim
        if claim.probe and _was_answered(trouble):
            self._resume_account(claim)
        match trouble:
            case Wait(reason=reason, after_s=after_s, message=message):
                if claim.probe and reason in (WaitReason.RATE_LIMITED, WaitReason.PROVIDER_DOWN):
                    # The answer says nothing of the key: the next job asks again, as soon as a request can be sent.
                    self._ledger.probe_again(context.account, int(after_s * 1000), claim=claim)
                self._suspend(context, reason, after_s, message)
            case ReadFailed(answer=No(code=code, message=message)):
                self._again(context, JobError(code=code, message=f"the provider refuses a read: {message}", retryable=True))
            case ReadFailed(answer=NotNow() | Barred() as answer):
                self._trouble(context, waiting_for(answer))
            case AccountBarred():
                self._trouble_with(context, trouble)
            case HandBack():
                log.info("job.handed_back")
                context.suspend(JobState.QUEUED, None, delay_ms=0, refund=True, detail=HANDED_BACK)
            case CancelRequested():
                context.finish(Ended(JobState.CANCELLED, nothing_done(stored_request(claim.fields))))
            case Refused(error=error):
                context.finish(Ended(JobState.FAILED, nothing_done(stored_request(claim.fields), error)))
            case NeedsReview(result=result):
                context.finish(Ended(JobState.NEEDS_REVIEW, result))
            case AttemptFailed(error=error, so_far=so_far, in_doubt=doubtful):
                self._again(context, error, so_far, doubtful=doubtful)
            case InvalidRequest() as known:
                message = f"this version can't run the stored job: {known}"
                context.finish(Ended(JobState.NEEDS_REVIEW, _failure(JobError(code="unreadable_request", message=message))))
            case UnreadableRecord() as known:
                context.finish(Ended(JobState.NEEDS_REVIEW, _failure(JobError(code=known.code, message=str(known)))))
            case OSError(errno=errno.EMFILE | errno.ENFILE | errno.ENOMEM) as shortage:
                # It is this host that is short of something. The job has done nothing wrong, and may continue wherever there is enough.
                log.error("job.shortage", error=str(shortage), again_in_s=SHORTAGE_S)
                self._suspend(context, WaitReason.RETRY, SHORTAGE_S, f"the worker's host is short of something: {shortage}")
            case WrongLedger() as wrong:
                # This process ends for it; a worker of the account that the ledger belongs to runs the job.
                self._suspend(context, WaitReason.RETRY, WRONG_LEDGER_S, str(wrong))
            case InvalidSettings() as known:
                # Another worker may know the account: in a rolling change of settings some do and some don't.
                self._again(context, JobError(code="unknown_account", message=str(known), retryable=True))
            case DidflowError() as known:
                error = JobError(code=known.code, message=str(known), retryable=known.retryable)
                context.finish(Ended(JobState.FAILED, _failure(error)))
            case _:
                log.error("job.bug", exc_info=trouble)
                message = f"an error in didflow itself ({type(trouble).__name__}): see the worker's log, and report it"
                self._again(context, JobError(code="internal_error", message=message, retryable=True), doubtful=True)

    def _trouble_with(self, context: LedgerJobContext, answer: Wait | AccountBarred) -> None:
        if isinstance(answer, Wait):
            self._suspend(context, answer.reason, answer.after_s, answer.message)
            return
        probe_ms = int(self._settings.probe_seconds * 1000)
        if self._ledger.pause_account(context.account, answer.status, answer.message, probe_ms=probe_ms, claim=context.claim):
            log.error(
                "account.paused",
                account=context.account,
                status=answer.status,
                message=answer.message,
                next="check the key: `didflow doctor`",
            )
        self._suspend(context, WaitReason.ACCOUNT_PAUSED, self._settings.probe_seconds, f"{answer.status}: {answer.message}")

    def _again(self, context: LedgerJobContext, error: JobError, so_far: Result | None = None, *, doubtful: bool = False) -> None:
        """Another attempt after a backoff, or the end where there were enough: parked, if it leaves anything open."""
        attempt = context.attempt
        if attempt < self._settings.max_attempts:
            delay_s = backoff_s(attempt, random.random())
            log.warning("job.attempt_failed", code=error.code, message=error.message, again_in_s=round(delay_s, 1))
            context.suspend(JobState.WAITING, WaitReason.RETRY, delay_ms=int(delay_s * 1000), refund=False, detail=error.message)
            return
        result = so_far or _known(context, error)
        done = result.totals.done > 0
        state = JobState.NEEDS_REVIEW if doubtful or in_doubt(result) else JobState.PARTIAL if done else JobState.FAILED
        context.finish(Ended(state, result))

    def _suspend(self, context: LedgerJobContext, reason: WaitReason, after_s: float, detail: str) -> None:
        log.info("job.waiting", reason=reason.value, after_s=after_s)
        context.suspend(JobState.WAITING, reason, delay_ms=max(1, int(after_s * 1000)), refund=True, detail=detail)

    def _resume_account(self, claim: Claim) -> None:
        account = claim.fields.get("account", "")
        with suppress(ServiceUnavailable):
            if self._ledger.resume_account(account, claim=claim):
                log.info("account.resumed", account=account)


def _named(claim: Claim) -> dict[str, Any]:
    """What each line of the log says of the attempt that it is about."""
    named: dict[str, Any] = {"job_id": claim.job_id, "attempt": int(claim.fields["attempt"])}
    return named | ({"traceparent": traceparent} if (traceparent := claim.fields.get("traceparent")) else {})


def _bound_to(claim: Claim) -> AbstractContextManager[None]:
    """What is logged meanwhile is about this attempt."""
    return structlog.contextvars.bound_contextvars(**_named(claim))


def _not_claimed(refused: ClaimRefused) -> None:
    # Left to a newer worker: in an upgrade that is how it should be, but someone should know if it lasts.
    log_line = log.info if refused.why == WaitReason.NEWER_VERSION else log.debug
    log_line("job.not_claimed", job_id=refused.job_id, why=refused.why)


def _not_written(job_id: str, error: ServiceUnavailable | UnreadableRecord) -> None:
    """The lease runs out, the sweeper nudges again; whatever was open is recovered then."""
    if isinstance(error, ServiceUnavailable):
        log.warning("job.ledger_unreachable", job_id=job_id, error=str(error))
    else:
        log.error("job.record_unreadable", job_id=job_id, error=str(error))


def rules_from(settings: Settings, account: Account | None) -> Rules:
    """The settings that the jobs of this account know."""
    return Rules(
        settle_s=settings.settle_seconds,
        settle_limit_s=settings.settle_limit_seconds,
        batch_size=settings.batch_size,
        spend_limits=settings.spend_limits(account),
        mirror_max_age_s=settings.failover_inventory_seconds,
        look_s=settings.stock_look_seconds,
        quote_s=settings.quote_seconds,
        protected_numbers=frozenset(settings.protected_numbers),
        protected_labels=frozenset(settings.protected_labels),
        releases_per_day=settings.releases_per_day,
        look_every_s=settings.grace_look_hours * 3600,
        card_linked=settings.linked_card if account is None or account.linked_card is None else account.linked_card,
        reuse_label=settings.reuse_label,
        ids_form=(account.ids_form if account else None) or settings.wavix_ids_form,
        documents_every_s=settings.documents_poll_seconds,
        documents_deadline_s=settings.documents_deadline_days * 86_400,
        catalogue_page_s=1 / (settings.rate_limit * CATALOGUE_SHARE),
        catalogue_kept_s=settings.catalogue_days * 86_400,
        catalogue_looks=settings.catalogue_looks,
    )


def backoff_s(attempt: int, jitter: float) -> float:
    """The wait after failed attempt number `attempt` (from 1): doubling, with up to half of it added at random (`jitter` 0–1)."""
    return jittered_s(doubling_s(BACKOFF_FIRST_S, BACKOFF_LAST_S, attempt), jitter, earlier=0)


def _was_answered(trouble: Exception) -> bool:
    """Whether the provider accepted the key, as far as the attempt's end shows it."""
    match trouble:
        case Wait(reason=reason):
            return reason in (WaitReason.FUNDS, WaitReason.SETTLING, WaitReason.STOCK)
        case AttemptFailed() | Refused() | NeedsReview():
            return True
    return False


def _known(context: LedgerJobContext, error: JobError) -> Result:
    """What the job has written, as a result with this error; only the error, where that can't be read."""
    try:
        return known_so_far(stored_request(context.claim.fields), context, error)
    except (NeedsReview, InvalidRequest, UnreadableRecord):
        return _failure(error)


def _failure(error: JobError) -> Result:
    return Result(totals=Totals(requested=0, done=0), error=error)
